package rules

import (
	"fmt"
	"slices"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
)

// checkPool applies P1 to P7 and X1, and X2, X3, X10 and X11 where the pool's addresses or labels change. It warns of addresses
// that are those of Nodes.
func checkPool(ix *index, obj, old *metallb.IPAddressPool, on *cluster, spec *field.Path) (errs field.ErrorList, warnings []string) {
	p := indexPool(obj)
	errs = checkUniqueName(ix, p, old == nil)
	if old == nil || !apiequality.Semantic.DeepEqual(old.Spec, obj.Spec) {
		errs = append(errs, checkAddresses(ix, p, spec.Child("addresses"))...)
		if to := obj.Spec.AllocateTo; to != nil {
			at := spec.Child("serviceAllocation")
			errs = append(errs, unique(to.Namespaces, "in namespaces field", at.Child("namespaces"))...)
			errs = append(errs, checkSelectors(to.NamespaceSelectors, at, "namespaceSelectors")...)
			errs = append(errs, checkSelectors(to.ServiceSelectors, at, "serviceSelectors")...)
			errs = append(errs, checkCooldown(to.Cooldown, at.Child("cooldown"))...)
		}
		errs = append(errs, checkQuota(obj.Spec.Quota, spec.Child("quota"))...)
	}
	if len(errs) == 0 && (old == nil || !slices.Equal(old.Spec.Addresses, obj.Spec.Addresses) ||
		!apiequality.Semantic.DeepEqual(old.Labels, obj.Labels)) {
		errs = checkBesideAdvertisements(ix, p, old, on, spec)
		errs = append(errs, checkEchoOfPool(ix, p, old, on, spec)...)
		errs = append(errs, checkBesideProbes(ix, p, spec)...)
	}
	if len(errs) == 0 && (old == nil || !slices.Equal(old.Spec.Addresses, obj.Spec.Addresses)) {
		warnings = nodeAddressWarnings(p, on.nodes)
	}
	return errs, warnings
}

// checkAddresses applies P1 to P5 and X1, and refuses addresses that no Service can have. Each item is reported for the
// first kind of thing that is wrong with it, and beside each pool that it overlaps. The cost grows with the number of
// the pool's items, times the logarithm of that and of the number of all.
func checkAddresses(ix *index, p *pool, path *field.Path) field.ErrorList {
	items := p.Spec.Addresses
	if len(items) == 0 {
		return field.ErrorList{field.Required(path, "pool has no prefixes defined: give at least one CIDR or range")}
	}
	members := make([]*member, len(items)) // by place; nil where nothing could be read
	for _, m := range p.members {
		members[m.index] = m
	}
	within := map[*member]*member{}
	for _, c := range clashes(p.members) {
		if within[c.later] == nil && within[c.earlier] == nil {
			within[c.later] = c.earlier
		}
	}
	var errs field.ErrorList
	for i, m := range members {
		if len(errs) > maxErrors {
			break
		}
		if m == nil {
			_, err := addrrange.Parse(items[i])
			errs = append(errs, field.Invalid(path.Index(i), items[i], err.Error()))
		} else if why := unassignable(m.Range); why != "" {
			errs = append(errs, field.Invalid(path.Index(i), items[i], why))
		} else if other := within[m]; other != nil {
			errs = append(errs, overlapError(path, m, other, "this pool"))
		} else {
			errs = append(errs, overlapsOfOthers(ix, m, path)...)
		}
	}
	return errs
}

// overlapsOfOthers reports an item once for each other pool that it overlaps.
func overlapsOfOthers(ix *index, m *member, path *field.Path) (errs field.ErrorList) {
	reported := map[*pool]bool{}
	for other := range ix.ranges.overlapping(m.Range) {
		if len(errs) > maxErrors {
			break
		}
		// The version before is no other; all pools are in the system namespace.
		if other.pool.Name == m.pool.Name && other.pool.kind == m.pool.kind || reported[other.pool] {
			continue
		}
		reported[other.pool] = true
		errs = append(errs, overlapError(path, m, other, other.pool.String()))
	}
	return errs
}

// overlapError names the other item, its owner and the shared addresses, in words that scripts written for MetalLB
// look for.
func overlapError(path *field.Path, m, other *member, owner string) *field.Error {
	shared, _ := m.Intersect(other.Range)
	text := strings.TrimSpace(other.pool.text(other))
	return field.Invalid(path.Index(m.index), m.pool.text(m), fmt.Sprintf("overlaps %s of %s (%s overlaps with already defined CIDR %s)",
		text, owner, shared, text))
}
