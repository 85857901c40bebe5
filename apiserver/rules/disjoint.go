package rules

import (
	"cmp"
	"iter"
	"math"
	"net/netip"
	"slices"

	"github.com/google/btree"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
)

// member is a range with its place in a pool's list.
type member struct {
	addrrange.Range
	pool  *pool
	index int
}

// disjoint holds ranges of which no two overlap, in ascending order; IPv4 comes before IPv6. It is never changed, and
// shares what it can with its successors.
type disjoint struct{ *btree.BTreeG[*member] }

func newDisjoint() disjoint {
	return disjoint{btree.NewG(degree, func(a, b *member) bool { return byFirst(a, b) < 0 })}
}

// overlapping lists the members that share an address with r.
func (d disjoint) overlapping(r addrrange.Range) iter.Seq[*member] {
	return func(yield func(*member) bool) {
		behind := &member{Range: r, index: math.MaxInt} // all that begin where r does
		more := true
		d.DescendLessOrEqual(behind, func(m *member) bool {
			more = !m.Overlaps(r) || yield(m)
			return false
		})
		if !more {
			return
		}
		d.AscendGreaterOrEqual(behind, func(m *member) bool { return m.Overlaps(r) && yield(m) })
	}
}

// any returns one of the members that share an address with r, or nil.
func (d disjoint) any(r addrrange.Range) *member {
	for m := range d.overlapping(r) {
		return m
	}
	return nil
}

// at returns the member that holds a, or nil.
func (d disjoint) at(a netip.Addr) *member {
	return d.any(addrrange.FromPrefix(netip.PrefixFrom(a, a.BitLen())))
}

// replace returns d without gone, and with come. A newcomer that overlaps is left out: in a valid configuration there is
// none.
func (d disjoint) replace(gone, come []*member) disjoint {
	if len(gone) == 0 && len(come) == 0 {
		return d
	}
	next := disjoint{d.Clone()}
	for _, m := range gone {
		if held, ok := next.Get(m); ok && held == m {
			next.Delete(m)
		}
	}
	for _, m := range come {
		if next.any(m.Range) == nil {
			next.ReplaceOrInsert(m)
		}
	}
	return next
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
