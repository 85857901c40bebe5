package addrrange

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMerge(t *testing.T) {
	for _, tt := range []struct{ in, want []string }{
		{nil, nil},
		{[]string{"10.0.0.0/25", "10.0.0.128/25"}, []string{"10.0.0.0/24"}},
		{[]string{"10.0.0.128/25", "10.0.1.0/25", "10.0.1.128/25", "10.0.0.0/25"}, []string{"10.0.0.0/23"}},
		{[]string{"10.0.1.0/24", "10.0.2.0/24"}, []string{"10.0.1.0/24", "10.0.2.0/24"}},
		{[]string{"10.0.0.0/8", "10.1.0.0/16", "10.0.0.1/32", "10.0.0.0/8"}, []string{"10.0.0.0/8"}},
		{[]string{"0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"}, []string{"0.0.0.0/0", "::/0"}},
		{[]string{"10.0.0.7/24"}, []string{"10.0.0.0/24"}},
	} {
		var in []netip.Prefix
		for _, s := range tt.in {
			in = append(in, netip.MustParsePrefix(s))
		}
		var got []string
		for _, p := range Merge(in) {
			got = append(got, p.String())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.in, diff)
		}
	}
}

// TestMergeHoldsTheSame: by asking of each of 256 addresses.
func TestMergeHoldsTheSame(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var in []netip.Prefix
		for range rng.IntN(20) {
			in = append(in, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(rng.IntN(256))}), 24+rng.IntN(9)))
		}
		merged := Merge(slices.Clone(in))
		for last := range 256 {
			a := netip.AddrFrom4([4]byte{10, 0, 0, byte(last)})
			holds := func(p netip.Prefix) bool { return p.Masked().Contains(a) }
			if slices.ContainsFunc(in, holds) != slices.ContainsFunc(merged, holds) {
				t.Fatalf("seed %d: %v became %v, which differs at %s", seed, in, merged, a)
			}
		}
		for i := range merged[:max(len(merged)-1, 0)] {
			if _, ok := halves(merged[i], merged[i+1]); ok || merged[i].Overlaps(merged[i+1]) {
				t.Fatalf("seed %d: %v is not all that can be merged", seed, merged)
			}
		}
	}
}
