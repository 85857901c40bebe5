package rules

import (
	"cmp"
	"net/netip"
	"slices"
	"sort"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
)

// member is a range with its place in a pool's list.
type member struct {
	addrrange.Range
	pool  *pool
	index int
}

// disjoint holds ranges of which no two overlap, in ascending order; IPv4 comes before IPv6.
type disjoint []*member

// overlapping returns the members that share an address with r.
func (d disjoint) overlapping(r addrrange.Range) []*member {
	from := d.firstEndingFrom(r)
	to := from
	for to < len(d) && !r.Last().Less(d[to].First()) {
		to++
	}
	return d[from:to]
}

// at returns the member that holds a, or nil.
func (d disjoint) at(a netip.Addr) *member {
	i := sort.Search(len(d), func(i int) bool { return !d[i].Last().Less(a) })
	if i == len(d) || !d[i].Contains(a) {
		return nil
	}
	return d[i]
}

// firstEndingFrom finds the first member that does not end before r begins.
func (d disjoint) firstEndingFrom(r addrrange.Range) int {
	return sort.Search(len(d), func(i int) bool { return !d[i].Last().Less(r.First()) })
}

// replace returns d without gone, all of which are in it, and with come. A newcomer that overlaps is left out: in a
// valid configuration there is none.
func (d disjoint) replace(gone, come []*member) disjoint {
	made := disjoint(replace(d, gone, nil, byFirst))
	if len(come) > few {
		made = replace(made, nil, come, byFirst)
		return slices.CompactFunc(made, func(a, b *member) bool { return !a.Last().Less(b.First()) })
	}
	var fit disjoint
	for _, m := range come {
		if len(made.overlapping(m.Range)) == 0 && !slices.ContainsFunc(fit, func(o *member) bool { return o.Overlaps(m.Range) }) {
			fit = append(fit, m)
		}
	}
	return replace(made, nil, fit, byFirst)
}

// byFirst orders ranges by their first address, and equal ones by their place.
func byFirst(a, b *member) int {
	return cmp.Or(a.First().Compare(b.First()), cmp.Compare(a.index, b.index))
}

// clash is two ranges that overlap; later stands behind earlier in the list.
type clash struct{ earlier, later *member }

// clashes finds out which members of one list overlap: for each set of overlapping ranges one pair at least.
func clashes(members []*member) []clash {
	sorted := slices.Clone(members)
	slices.SortFunc(sorted, byFirst)
	var found []clash
	var reach *member // of those so far the one that ends last
	for _, m := range sorted {
		if reach != nil && !reach.Last().Less(m.First()) {
			c := clash{reach, m}
			if c.later.index < c.earlier.index {
				c = clash{m, reach}
			}
			found = append(found, c)
		}
		if reach == nil || reach.Last().Less(m.Last()) {
			reach = m
		}
	}
	return found
}
