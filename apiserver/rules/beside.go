package rules

import (
	"fmt"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// X2 and X3 bind pools and advertisements to each other. Whichever is written last is judged: an advertisement beside
// the pools that it selects, a pool beside the advertisements that select it.

// checkBesidePools applies X2 and X3 to an advertisement. Of each kind of error one is reported, for the first pool.
func checkBesidePools(ix *index, obj, old *metallb.BGPAdvertisement, nodes []Node, spec *field.Path) field.ErrorList {
	ad := indexAdvertisement(obj)
	var errs field.ErrorList
	for _, family := range []family{ipv4, ipv6} {
		if e := checkLength(ix, ad, family, spec); e != nil {
			errs = append(errs, e)
		}
	}
	if old != nil && samePreference(&old.Spec, &obj.Spec) {
		return errs
	}
	for _, other := range ix.advertisements {
		if other.Name == ad.Name || !contradict(ad, other, nodes) {
			continue
		}
		for _, p := range ix.pools {
			if sameRoutes(ad, other, p) && ad.selects(p.IPAddressPool) && other.selects(p.IPAddressPool) {
				return append(errs, field.Invalid(spec.Child("localPref"), ad.Spec.LocalPref, fmt.Sprintf(
					"conflicts with localPref %d of BGPAdvertisement %q: both advertise IPAddressPool %q with the same aggregation length to the same peers from the same nodes",
					other.Spec.LocalPref, other.Name, p.Name)))
			}
		}
	}
	return errs
}

// checkBesideAdvertisements applies X2 and X3 to a pool whose addresses or labels change.
func checkBesideAdvertisements(ix *index, p *pool, old *metallb.IPAddressPool, nodes []Node, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	var ours []*advertisement
	for _, ad := range ix.advertisements {
		if !ad.selects(p.IPAddressPool) {
			continue
		}
		ours = append(ours, ad)
		for _, family := range []family{ipv4, ipv6} {
			if m := family.tooNarrow(ad, p); m != nil {
				errs = append(errs, field.Invalid(spec.Child("addresses").Index(m.index), p.text(m), fmt.Sprintf(
					"%s (%s of BGPAdvertisement %q, which selects this pool)", tooNarrowFor(ad.length(family), m), family.field, ad.Name)))
			}
		}
	}
	for i, ad := range ours {
		for _, other := range ours[:i] {
			if sameRoutes(ad, other, p) && (old == nil || !sameRoutesBefore(ad, other, old)) && contradict(ad, other, nodes) {
				return append(errs, preferencesOfPool(p, other, ad, old, spec))
			}
		}
	}
	return errs
}

// family is what differs between the address families.
type family struct {
	field string
	is4   bool
}

var (
	ipv4 = family{"aggregationLength", true}
	ipv6 = family{"aggregationLengthV6", false}
)

func (a *advertisement) length(f family) int {
	if f.is4 {
		return a.length4
	}
	return a.length6
}

func (p *pool) narrowest(f family) int {
	if f.is4 {
		return p.narrowest4
	}
	return p.narrowest6
}

// tooNarrow finds the first item of the pool that the advertisement's routes would reach beyond.
func (f family) tooNarrow(ad *advertisement, p *pool) *member {
	length := ad.length(f)
	if length >= p.narrowest(f) {
		return nil
	}
	i := slices.IndexFunc(p.members, func(m *member) bool { return m.Is4() == f.is4 && length < m.WidestBits() })
	if i < 0 {
		return nil
	}
	return p.members[i]
}

// tooNarrowFor is X2 in MetalLB's words, which scripts look for.
func tooNarrowFor(length int, m *member) string {
	return fmt.Sprintf("invalid aggregation length %d: prefix %d in this pool is more specific than the aggregation length for addresses %s",
		length, m.WidestBits(), m.pool.text(m))
}

// checkLength applies X2 to one length of an advertisement.
func checkLength(ix *index, ad *advertisement, f family, spec *field.Path) *field.Error {
	for _, p := range ix.pools {
		if ad.length(f) >= p.narrowest(f) || !ad.selects(p.IPAddressPool) {
			continue
		}
		if m := f.tooNarrow(ad, p); m != nil {
			return field.Invalid(spec.Child(f.field), ad.length(f), fmt.Sprintf("%s (spec.addresses[%d] of IPAddressPool %q)",
				tooNarrowFor(ad.length(f), m), m.index, p.Name))
		}
	}
	return nil
}

// contradict says whether two advertisements want different local preferences seen by the same peers from the same
// nodes (X3). Those that select Services are judged when Services are announced.
func contradict(a, b *advertisement, nodes []Node) bool {
	if a.Spec.LocalPref == b.Spec.LocalPref || len(a.Spec.ServiceSelectors) > 0 || len(b.Spec.ServiceSelectors) > 0 {
		return false
	}
	if len(a.Spec.Peers) > 0 && len(b.Spec.Peers) > 0 &&
		!slices.ContainsFunc(a.Spec.Peers, func(peer string) bool { return slices.Contains(b.Spec.Peers, peer) }) {
		return false
	}
	_, meet := share(selectionOf(a.Spec.NodeSelectors), selectionOf(b.Spec.NodeSelectors), nodes)
	return meet
}

// sameRoutes says whether two advertisements make the same routes of a pool's addresses, in any of its families.
func sameRoutes(a, b *advertisement, p *pool) bool {
	return p.narrowest4 >= 0 && a.length4 == b.length4 || p.narrowest6 >= 0 && a.length6 == b.length6
}

// sameRoutesBefore says whether they did so before the pool changed.
func sameRoutesBefore(a, b *advertisement, old *metallb.IPAddressPool) bool {
	return a.selects(old) && b.selects(old) && sameRoutes(a, b, indexPool(old))
}

// preferencesOfPool reports X3 at what brings the pool to the two advertisements.
func preferencesOfPool(p *pool, a, b *advertisement, old *metallb.IPAddressPool, spec *field.Path) *field.Error {
	byLabel := func(ad *advertisement) bool { return !ad.all && !ad.names[p.Name] }
	why := fmt.Sprintf("BGPAdvertisements %q and %q would advertise this pool with the same aggregation length to the same peers from the same nodes, with conflicting localPref %d and %d",
		a.Name, b.Name, a.Spec.LocalPref, b.Spec.LocalPref)
	switch {
	case old != nil && a.selects(old) && b.selects(old):
		return field.Invalid(spec.Child("addresses"), p.Spec.Addresses, why)
	case byLabel(a) || byLabel(b):
		return field.Invalid(field.NewPath("metadata", "labels"), metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: p.Labels}), why)
	}
	return field.Invalid(field.NewPath("metadata", "name"), p.Name, why)
}

// samePreference says whether two versions of an advertisement contradict the same others.
func samePreference(a, b *metallb.BGPAdvertisementSpec) bool {
	x, y := *a, *b
	x.Communities, y.Communities = nil, nil
	return apiequality.Semantic.DeepEqual(x, y)
}
