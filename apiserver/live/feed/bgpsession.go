package feed

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/columns"
	"github.com/ingot-lb/ingot/apiserver/live"
	"github.com/ingot-lb/ingot/apiserver/plan"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/show/frr"
)

// bgpSessionStates is the kind BGPSessionState.
var bgpSessionStates = live.Kind{
	Plural: "bgpsessionstates", Singular: "bgpsessionstate",
	New:     func() runtime.Object { return &metallb.BGPSessionState{} },
	NewList: func() runtime.Object { return &metallb.BGPSessionStateList{} },
	Columns: []metav1.TableColumnDefinition{
		{Name: "Node", Type: "string", Description: "The node."},
		{Name: "Peer", Type: "string", Description: "The neighbour."},
		{Name: "VRF", Type: "string", Description: "The VRF of the session."},
		{Name: "BGP", Type: "string", Description: "The state of the BGP session."},
		{Name: "BFD", Type: "string", Description: "The state of the BFD session."},
		columns.Age(),
		{Name: "BGPPeer", Type: "string", Priority: 1, Description: "The name of the BGPPeer."},
		{Name: "Prefixes", Type: "integer", Priority: 1, Description: "How many prefixes are advertised."},
		{Name: "Hold", Type: "string", Priority: 1, Description: "The negotiated hold time."},
		{Name: "Families", Type: "string", Priority: 1, Description: "The address families that both sides carry."},
		{Name: "Last Error", Type: "string", Priority: 1, Description: "What last went wrong."},
	},
	Cells: func(o runtime.Object) []any {
		s := &o.(*metallb.BGPSessionState).Status
		var hold, last string
		if s.HoldTime != nil {
			hold = s.HoldTime.Duration.String()
		}
		if s.LastError != nil {
			last = s.LastError.Message
		}
		return []any{columns.Text(s.Node), columns.Text(s.Peer), columns.Text(s.VRF), columns.Text(s.BGPStatus), columns.Text(s.BFDStatus),
			columns.Since(o.(*metallb.BGPSessionState).CreationTimestamp), columns.Text(s.BGPPeer), s.PrefixesSent.IPv4 + s.PrefixesSent.IPv6,
			columns.Text(hold), columns.Text(strings.Join(s.Families, ",")), columns.Text(last)}
	},
}

// Labels of BGPSessionStates; the first three as frr-k8s has them.
const (
	labelFRRNode = "frrk8s.metallb.io/node"
	labelFRRPeer = "frrk8s.metallb.io/peer"
	labelFRRVRF  = "frrk8s.metallb.io/vrf"
	labelBGPPeer = "metallb.io/bgp-peer"
	labelVRF     = "metallb.io/vrf"
)

// noBFD is the state of a BFD session that does not exist.
const noBFD = "N/A"

// Who sent a NOTIFICATION.
const (
	sentBySpeaker = "Speaker"
	sentByPeer    = "Peer"
)

// bgpSessions makes the states of a node's sessions: those that it reports, or reported last; those that it cannot
// configure; and, while it is away, those that it shall keep.
func bgpSessions(v view) []live.Object {
	var all []live.Object
	seen := map[string]bool{}
	for _, r := range v.state.Sessions {
		if seen[r.GetPeer()] {
			continue
		}
		seen[r.GetPeer()] = true
		s := sessionState(v.node, r)
		watch := bfdOf(v, r.GetPeer())
		s.Status.BFDStatus = noBFD
		if watch != nil {
			s.Status.BFDStatus = frr.BFDWord(watch.GetState())
		}
		all = append(all, v.asOf(s))
	}
	for _, p := range v.planned {
		if seen[p.GetPeer()] {
			continue
		}
		seen[p.GetPeer()] = true
		s := sessionState(v.node, &ingotv1.SessionReport{Peer: p.GetPeer(), Address: p.GetAddress(), Interface: p.GetInterface(), Vrf: p.GetVrf(),
			Port: p.GetPort(), LocalAsn: p.GetMyAsn(), RemoteAsn: p.GetPeerAsn(), State: "Idle"})
		s.Status.BFDStatus = noBFD
		if p.GetBfd() != nil {
			s.Status.BFDStatus = frr.BFDWord("Down")
		}
		if why, rejected := v.state.Rejected[plan.SessionID(p.GetPeer())]; rejected {
			s.Status.LastError = &metallb.BGPSessionError{Message: "the node cannot keep the session: " + cut(why)}
		}
		all = append(all, v.asOf(s))
	}
	return all
}

// asOf makes a state unknown while the speaker of its node is away.
func (v view) asOf(s *metallb.BGPSessionState) *metallb.BGPSessionState {
	if !v.current() {
		s.Status.BGPStatus, s.Status.BFDStatus = unknownStatus, unknownStatus
		s.Status.Since = &metav1.Time{Time: v.awaySince().Truncate(time.Second)}
	}
	if s.Status.Since != nil {
		s.CreationTimestamp = *s.Status.Since
	} else {
		s.CreationTimestamp = metav1.NewTime(v.awaySince().Truncate(time.Second))
	}
	return s
}

