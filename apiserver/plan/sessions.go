package plan

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/rules"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

const defaultBGPPort = 179

// peerList is the BGPPeers, sorted by name; sets of peers are of positions in it. Peers whose session cannot be
// made have a place but no item and no nodes.
type peerList struct {
	names []string
	items []*ingotv1.Item
	// drained are the items of nodes that are being drained; nil where no node is.
	drained []*ingotv1.Item
	// ofNode are the peers that each node has a session with.
	ofNode []bitset
	// carries4 and carries6 are the peers whose session has the family.
	carries4, carries6 bitset
	all                bitset
}

func newPeerList(all []*metallb.BGPPeer, known profiles, secrets map[string]*corev1.Secret, nodes *nodeList, seal digester, note func(Withheld)) *peerList {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b *metallb.BGPPeer) int { return cmp.Compare(a.Name, b.Name) })
	l := &peerList{
		items: make([]*ingotv1.Item, len(all)), ofNode: make([]bitset, len(nodes.list)),
		carries4: newBitset(len(all)), carries6: newBitset(len(all)), all: newBitset(len(all)),
	}
	if !nodes.draining.empty() {
		l.drained = make([]*ingotv1.Item, len(all))
	}
	for i := range l.ofNode {
		l.ofNode[i] = newBitset(len(all))
	}
	for i, p := range all {
		l.names = append(l.names, p.Name)
		l.all.add(i)
		session, selected, reason, err := newSession(p, secrets)
		if err != nil {
			note(Withheld{
				Kind: KindBGPPeer, Name: types.NamespacedName{Namespace: p.Namespace, Name: p.Name},
				Protocol: BGP, Reason: reason, Message: err.Error(),
			})
			continue
		}
		session.Bfd = known.of(&p.Spec)
		l.items[i] = seal.seal(&ingotv1.Item{Id: SessionID(p.Name), Content: &ingotv1.Item_BgpSession{BgpSession: session}})
		if l.drained != nil {
			leaving := proto.CloneOf(session)
			leaving.Drain = true
			l.drained[i] = seal.seal(&ingotv1.Item{Id: SessionID(p.Name), Content: &ingotv1.Item_BgpSession{BgpSession: leaving}})
		}
		for n := range nodes.matching(selected).members() {
			l.ofNode[n].add(i)
		}
		if slices.Contains(session.Families, ingotv1.Family_FAMILY_IPV4_UNICAST) {
			l.carries4.add(i)
		}
		if slices.Contains(session.Families, ingotv1.Family_FAMILY_IPV6_UNICAST) {
			l.carries6.add(i)
		}
	}
	l.keepApart(all, nodes, note)
	return l
}

// session is the item of a peer on a node.
func (l *peerList) session(peer int, draining bool) *ingotv1.Item {
	if draining {
		return l.drained[peer]
	}
	return l.items[peer]
}

// named is the set of peers that a list of names means; an empty list means all, and unknown names mean nothing.
func (l *peerList) named(names []string) bitset {
	if len(names) == 0 {
		return l.all
	}
	set := newBitset(len(l.names))
	for _, name := range names {
		if i, ok := slices.BinarySearch(l.names, name); ok {
			set.add(i)
		}
	}
	return set
}

// carrying is the set of peers whose session has the family of a.
func (l *peerList) carrying(a netip.Addr) bitset {
	if a.Is4() {
		return l.carries4
	}
	return l.carries6
}

