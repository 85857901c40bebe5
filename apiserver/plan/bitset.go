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

// include adds what is in another set.
func (s bitset) include(o bitset) {
	for i := range s {
		s[i] |= o[i]
	}
}

// count is how much is in the set.
func (s bitset) count() (n int) {
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// around yields the nearest members on either side of i, in a circle, without i: so many of each side at most, and none
// twice.
func (s bitset) around(i, each int) iter.Seq[int] {
	return func(yield func(int) bool) {
		size := len(s) * 64
		seen := 0
		all := s.count()
		if s.has(i) {
			all--
		}
		for _, step := range []int{1, size - 1} {
			for j, found := (i+step)%size, 0; j != i && found < each && seen < all; j = (j + step) % size {
				if s[j/64] == 0 && step == 1 && j%64 == 0 && j/64 != i/64 {
					j += 63 // none in this word
					continue
				}
				if !s.has(j) {
					continue
				}
				found++
				seen++
				if !yield(j) {
					return
				}
			}
		}
	}
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
