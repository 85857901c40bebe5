package plan

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/community"
)

// bgpAdvertisement is a BGPAdvertisement with its selectors worked out.
type bgpAdvertisement struct {
	name string
	// kind and object are who says it: a BGPAdvertisement, or an AddressPool.
	kind               Kind
	object             types.NamespacedName
	lengthV4, lengthV6 int
	preference         metallb.Preference
	standard           []uint32
	large              []community.Large
	// unresolved says that a community is not known. The routes then go to none of the peers.
	unresolved bool
	// peerNames as written; empty means all, as in peers.
	peerNames []string
	peers     bitset
	services  selectors
	// nodes are those selected; usable those of them that announce anything at all.
	nodes  bitset
	usable setID
}

// prefix is what the advertisement makes of an address.
func (ad *bgpAdvertisement) prefix(a netip.Addr) netip.Prefix {
	length := ad.lengthV4
	if a.Is6() {
		length = ad.lengthV6
	}
	return netip.PrefixFrom(a, length).Masked()
}

// conflicts reports whether two advertisements that make the same prefix want different preferences shown to the same
// peer (spec.md section 3.4, X3). The peers' names count, whether they exist or not, as they do for the
// rules: a peer that is added later shall not turn what was accepted into a conflict.
func (ad *bgpAdvertisement) conflicts(o *bgpAdvertisement) bool {
	if ad.preference == o.preference {
		return false
	}
	if len(ad.peerNames) == 0 || len(o.peerNames) == 0 {
		return true
	}
	return slices.ContainsFunc(ad.peerNames, func(name string) bool { return slices.Contains(o.peerNames, name) })
}

// l2Advertisement is an L2Advertisement with its selectors worked out.
type l2Advertisement struct {
	name       string
	nodes      bitset
	services   selectors
	interfaces []string
	scores     []int // by node; nil without preferences
	// refresh is about how often addresses are announced; 0 for the default.
	refresh time.Duration
	probes  []netip.Addr
}

// compileBGP works out the BGPAdvertisements and hangs them on their pools.
func compileBGP(all []*metallb.BGPAdvertisement, known aliases, pools *poolIndex, nodes *nodeList, peers *peerList, sets *nodeSets, note func(Withheld)) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b *metallb.BGPAdvertisement) int { return cmp.Compare(a.Name, b.Name) })
	for _, a := range all {
		ad, byLabel, err := compileBGPAdvertisement(a, nodes, peers)
		if err != nil {
			note(Withheld{
				Kind: KindBGPAdvertisement, Name: types.NamespacedName{Namespace: a.Namespace, Name: a.Name},
				Protocol: BGP, Reason: ReasonInvalidConfiguration, Message: err.Error(),
			})
			continue
		}
		if unknown := ad.read(a.Spec.Communities, known); len(unknown) > 0 {
			note(Withheld{
				Kind: KindBGPAdvertisement, Name: types.NamespacedName{Namespace: a.Namespace, Name: a.Name},
				Protocol: BGP, Reason: ReasonInvalidCommunity, Message: "its routes are not sent: " + strings.Join(unknown, "; "),
			})
		}
		ad.kind, ad.object = KindBGPAdvertisement, types.NamespacedName{Namespace: a.Namespace, Name: a.Name}
		ad.usable = sets.intern(ad.nodes.and(nodes.usable))
		for _, p := range pools.selected(a.Spec.IPAddressPools, byLabel) {
			p.bgp = append(p.bgp, ad)
		}
	}
}

func compileBGPAdvertisement(a *metallb.BGPAdvertisement, nodes *nodeList, peers *peerList) (ad *bgpAdvertisement, byLabel selectors, err error) {
	ad = &bgpAdvertisement{name: a.Name, preference: a.Spec.Preference(), peerNames: a.Spec.Peers, peers: peers.named(a.Spec.Peers)}
	if err := checkPreference(ad.preference); err != nil {
		return nil, nil, err
	}
	if ad.lengthV4, err = aggregationLength("aggregationLength", a.Spec.AggregationLength, 32); err != nil {
		return nil, nil, err
	}
	if ad.lengthV6, err = aggregationLength("aggregationLengthV6", a.Spec.AggregationLengthV6, 128); err != nil {
		return nil, nil, err
	}
	nodeSelectors, err := compileSelectors(a.Spec.NodeSelectors)
	if err != nil {
		return nil, nil, fmt.Errorf("nodeSelectors: %w", err)
	}
	ad.nodes = nodes.matching(nodeSelectors)
	if ad.services, err = compileSelectors(a.Spec.ServiceSelectors); err != nil {
		return nil, nil, fmt.Errorf("serviceSelectors: %w", err)
	}
	if byLabel, err = compileSelectors(a.Spec.IPAddressPoolSelectors); err != nil {
		return nil, nil, fmt.Errorf("ipAddressPoolSelectors: %w", err)
	}
	return ad, byLabel, nil
}

