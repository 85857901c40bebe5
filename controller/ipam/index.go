package ipam

import (
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
)

// index numbers the usable addresses of a family in ascending order without gaps, so that "the lowest free address"
// is a question about integers. Where addresses that end in .0 and .255 are avoided they have no number; otherwise the
// number is the address itself.
type index struct{ hi, lo uint64 }

func (i index) compare(o index) int {
	switch {
	case i == o:
		return 0
	case i.hi < o.hi || i.hi == o.hi && i.lo < o.lo:
		return -1
	}
	return 1
}

func (i index) less(o index) bool { return i.compare(o) < 0 }

// next wraps around after the last index, which callers exclude.
func (i index) next() index {
	lo, carry := bits.Add64(i.lo, 1, 0)
	return index{i.hi + carry, lo}
}

func (i index) prev() index {
	lo, borrow := bits.Sub64(i.lo, 1, 0)
	return index{i.hi - borrow, lo}
}

// minus is i - o for o <= i.
func (i index) minus(o index) index {
	lo, borrow := bits.Sub64(i.lo, o.lo, 0)
	return index{i.hi - o.hi - borrow, lo}
}

// plus saturates.
func (i index) plus(o index) index {
	lo, carry := bits.Add64(i.lo, o.lo, 0)
	hi, overflow := bits.Add64(i.hi, o.hi, carry)
	if overflow != 0 {
		return index{math.MaxUint64, math.MaxUint64}
	}
	return index{hi, lo}
}

// int64 saturates.
func (i index) int64() int64 {
	if i.hi != 0 || i.lo > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(i.lo)
}

// plain is the index of an address among all of its family.
func plain(a netip.Addr) index {
	if a.Is4() {
		b := a.As4()
		return index{lo: uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return index{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func plainAddr(i index, f Family) netip.Addr {
	if f == IPv4 {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(i.lo))))
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], i.hi)
	binary.BigEndian.PutUint64(b[8:], i.lo)
	return netip.AddrFrom16(b)
}

// usableOf256 is how many of 256 consecutive addresses are neither .0 nor .255.
const usableOf256 = 254

// buggy tells addresses that some clients take for a network's or a broadcast address.
func buggy(a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	b := a.As4()
	return b[3] == 0 || b[3] == 255
}

// usableBelow counts the IPv4 addresses below x that are not buggy. For one that is not buggy that is its index.
func usableBelow(x uint64) uint64 {
	rest := x & 255 // the addresses .0 to .rest-1 are below x, of which .0 is not usable
	if rest > 0 {
		rest--
	}
	return x>>8*usableOf256 + rest
}

// usableAddr is the inverse of usableBelow on addresses that are not buggy.
func usableAddr(i index) netip.Addr {
	return plainAddr(index{lo: i.lo/usableOf256<<8 + i.lo%usableOf256 + 1}, IPv4)
}
