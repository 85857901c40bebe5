package addrrange

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// WidestBits is the length of the widest prefix that lies within the range: the shortest of those that Prefixes
// lists, at no cost. It is -1 for the zero Range.
//
// Below the bits that first and last have in common, the range is cut by the address where the next bit turns to 1.
// From there up and from there down it holds aligned blocks of growing size; what counts is the largest.
func (r Range) WidestBits() int {
	if !r.IsValid() {
		return -1
	}
	const width = 128
	offset := width - r.first.BitLen()
	f, l := wordsOf(r.first), wordsOf(r.last)
	common := words{f.high ^ l.high, f.low ^ l.low}.leadingZeros()
	if common == width {
		return width - offset
	}
	mask := ones(width - common - 1)
	up, down := words{l.high & mask.high, l.low & mask.low}, words{^f.high & mask.high, ^f.low & mask.low}
	if up == mask && down == mask {
		return common - offset
	}
	return width - max(up.blockBits(), down.blockBits()) - offset
}

// words is a number of 128 bits.
type words struct{ high, low uint64 }

func wordsOf(a netip.Addr) words {
	b := a.As16()
	return words{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// ones is the number with its n lowest bits set; n is less than 128.
func ones(n int) words {
	if n >= 64 {
		return words{1<<(n-64) - 1, ^uint64(0)}
	}
	return words{0, 1<<n - 1}
}

func (w words) leadingZeros() int {
	if w.high != 0 {
		return bits.LeadingZeros64(w.high)
	}
	return 64 + bits.LeadingZeros64(w.low)
}

// blockBits is the exponent of the largest power of two that w+1 addresses hold; w is below 2^127.
func (w words) blockBits() int {
	low, carry := bits.Add64(w.low, 1, 0)
	high, _ := bits.Add64(w.high, 0, carry)
	return 127 - words{high, low}.leadingZeros()
}
