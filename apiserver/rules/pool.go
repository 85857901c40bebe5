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

// checkPool applies P1 to P7 and X1, and X2 and X3 where the pool's addresses or labels change.
func checkPool(ix *index, obj, old *metallb.IPAddressPool, nodes []Node, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	p := indexPool(obj)
	if old == nil || !apiequality.Semantic.DeepEqual(old.Spec, obj.Spec) {
		errs = checkAddresses(ix, p, spec.Child("addresses"))
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
		errs = checkBesideAdvertisements(ix, p, old, nodes, spec)
	}
	return errs
}

// checkAddresses applies P1 to P5 and X1, and refuses addresses that no Service can have. Each item is reported once,
// for the first thing that is wrong with it. The cost grows with the number of the pool's items, times the logarithm
// of that and of the number of all.
func checkAddresses(ix *index, p *pool, path *field.Path) field.ErrorList {
	items := p.Spec.Addresses
	if len(items) == 0 {
		return field.ErrorList{field.Required(path, "pool has no prefixes defined: give at least one CIDR or range")}
	}
	problems := make([]*field.Error, len(items))
	if len(p.members) < len(items) {
		for i, text := range items {
			if _, err := addrrange.Parse(text); err != nil {
				problems[i] = field.Invalid(path.Index(i), text, err.Error())
			}
		}
	}
	for _, m := range p.members {
		if why := unassignable(m.Range); why != "" {
			problems[m.index] = field.Invalid(path.Index(m.index), p.text(m), why)
		}
	}
	for _, c := range clashes(p.members) {
		if problems[c.later.index] == nil && problems[c.earlier.index] == nil {
			problems[c.later.index] = overlapError(path, c.later, c.earlier, "this pool")
		}
	}
	for _, m := range p.members {
		if problems[m.index] != nil {
			continue
		}
		for _, other := range ix.ranges.overlapping(m.Range) {
			if other.pool.Name != p.Name { // else the version before; all pools are in the system namespace
				problems[m.index] = overlapError(path, m, other, fmt.Sprintf("IPAddressPool %q", other.pool.Name))
				break
			}
		}
	}
	return slices.DeleteFunc(problems, func(e *field.Error) bool { return e == nil })
}

// overlapError names the other item, its owner and the shared addresses, in words that scripts written for MetalLB
// look for.
func overlapError(path *field.Path, m, other *member, owner string) *field.Error {
	shared, _ := m.Intersect(other.Range)
	text := strings.TrimSpace(other.pool.text(other))
	return field.Invalid(path.Index(m.index), m.pool.text(m), fmt.Sprintf("overlaps %s of %s (%s overlaps with already defined CIDR %s)",
		text, owner, shared, text))
}
