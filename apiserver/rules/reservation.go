package rules

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
)

// reservation is an IPReservation with its ranges. Items that are wrong are missing.
type reservation struct {
	*metallb.IPReservation
	ranges []reservedRange // in ascending order
}

// reservedRange is a range with its place in a reservation's list.
type reservedRange struct {
	addrrange.Range
	index int
}

func indexReservation(r *metallb.IPReservation) *reservation {
	made := &reservation{IPReservation: r}
	for i, text := range r.Spec.Addresses {
		if parsed, err := addrrange.ParseAny(text); err == nil {
			made.ranges = append(made.ranges, reservedRange{parsed, i})
		}
	}
	slices.SortFunc(made.ranges, func(a, b reservedRange) int {
		return cmp.Or(a.First().Compare(b.First()), cmp.Compare(a.index, b.index))
	})
	return made
}

func (r *reservation) text(of reservedRange) string {
	return strings.TrimSpace(r.Spec.Addresses[of.index])
}

// checkReservation refuses a reservation that shares an address with another, and warns about one of addresses that no
// pool has. The cost grows with the number of all reserved ranges, times the logarithm of its own.
func checkReservation(ix *index, obj *metallb.IPReservation, holders []Holder, spec *field.Path) (errs field.ErrorList, warnings []string) {
	s, path := &obj.Spec, spec.Child("addresses")
	if s.Namespace != "" {
		errs = append(errs, checkName(s.Namespace, spec.Child("namespace"))...)
	}
	if s.Service != "" {
		errs = append(errs, checkName(s.Service, spec.Child("service"))...)
		if s.Namespace == "" {
			errs = append(errs, field.Required(spec.Child("namespace"), "service names a Service of it"))
		}
	}
	if len(s.Addresses) == 0 {
		return append(errs, field.Required(path, "give at least one address, CIDR or range")), nil
	}
	r := indexReservation(obj)
	if len(r.ranges) < len(s.Addresses) {
		for i, text := range s.Addresses {
			if _, err := addrrange.ParseAny(text); err != nil {
				errs = append(errs, field.Invalid(path.Index(i), text, err.Error()))
			}
		}
	}
	errs = append(errs, r.overlapsItself(path)...)
	if len(errs) > 0 {
		return errs, nil
	}
	for _, other := range ix.reservations {
		if other.Name != r.Name { // else the version before; all reservations are in the system namespace
			errs = append(errs, r.overlaps(other, path)...)
		}
	}
	if len(errs) > 0 {
		return errs, nil
	}
	for i, text := range s.Addresses {
		if parsed, err := addrrange.ParseAny(text); err == nil && ix.ranges.any(parsed) == nil {
			warnings = append(warnings, fmt.Sprintf("%s: no IPAddressPool has %s (yet)", path.Index(i), strings.TrimSpace(text)))
		}
	}
	return nil, append(warnings, r.strangers(holders)...)
}

// strangers warns of the Services that hold addresses which are reserved for others now.
func (r *reservation) strangers(holders []Holder) []string {
	var found []string
	for _, h := range holders {
		namespace, name, _ := strings.Cut(h.Name, "/")
		if r.Spec.Namespace == namespace && (r.Spec.Service == "" || r.Spec.Service == name) {
			continue
		}
		for _, a := range h.Addresses {
			if slices.ContainsFunc(r.ranges, func(of reservedRange) bool { return of.Contains(a) }) {
				found = append(found, fmt.Sprintf("Service %s (%s)", h.Name, a))
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	slices.Sort(found)
	more := ""
	if n := len(found) - mostUsers; n > 0 {
		found, more = found[:mostUsers], fmt.Sprintf(" and %d more", n)
	}
	return []string{"addresses are held, and kept until they are released, by " + strings.Join(found, ", ") + more}
}

func (r *reservation) overlapsItself(path *field.Path) (errs field.ErrorList) {
	for i := 1; i < len(r.ranges); i++ {
		earlier, later := r.ranges[i-1], r.ranges[i]
		if !earlier.Overlaps(later.Range) {
			continue
		}
		if later.index < earlier.index {
			earlier, later = later, earlier
		}
		errs = append(errs, field.Invalid(path.Index(later.index), r.text(later), fmt.Sprintf("overlaps %s of this reservation", r.text(earlier))))
	}
	return errs
}

// overlaps names the first address range of r that another reservation has part of. The ranges of both are disjoint.
func (r *reservation) overlaps(other *reservation, path *field.Path) field.ErrorList {
	for _, o := range other.ranges {
		i := sort.Search(len(r.ranges), func(i int) bool { return !r.ranges[i].Last().Less(o.First()) })
		if i < len(r.ranges) && r.ranges[i].Overlaps(o.Range) {
			mine := r.ranges[i]
			return field.ErrorList{field.Invalid(path.Index(mine.index), r.text(mine),
				fmt.Sprintf("overlaps %s of IPReservation %q", other.text(o), other.Name))}
		}
	}
	return nil
}
