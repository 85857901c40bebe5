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

// checkBesidePools applies X2 and X3 to an advertisement. X2 is reported for each pool, X3 for each advertisement, in
// the way of this one.
func checkBesidePools(ix *index, ad *advertisement, old *metallb.BGPAdvertisement, on *cluster, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, family := range []family{ipv4, ipv6} {
		errs = append(errs, checkLength(ix, ad, family, spec)...)
	}
	if old != nil && samePreference(&old.Spec, &ad.Spec) {
		return errs
	}
	for _, other := range ix.advertisements {
		if len(errs) > maxErrors {
			break
		}
		if other.Name == ad.Name || !contradict(ad, other, on) {
			continue
		}
		if p := ix.sameRoutesOf(ad, other); p != nil {
			errs = append(errs, preferenceError(spec, ad.Spec.Preference(), other.Spec.Preference(), fmt.Sprintf(
				"of BGPAdvertisement %q: both advertise IPAddressPool %q with the same aggregation length to the same peers from the same nodes",
				other.Name, p.Name)))
		}
	}
	return errs
}

// sameRoutesOf finds a pool of which two advertisements make the same routes.
func (ix *index) sameRoutesOf(a, b *advertisement) *pool {
	if a.length4 != b.length4 && a.length6 != b.length6 {
		return nil
	}
	fewer, more := a, b
	if a.all || !b.all && len(b.byLabel) < len(a.byLabel) {
		fewer, more = b, a
	}
	for p := range ix.pools.selected(&fewer.poolSelection) {
		if sameRoutes(a, b, p) && more.selects(p.IPAddressPool) {
			return p
		}
	}
	return nil
}

// checkBesideAdvertisements applies X2 and X3 to a pool whose addresses or labels change.
func checkBesideAdvertisements(ix *index, p *pool, old *metallb.IPAddressPool, on *cluster, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	var ours []*advertisement
	for _, ad := range ix.advertisements {
		if !ad.selects(p.IPAddressPool) {
			continue
		}
		ours = append(ours, ad)
		for _, family := range []family{ipv4, ipv6} {
			if m := family.tooNarrow(ad, p); m != nil && len(errs) <= maxErrors {
				errs = append(errs, field.Invalid(spec.Child("addresses").Index(m.index), p.text(m), fmt.Sprintf(
					"%s (%s of BGPAdvertisement %q, which selects this pool)", tooNarrowFor(ad.length(family), m), family.field, ad.Name)))
			}
		}
	}
	if !mayContradict(ours, p, on) {
		return errs
	}
	var before *pool
	if old != nil {
		before = indexPool(old)
	}
	for i, ad := range ours {
		for _, other := range ours[:i] {
			if !sameRoutes(ad, other, p) || sameRoutesBefore(ad, other, before) || !contradict(ad, other, on) {
				continue
			}
			errs = append(errs, preferencesOfPool(p, other, ad, before, spec))
			if len(errs) > maxErrors {
				return errs
			}
		}
	}
	return errs
}

// family is what differs between the address families.
type family struct {
	field     string
	is4       bool
	hostRoute int
}

var (
	ipv4 = family{"aggregationLength", true, hostRouteV4}
	ipv6 = family{"aggregationLengthV6", false, hostRouteV6}
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
func checkLength(ix *index, ad *advertisement, f family, spec *field.Path) (errs field.ErrorList) {
	if ad.length(f) >= f.hostRoute {
		return nil
	}
	for p := range ix.pools.selected(&ad.poolSelection) {
		if m := f.tooNarrow(ad, p); m != nil {
			errs = append(errs, field.Invalid(spec.Child(f.field), ad.length(f), fmt.Sprintf("%s (spec.addresses[%d] of IPAddressPool %q)",
				tooNarrowFor(ad.length(f), m), m.index, p.Name)))
		}
		if len(errs) > maxErrors {
			break
		}
	}
	return errs
}

// preferenceError reports X3 at the first field in which two preferences differ.
func preferenceError(spec *field.Path, mine, other metallb.Preference, whose string) *field.Error {
	name, _, theirs := mine.Difference(other)
	var value any
	switch {
	case name == "localPref":
		value = mine.LocalPref
	case name == "asPathPrepend":
		value = mine.ASPathPrepend
	case mine.MED >= 0:
		value = mine.MED
	}
	return field.Invalid(spec.Child(name), value, fmt.Sprintf("conflicts with %s %s %s", name, theirs, whose))
}

// contradict says whether two advertisements want different preferences seen by the same peers from the same nodes
// (X3). Those that select Services are judged when Services are announced.
func contradict(a, b *advertisement, on *cluster) bool {
	if a.Spec.Preference() == b.Spec.Preference() || len(a.Spec.ServiceSelectors) > 0 || len(b.Spec.ServiceSelectors) > 0 {
		return false
	}
	if len(a.peers) > 0 && len(b.peers) > 0 && !intersect(a.peers, b.peers) {
		return false
	}
	_, meet := share(a.nodes, b.nodes, on)
	return meet
}

func intersect(a, b map[string]bool) bool {
	if len(b) < len(a) {
		a, b = b, a
	}
	for v := range a {
		if b[v] {
			return true
		}
	}
	return false
}

// sameRoutes says whether two advertisements make the same routes of a pool's addresses, in any of its families.
func sameRoutes(a, b *advertisement, p *pool) bool {
	return p.narrowest4 >= 0 && a.length4 == b.length4 || p.narrowest6 >= 0 && a.length6 == b.length6
}

// sameRoutesBefore says whether they did so before the pool changed; before is nil when there was none.
func sameRoutesBefore(a, b *advertisement, before *pool) bool {
	return before != nil && a.selects(before.IPAddressPool) && b.selects(before.IPAddressPool) && sameRoutes(a, b, before)
}

// preferencesOfPool reports X3 at what brings the pool to the two advertisements.
func preferencesOfPool(p *pool, a, b *advertisement, before *pool, spec *field.Path) *field.Error {
	name, ofA, ofB := a.Spec.Preference().Difference(b.Spec.Preference())
	why := fmt.Sprintf("BGPAdvertisements %q and %q would advertise this pool with the same aggregation length to the same peers from the same nodes, with conflicting %s %s and %s",
		a.Name, b.Name, name, ofA, ofB)
	if before != nil && a.selects(before.IPAddressPool) && b.selects(before.IPAddressPool) {
		// It has got a family, and with it a first item of that family.
		i := slices.IndexFunc(p.members, func(m *member) bool {
			return m.Is4() && a.length4 == b.length4 || !m.Is4() && a.length6 == b.length6
		})
		return field.Invalid(spec.Child("addresses").Index(p.members[i].index), p.text(p.members[i]), why)
	}
	return atSelection(p, why, a, b)
}

// atSelection reports what is wrong with a pool because advertisements select it: at its labels, or at its name.
func atSelection(p *pool, why string, by ...*advertisement) *field.Error {
	metadata := field.NewPath("metadata")
	if slices.ContainsFunc(by, func(ad *advertisement) bool { return !ad.all && !ad.names[p.Name] }) {
		return field.Invalid(metadata.Child("labels"), metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: p.Labels}), why)
	}
	return field.Invalid(metadata.Child("name"), p.Name, why)
}

// samePreference says whether two versions of an advertisement contradict the same others.
func samePreference(a, b *metallb.BGPAdvertisementSpec) bool {
	x, y := *a, *b
	x.Communities, y.Communities = nil, nil
	return apiequality.Semantic.DeepEqual(x, y)
}
