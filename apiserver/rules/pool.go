package rules

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
)

// checkPool applies P1 to P7 and X1.
func checkPool(c *metallb.Configuration, pool *metallb.IPAddressPool, spec *field.Path) (field.ErrorList, []string) {
	errs := checkAddresses(c, pool, spec.Child("addresses"))
	if to := pool.Spec.AllocateTo; to != nil {
		at := spec.Child("serviceAllocation")
		errs = append(errs, unique(to.Namespaces, "in namespaces field", at.Child("namespaces"))...)
		errs = append(errs, checkSelectors(to.NamespaceSelectors, at, "namespaceSelectors")...)
		errs = append(errs, checkSelectors(to.ServiceSelectors, at, "serviceSelectors")...)
	}
	return errs, nil
}

// entry is one item of a pool's addresses.
type entry struct {
	addrrange.Range
	text  string // as the user wrote it
	owner string // who has it, for messages
}

// checkAddresses applies P1 to P5 and X1. Each item is reported once, for the first thing that is wrong with it.
func checkAddresses(c *metallb.Configuration, pool *metallb.IPAddressPool, path *field.Path) field.ErrorList {
	if len(pool.Spec.Addresses) == 0 {
		return field.ErrorList{field.Required(path, "pool has no prefixes defined: give at least one CIDR or range")}
	}
	var errs field.ErrorList
	var own []entry
	others := entriesOfOthers(c, pool)
	for i, text := range pool.Spec.Addresses {
		at := path.Index(i)
		r, err := addrrange.Parse(text)
		if err != nil {
			errs = append(errs, field.Invalid(at, text, err.Error()))
			continue
		}
		if e, found := overlapping(r, own); found {
			errs = append(errs, overlapError(at, text, r, e))
		} else if e, found := overlapping(r, others); found {
			errs = append(errs, overlapError(at, text, r, e))
		}
		own = append(own, entry{r, text, "this pool"})
	}
	return errs
}

// entriesOfOthers lists the addresses of all pools but the one that pool is a version of.
func entriesOfOthers(c *metallb.Configuration, pool *metallb.IPAddressPool) []entry {
	var entries []entry
	for _, other := range c.IPAddressPools {
		if other.Name == pool.Name { // all are in the system namespace
			continue
		}
		for _, text := range other.Spec.Addresses {
			// What does not parse overlaps nothing. It is not this object's fault, and stored objects do parse.
			if r, err := addrrange.Parse(text); err == nil {
				entries = append(entries, entry{r, text, fmt.Sprintf("IPAddressPool %q", other.Name)})
			}
		}
	}
	return entries
}

func overlapping(r addrrange.Range, entries []entry) (entry, bool) {
	for _, e := range entries {
		if r.Overlaps(e.Range) {
			return e, true
		}
	}
	return entry{}, false
}

// overlapError names the other entry, its owner and the shared addresses, in words that scripts written for MetalLB
// look for.
func overlapError(at *field.Path, text string, r addrrange.Range, e entry) *field.Error {
	shared, _ := r.Intersect(e.Range)
	other := strings.TrimSpace(e.text)
	return field.Invalid(at, text, fmt.Sprintf("overlaps %s of %s (%s overlaps with already defined CIDR %s)",
		other, e.owner, shared, other))
}
