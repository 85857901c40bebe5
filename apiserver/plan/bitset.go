package plan

import (
	"encoding/binary"
	"iter"
	"math/bits"
)

// bitset is a set of small numbers: positions of nodes or of peers in their sorted lists. Sets that are compared
// or combined have the same length. Once shared, a set is not changed.
type bitset []uint64

func newBitset(size int) bitset { return make(bitset, (size+63)/64) }

func (s bitset) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s bitset) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

func (s bitset) empty() bool {
	for _, w := range s {
		if w != 0 {
			return false
		}
	}
	return true
}

// and, or and minus make new sets.
func (s bitset) and(o bitset) bitset {
	r := make(bitset, len(s))
	for i := range s {
		r[i] = s[i] & o[i]
	}
	return r
}

func (s bitset) or(o bitset) bitset {
	r := make(bitset, len(s))
	for i := range s {
		r[i] = s[i] | o[i]
	}
	return r
}

func (s bitset) minus(o bitset) bitset {
	r := make(bitset, len(s))
	for i := range s {
		r[i] = s[i] &^ o[i]
	}
	return r
}

func (s bitset) overlaps(o bitset) bool {
	for i := range s {
		if s[i]&o[i] != 0 {
			return true
		}
	}
	return false
}

// members yields what is in the set, in ascending order.
func (s bitset) members() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, w := range s {
			for ; w != 0; w &= w - 1 {
				if !yield(i*64 + bits.TrailingZeros64(w)) {
					return
				}
			}
		}
	}
}

// appendKey appends what tells the set from others of its length.
func (s bitset) appendKey(b []byte) []byte {
	for _, w := range s {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}
