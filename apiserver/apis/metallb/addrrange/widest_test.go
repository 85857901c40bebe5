package addrrange

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// TestWidestBitsIsTheShortestOfThePrefixes compares with the list, over ranges of every size and place.
func TestWidestBitsIsTheShortestOfThePrefixes(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	random := func(size int) netip.Addr {
		b := make([]byte, size)
		for i := range b {
			switch rng.IntN(3) { // long runs of equal bits are where it is easy to be wrong
			case 0:
				b[i] = 0xff
			case 1:
				b[i] = byte(rng.Uint32())
			}
		}
		a, _ := netip.AddrFromSlice(b)
		return a.Unmap()
	}
	for i := range 20000 {
		size := 4
		if i%2 == 0 {
			size = 16
		}
		first, last := random(size), random(size)
		if i%5 == 0 {
			last = first
		}
		if last.Less(first) {
			first, last = last, first
		}
		r, err := New(first, last)
		if err != nil {
			continue // one of them was IPv4 in disguise
		}
		want := 128
		for _, p := range r.Prefixes() {
			want = min(want, p.Bits())
		}
		if got := r.WidestBits(); got != want {
			t.Fatalf("WidestBits of %v = %d, want %d", r, got, want)
		}
	}
	if got := (Range{}).WidestBits(); got != -1 {
		t.Errorf("WidestBits of the zero Range = %d, want -1", got)
	}
}