func sessionState(node string, r *ingotv1.SessionReport) *metallb.BGPSessionState {
	peer := peerIdentity(r.GetAddress(), r.GetInterface())
	s := &metallb.BGPSessionState{Status: metallb.BGPSessionStateStatus{
		BGPStatus: r.GetState(), Node: node, Peer: peer, VRF: r.GetVrf(), BGPPeer: r.GetPeer(),
		Since: timeOf(r.GetSinceMs()), PeerAddress: r.GetAddress(), Interface: r.GetInterface(), PeerPort: int64(r.GetPort()),
		PeerASN: int64(r.GetRemoteAsn()), PeerRouterID: r.GetRemoteRouterId(), LocalAddress: r.GetLocalAddress(),
		LocalASN: int64(r.GetLocalAsn()), RouterID: r.GetRouterId(),
		HoldTime: durationOf(r.GetHoldTimeMs()), KeepaliveTime: durationOf(r.GetKeepaliveTimeMs()),
		PrefixesSent: metallb.BGPPrefixes{IPv4: int64(r.GetAdvertisedIpv4()), IPv6: int64(r.GetAdvertisedIpv6())},
		Notices:      slices.Clone(r.GetNotices()), Counters: countersOf(r.GetCounters()),
	}}
	for _, f := range r.GetFamilies() {
		s.Status.Families = append(s.Status.Families, familyName(f))
	}
	if r.GetLastError() != "" {
		e := &metallb.BGPSessionError{Message: r.GetLastError(), Code: int64(r.GetLastErrorCode()), Subcode: int64(r.GetLastErrorSubcode()), Time: timeOf(r.GetLastErrorMs())}
		if e.Code != 0 {
			e.SentBy = sentBySpeaker
			if r.GetLastErrorReceived() {
				e.SentBy = sentByPeer
			}
		}
		s.Status.LastError = e
	}
	s.Name = nameOf(node, r.GetPeer())
	s.Labels = map[string]string{}
	for key, value := range map[string]string{
		labelFRRNode: node, labelFRRPeer: peer, labelFRRVRF: r.GetVrf(), labelNodeOf: node, labelBGPPeer: r.GetPeer(), labelVRF: r.GetVrf(),
	} {
		labelValue(s.Labels, key, value)
	}
	return s
}

func countersOf(c *ingotv1.SessionCounters) *metallb.BGPSessionCounters {
	if c == nil {
		return nil
	}
	return &metallb.BGPSessionCounters{
		Sent: metallb.BGPMessageCounters{Opens: int64(c.GetOpensSent()), Updates: int64(c.GetUpdatesSent()), Keepalives: int64(c.GetKeepalivesSent()),
			Notifications: int64(c.GetNotificationsSent()), RouteRefreshes: int64(c.GetRouteRefreshesSent()), Total: int64(c.GetTotalSent())},
		Received: metallb.BGPMessageCounters{Opens: int64(c.GetOpensReceived()), Updates: int64(c.GetUpdatesReceived()), Keepalives: int64(c.GetKeepalivesReceived()),
			Notifications: int64(c.GetNotificationsReceived()), Total: int64(c.GetTotalReceived())},
		Established: int64(c.GetEstablished()), Lost: int64(c.GetLost()), PrefixesRefused: int64(c.GetPrefixesRefused()),
	}
}

// peerIdentity is how frr-k8s names a neighbour: by its interface, or by its address, where an IPv6 address is in full with
// dashes.
func peerIdentity(address, device string) string {
	if device != "" {
		return device
	}
	addr, err := netip.ParseAddr(address)
	if err != nil || !addr.Is6() {
		return address
	}
	return strings.ReplaceAll(addr.WithZone("").StringExpanded(), ":", "-")
}

func familyName(f ingotv1.Family) string {
	switch f {
	case ingotv1.Family_FAMILY_IPV4_UNICAST:
		return "ipv4-unicast"
	case ingotv1.Family_FAMILY_IPV6_UNICAST:
		return "ipv6-unicast"
	}
	return "unknown"
}

// bfdOf is the BFD session that watches a neighbour; nil when there is none.
func bfdOf(v view, peer string) *ingotv1.BfdReport {
	for _, r := range v.state.BFD {
		if r.GetPeer() == peer {
			return r
		}
	}
	return nil
}

func timeOf(ms int64) *metav1.Time {
	if ms == 0 {
		return nil
	}
	t := metav1.NewTime(time.UnixMilli(ms).Truncate(time.Second))
	return &t
}

func durationOf(ms uint32) *metav1.Duration {
	if ms == 0 {
		return nil
	}
	return &metav1.Duration{Duration: time.Duration(ms) * time.Millisecond}
}
