package plan

import (
	"cmp"
	"hash/fnv"
	"iter"
	"math"
	"slices"
)

// maxStandbys is how many nodes stand by for an address at most.
const maxStandbys = 2

// standbys are the nodes that take over from an owner, in order: connected, in service and fit for all of the group's
// addresses. Of those that a preference puts first, they are the next ones after the owner in the circle of names, so
// that owners share their standbys, and the pairs of nodes that watch each other stay few. Whoever stands by goes on
// doing so as long as it may. Half of an owner's addresses have one of its standbys first, half the other. Where nobody is
// fit, one that is only held down stands by: an owner that dies leaves no other.
func (t *layer2Table) standbys(g *group, eligible bitset, owner int) []int {
	size := len(t.nodes.list)
	after := func(i int) int { return (i - owner - 1 + 2*size) % size }
	var chosen []int
	spare := -1
	for i := range t.successors(g, eligible, owner, after) {
		if i == owner || !t.election.inService.has(i) || slices.Contains(chosen, i) {
			continue
		}
		if t.fits(g, i) {
			if chosen = append(chosen, i); len(chosen) == maxStandbys {
				break
			}
		} else if spare < 0 && t.mended(g, i) {
			spare = i
		}
	}
	if len(chosen) == 0 && spare >= 0 {
		return []int{spare}
	}
	slices.SortFunc(chosen, func(a, b int) int {
		return cmp.Or(cmp.Compare(score(g.weights, b), score(g.weights, a)), cmp.Compare(after(a), after(b)))
	})
	if len(chosen) == maxStandbys && score(g.weights, chosen[0]) == score(g.weights, chosen[1]) && g.odd() {
		slices.Reverse(chosen)
	}
	return chosen
}

// mended reports whether nothing is wrong with a node but that it was until lately.
func (t *layer2Table) mended(g *group, node int) bool {
	for _, a := range g.addrs {
		if g.announces(a) && !t.glance(g, a, node).Keeps {
			return false
		}
	}
	return true
}

// successors yields the eligible nodes in the order in which they are to stand by for an owner; some of them twice.
func (t *layer2Table) successors(g *group, eligible bitset, owner int, after func(int) int) iter.Seq[int] {
	var present []int
	for _, a := range g.addrs {
		for _, i := range t.election.stands[a] {
			if eligible.has(i) && !slices.Contains(present, i) {
				present = append(present, i)
			}
		}
	}
	slices.SortFunc(present, func(a, b int) int { return cmp.Compare(after(a), after(b)) })
	size := len(t.nodes.list)
	return func(yield func(int) bool) {
		for tier := range g.tiers(eligible) {
			for _, i := range present {
				if score(g.weights, i) == tier && !yield(i) {
					return
				}
			}
			for n := range size {
				if i := (owner + 1 + n) % size; eligible.has(i) && score(g.weights, i) == tier && !yield(i) {
					return
				}
			}
		}
	}
}

// tiers yields the scores that preferences give to some nodes, the highest first. Mostly nobody looks beyond the second.
func (g *group) tiers(set bitset) iter.Seq[int] {
	if g.weights == nil {
		return func(yield func(int) bool) { yield(0) }
	}
	return func(yield func(int) bool) {
		for limit := math.MaxInt; ; {
			highest := math.MinInt
			for i := range set.members() {
				if s := g.weights[i]; s < limit {
					highest = max(highest, s)
				}
			}
			if highest == math.MinInt || !yield(highest) {
				return
			}
			limit = highest
		}
	}
}

// odd parts groups into two halves.
func (g *group) odd() bool {
	h := fnv.New32a()
	b := g.first.As16()
	h.Write(b[:])
	return h.Sum32()&1 == 1
}