// newSession makes the session with a peer, the same on every node that selected matches.
func newSession(p *metallb.BGPPeer, secrets map[string]*corev1.Secret) (session *ingotv1.BgpSession, selected selectors, reason Reason, err error) {
	spec := &p.Spec
	session = &ingotv1.BgpSession{
		Peer: p.Name, DynamicAsn: string(spec.DynamicASN), Interface: spec.Interface, SourceAddress: spec.SrcAddress, RouterId: spec.RouterID,
		EbgpMultiHop: spec.EBGPMultiHop, Vrf: spec.VRFName, GracefulRestart: spec.EnableGracefulRestart != nil && *spec.EnableGracefulRestart,
	}
	for _, n := range []struct {
		field string
		value int64
		to    *uint32
	}{
		{"myASN", spec.MyASN, &session.MyAsn}, {"peerASN", spec.ASN, &session.PeerAsn},
		{"localASN", spec.LocalASN, &session.LocalAsn}, {"peerPort", int64(spec.Port), &session.Port},
	} {
		if *n.to, err = number(n.field, n.value); err != nil {
			return nil, nil, ReasonInvalidConfiguration, err
		}
	}
	if session.Port == 0 {
		session.Port = defaultBGPPort
	}
	if err = timers(spec, session); err != nil {
		return nil, nil, ReasonInvalidConfiguration, err
	}
	if session.Address, session.Families, err = neighbor(spec); err != nil {
		return nil, nil, ReasonInvalidConfiguration, err
	}
	if selected, err = compileSelectors(spec.NodeSelectors); err != nil {
		return nil, nil, ReasonInvalidConfiguration, fmt.Errorf("nodeSelectors: %w", err)
	}
	if session.Password, err = password(spec, secrets); err != nil {
		return nil, nil, ReasonInvalidPassword, err
	}
	return session, selected, "", nil
}

// neighbor is the peer's address and the families its session carries (spec.md section 6.3).
func neighbor(spec *metallb.BGPPeerSpec) (address string, families []ingotv1.Family, err error) {
	const v4, v6 = ingotv1.Family_FAMILY_IPV4_UNICAST, ingotv1.Family_FAMILY_IPV6_UNICAST
	if spec.Interface != "" {
		return "", []ingotv1.Family{v4, v6}, nil
	}
	a, err := netip.ParseAddr(spec.Address)
	if err != nil {
		return "", nil, fmt.Errorf("peerAddress: %w", err)
	}
	a = a.Unmap()
	switch {
	case spec.DualStackAddressFamily:
		families = []ingotv1.Family{v4, v6}
	case a.Is4():
		families = []ingotv1.Family{v4}
	default:
		families = []ingotv1.Family{v6}
	}
	return a.String(), families, nil
}

// timers are absent where unset, so that the speaker's defaults hold; but a keepalive time on its own means a hold
// time of three times as much (spec.md section 1, point 17). BGP knows whole seconds: of the hold time a fraction is
// dropped, and of the keepalive time too, down to one second. A keepalive time of 0 says nothing while there is a hold
// time: a neighbour that hears nothing would end the session.
func timers(spec *metallb.BGPPeerSpec, session *ingotv1.BgpSession) error {
	hold, err := timer("holdTime", spec.HoldTime)
	if err != nil {
		return err
	}
	keepalive, err := timer("keepaliveTime", spec.KeepaliveTime)
	if err != nil {
		return err
	}
	connect, err := timer("connectTime", spec.ConnectTime)
	if err != nil {
		return err
	}
	if keepalive != nil && *keepalive > 0 && *keepalive < time.Second {
		*keepalive = time.Second
	}
	if hold == nil && keepalive != nil {
		hold = new(3 * *keepalive)
	}
	if keepalive != nil && *keepalive == 0 && *hold >= time.Second {
		keepalive = nil
	}
	session.HoldTimeMs, session.KeepaliveTimeMs, session.ConnectTimeMs = wholeSeconds(hold), wholeSeconds(keepalive), wholeSeconds(connect)
	return nil
}

// timer is nil where it is unset. What is stored is not negative and not long.
func timer(field string, written *metallb.Duration) (*time.Duration, error) {
	if written == nil {
		return nil, nil
	}
	length, err := written.Parse()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	const longest = math.MaxUint16 * time.Second
	return new(min(max(length, 0), longest)), nil
}

// wholeSeconds is in milliseconds.
func wholeSeconds(d *time.Duration) *uint32 {
	if d == nil {
		return nil
	}
	return new(uint32(d.Truncate(time.Second).Milliseconds()))
}

// password is the peer's own or that of its Secret. Its errors never contain it.
func password(spec *metallb.BGPPeerSpec, secrets map[string]*corev1.Secret) (string, error) {
	name := spec.PasswordSecret.Name
	if name == "" {
		return spec.Password, nil
	}
	if spec.Password != "" {
		return "", errors.New("both password and passwordSecret are set")
	}
	secret := secrets[name]
	if _, problem := rules.PasswordSecret(name, secret); problem != "" {
		return "", errors.New("passwordSecret: " + problem)
	}
	return string(secret.Data[corev1.BasicAuthPasswordKey]), nil
}
