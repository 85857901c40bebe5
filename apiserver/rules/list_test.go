package rules

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestReplaceAgreesWithSorting takes random elements out of sorted lists and puts others in.
func TestReplaceAgreesWithSorting(t *testing.T) {
	compare := func(a, b *int) int { return cmp.Compare(*a, *b) }
	values := func(l []*int) (all []int) {
		for _, e := range l {
			all = append(all, *e)
		}
		return all
	}
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 3))
		some := func(n int) (made []*int) {
			for range rng.IntN(n) {
				made = append(made, new(rng.IntN(12)))
			}
			return made
		}
		list := slices.SortedFunc(slices.Values(some(20)), compare)
		var gone, stay []*int
		for _, e := range list {
			if rng.IntN(3) == 0 {
				gone = append(gone, e)
			} else {
				stay = append(stay, e)
			}
		}
		rng.Shuffle(len(gone), func(i, j int) { gone[i], gone[j] = gone[j], gone[i] })
		come, before := some(8), slices.Clone(list)

		got := replace(list, gone, come, compare)

		want := slices.SortedFunc(slices.Values(slices.Concat(stay, come)), compare)
		if diff := gocmp.Diff(values(want), values(got)); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
		for _, e := range got {
			if slices.Contains(gone, e) {
				t.Fatalf("seed %d: %d has not gone", seed, *e)
			}
		}
		if !slices.Equal(before, list) {
			t.Fatalf("seed %d: the list was changed", seed)
		}
	}
}
