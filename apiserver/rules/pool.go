package rules

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
)

// checkPool applies P1 to P7 and X1.
func checkPool(c *metallb.Configuration, pool *metallb.IPAddressPool, spec *field.Path) field.ErrorList {
	errs := checkAddresses(c, pool, spec.Child("addresses"))
	if to := pool.Spec.AllocateTo; to != nil {
		at := spec.Child("serviceAllocation")
		errs = append(errs, unique(to.Namespaces, "in namespaces field", at.Child("namespaces"))...)
		errs = append(errs, checkSelectors(to.NamespaceSelectors, at, "namespaceSelectors")...)
		errs = append(errs, checkSelectors(to.ServiceSelectors, at, "serviceSelectors")...)
	}
	return errs
}

// checkAddresses applies P1 to P5 and X1. Each item is reported once, for the first thing that is wrong with it. What
// it costs grows with the number of items checked times its logarithm, and with the number of items of other pools.
func checkAddresses(c *metallb.Configuration, pool *metallb.IPAddressPool, path *field.Path) field.ErrorList {
	items := pool.Spec.Addresses
	if len(items) == 0 {
		return field.ErrorList{field.Required(path, "pool has no prefixes defined: give at least one CIDR or range")}
	}
	problems := make([]*field.Error, len(items))
	var own disjoint
	for i, text := range items {
		r, err := addrrange.Parse(text)
		if err != nil {
			problems[i] = field.Invalid(path.Index(i), text, err.Error())
			continue
		}
		if earlier := own.overlapping(r); len(earlier) > 0 {
			e := earlier[0]
			problems[i] = overlapError(path.Index(i), text, r, items[e.index], e.Range, "this pool")
			continue
		}
		own = own.with(member{r, i})
	}
	for _, other := range c.IPAddressPools {
		if other.Name == pool.Name { // the version before; all pools are in the system namespace
			continue
		}
		for _, text := range other.Spec.Addresses {
			r, err := addrrange.Parse(text)
			if err != nil { // overlaps nothing; stored objects do parse
				continue
			}
			for _, m := range own.overlapping(r) {
				if problems[m.index] == nil {
					problems[m.index] = overlapError(path.Index(m.index), items[m.index], m.Range, text, r,
						fmt.Sprintf("IPAddressPool %q", other.Name))
				}
			}
		}
	}
	return slices.DeleteFunc(problems, func(e *field.Error) bool { return e == nil })
}

// overlapError names the other item, its owner and the shared addresses, in words that scripts written for MetalLB
// look for.
func overlapError(at *field.Path, text string, r addrrange.Range, otherText string, other addrrange.Range, owner string) *field.Error {
	shared, _ := r.Intersect(other)
	otherText = strings.TrimSpace(otherText)
	return field.Invalid(at, text, fmt.Sprintf("overlaps %s of %s (%s overlaps with already defined CIDR %s)",
		otherText, owner, shared, otherText))
}
