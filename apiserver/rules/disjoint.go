package rules

import (
	"slices"
	"sort"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
)

// member is a range with its place in a pool's list.
type member struct {
	addrrange.Range
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

// with adds a member, which must not overlap those that are there.
func (d disjoint) with(m member) disjoint {
	return slices.Insert(d, d.firstEndingFrom(m.Range), &m)
}

// firstEndingFrom finds the first member that does not end before r begins.
func (d disjoint) firstEndingFrom(r addrrange.Range) int {
	return sort.Search(len(d), func(i int) bool { return !d[i].Last().Less(r.First()) })
}