// read takes the communities that the routes shall have, and says which are not known.
func (ad *bgpAdvertisement) read(communities []string, known aliases) (unknown []string) {
	for _, text := range communities {
		switch c, err := known.resolve(text); {
		case err != nil:
			ad.unresolved = true
			unknown = append(unknown, fmt.Sprintf("community %q: %v", text, err))
		case c.IsLarge:
			ad.large = append(ad.large, c.Large)
		default:
			ad.standard = append(ad.standard, c.Standard)
		}
	}
	return unknown
}

// checkPreference says what does not fit a message; in a stored object all does.
func checkPreference(p metallb.Preference) error {
	if _, err := number("localPref", p.LocalPref); err != nil {
		return err
	}
	if _, err := number("med", max(p.MED, 0)); err != nil {
		return err
	}
	if p.ASPathPrepend < 0 || p.ASPathPrepend > metallb.MaxASPathPrepend {
		return fmt.Errorf("asPathPrepend %d is not within 0 to %d", p.ASPathPrepend, metallb.MaxASPathPrepend)
	}
	return nil
}

// number narrows a value whose type is wider than its range; in a stored object it fits.
func number(field string, v int64) (uint32, error) {
	if v < 0 || v > math.MaxUint32 {
		return 0, fmt.Errorf("%s %d is not within 0 to %d", field, v, uint32(math.MaxUint32))
	}
	return uint32(v), nil
}

func aggregationLength(field string, length *int32, longest int) (int, error) {
	if length == nil {
		return longest, nil
	}
	if *length < 0 || int(*length) > longest {
		return 0, fmt.Errorf("%s %d is not within 0 to %d", field, *length, longest)
	}
	return int(*length), nil
}

// compileL2 works out the L2Advertisements and hangs them on their pools.
func compileL2(all []*metallb.L2Advertisement, pools *poolIndex, nodes *nodeList, note func(Withheld)) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b *metallb.L2Advertisement) int { return cmp.Compare(a.Name, b.Name) })
	for _, a := range all {
		ad, byLabel, err := compileL2Advertisement(a, nodes)
		if err != nil {
			note(Withheld{
				Kind: KindL2Advertisement, Name: types.NamespacedName{Namespace: a.Namespace, Name: a.Name},
				Protocol: Layer2, Reason: ReasonInvalidConfiguration, Message: err.Error(),
			})
			continue
		}
		for _, p := range pools.selected(a.Spec.IPAddressPools, byLabel) {
			p.layer2 = append(p.layer2, ad)
		}
	}
}

func compileL2Advertisement(a *metallb.L2Advertisement, nodes *nodeList) (ad *l2Advertisement, byLabel selectors, err error) {
	ad = &l2Advertisement{name: a.Name, interfaces: a.Spec.Interfaces, refresh: a.Spec.Refresh(), probes: a.Spec.Probes()}
	nodeSelectors, err := compileSelectors(a.Spec.NodeSelectors)
	if err != nil {
		return nil, nil, fmt.Errorf("nodeSelectors: %w", err)
	}
	ad.nodes = nodes.matching(nodeSelectors)
	if ad.services, err = compileSelectors(a.Spec.ServiceSelectors); err != nil {
		return nil, nil, fmt.Errorf("serviceSelectors: %w", err)
	}
	if byLabel, err = compileSelectors(a.Spec.IPAddressPoolSelectors); err != nil {
		return nil, nil, fmt.Errorf("ipAddressPoolSelectors: %w", err)
	}
	for _, p := range a.Spec.PreferredNodeSelectors {
		if err := ad.prefer(p, nodes); err != nil {
			return nil, nil, fmt.Errorf("preferredNodeSelectors: %w", err)
		}
	}
	return ad, byLabel, nil
}

// prefer adds a preference's weight to the nodes it matches; only nodes that the advertisement selects score.
func (ad *l2Advertisement) prefer(p metallb.PreferredNodeSelector, nodes *nodeList) error {
	preference, err := compileSelectors([]metav1.LabelSelector{p.Preference})
	if err != nil {
		return err
	}
	if ad.scores == nil {
		ad.scores = make([]int, len(nodes.list))
	}
	for i := range ad.nodes.and(nodes.matching(preference)).members() {
		ad.scores[i] += int(p.Weight)
	}
	return nil
}
