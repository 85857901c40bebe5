package ipam

import (
	"net/netip"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
)

// block is one range of a pool and which of its addresses are in use.
type block struct {
	pool   *pool
	span   addrrange.Range
	family Family
	avoid  bool // addresses ending in .0 and .255 are not part of it

	first, last index // of the usable addresses
	used        runs
	inUse       int64
}

// newBlock returns nil where the range has no usable address.
func newBlock(p *pool, span addrrange.Range) *block {
	b := &block{pool: p, span: span, family: FamilyOf(span.First()), used: newRuns()}
	b.avoid = p.AvoidBuggyIPs && b.family == IPv4
	b.first, b.last = plain(span.First()), plain(span.Last())
	if !b.avoid {
		return b
	}
	end := usableBelow(b.last.lo + 1)
	b.first = index{lo: usableBelow(b.first.lo)}
	if end <= b.first.lo {
		return nil
	}
	b.last = index{lo: end - 1}
	return b
}

// usable reports whether the block may give a away.
func (b *block) usable(a netip.Addr) bool {
	return b.span.Contains(a) && !(b.avoid && buggy(a))
}

func (b *block) indexOf(a netip.Addr) index {
	if b.avoid {
		return index{lo: usableBelow(plain(a).lo)}
	}
	return plain(a)
}

func (b *block) addrOf(i index) netip.Addr {
	if b.avoid {
		return usableAddr(i)
	}
	return plainAddr(i, b.family)
}

func (b *block) take(a netip.Addr) {
	b.used.add(b.indexOf(a))
	b.inUse++
}

func (b *block) free(a netip.Addr) {
	b.used.remove(b.indexOf(a))
	b.inUse--
}

// lowestFree is the lowest address that nobody holds.
func (b *block) lowestFree() (netip.Addr, bool) {
	i, ok := b.used.lowestAbsent(b.first, b.last)
	if !ok {
		return netip.Addr{}, false
	}
	return b.addrOf(i), true
}

// sizeLessOne is the number of usable addresses, less one so that all of IPv6 fits.
func (b *block) sizeLessOne() index { return b.last.minus(b.first) }
