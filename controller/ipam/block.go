package ipam

import (
	"net/netip"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
)

// block is one range of a pool and which of its addresses may be given away.
type block struct {
	pool   *pool
	span   addrrange.Range
	family Family
	avoid  bool // addresses ending in .0 and .255 are not part of it

	first, last index // of the usable addresses
	inUse       int64
	// public has the addresses that are reserved for nobody in particular, lots the others by whom they are for.
	public *lot
	lots   map[owner]*lot
}

// newBlock returns nil where the range has no usable address.
func newBlock(p *pool, span addrrange.Range) *block {
	b := &block{pool: p, span: span, family: FamilyOf(span.First())}
	b.avoid = p.AvoidBuggyIPs && b.family == IPv4
	all, ok := b.indices(span)
	if !ok {
		return nil
	}
	b.first, b.last = all.first, all.last
	b.public = newLot()
	b.public.free.add(all)
	return b
}

// indices are those of the usable addresses of span, which lies within the block's range.
func (b *block) indices(span addrrange.Range) (of run, ok bool) {
	of = run{plain(span.First()), plain(span.Last())}
	if !b.avoid {
		return of, true
	}
	end := usableBelow(of.last.lo + 1)
	of.first = index{lo: usableBelow(of.first.lo)}
	of.last = index{lo: end - 1}
	return of, of.first.lo < end
}

// usable reports whether a is one of the block's addresses.
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

// lotFor is the lot of addresses for o, nil where there is none.
func (b *block) lotFor(o owner) *lot {
	if o == everybody {
		return b.public
	}
	return b.lots[o]
}

// makeLot is lotFor that makes what there is not.
func (b *block) makeLot(o owner) *lot {
	if l := b.lotFor(o); l != nil {
		return l
	}
	if b.lots == nil {
		b.lots = map[owner]*lot{}
	}
	l := newLot()
	b.lots[o] = l
	return l
}

// sizeLessOne is the number of usable addresses, less one so that all of IPv6 fits.
func (b *block) sizeLessOne() index { return b.last.minus(b.first) }
