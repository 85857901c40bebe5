package ipam

import "github.com/google/btree"

// run is a closed interval of indices.
type run struct{ first, last index }

// runs is a set of indices, kept as its maximal runs: no two of them touch. Lowest-first allocation leaves few.
type runs struct{ tree *btree.BTreeG[run] }

// degree of the tree: wide nodes, since a run is small and found by binary search.
const degree = 32

func newRuns() runs {
	return runs{btree.NewG(degree, func(a, b run) bool { return a.first.less(b.first) })}
}

// around returns the last run that begins at or before i, and the first that begins after it.
func (r runs) around(i index) (before, after run, hasBefore, hasAfter bool) {
	r.tree.DescendLessOrEqual(run{first: i}, func(x run) bool {
		before, hasBefore = x, true
		return false
	})
	r.tree.AscendGreaterOrEqual(run{first: i}, func(x run) bool {
		if x.first == i {
			return true
		}
		after, hasAfter = x, true
		return false
	})
	return before, after, hasBefore, hasAfter
}

// add puts i in. It is no error if it is in already.
func (r runs) add(i index) {
	before, after, hasBefore, hasAfter := r.around(i)
	if hasBefore && !before.last.less(i) {
		return
	}
	grown := run{i, i}
	if hasBefore && before.last.next() == i {
		grown.first = before.first
	}
	if hasAfter && i.next() == after.first {
		grown.last = after.last
		r.tree.Delete(after)
	}
	r.tree.ReplaceOrInsert(grown)
}

// remove takes i out. It is no error if it is not in.
func (r runs) remove(i index) {
	in, _, ok, _ := r.around(i)
	if !ok || in.last.less(i) {
		return
	}
	if in.first == i {
		r.tree.Delete(in)
	} else {
		r.tree.ReplaceOrInsert(run{in.first, i.prev()})
	}
	if i.less(in.last) {
		r.tree.ReplaceOrInsert(run{i.next(), in.last})
	}
}

// lowestAbsent is the lowest index from first to last that is not in the set, of which all members are in there.
func (r runs) lowestAbsent(first, last index) (index, bool) {
	low, ok := r.tree.Min()
	switch {
	case !ok || first.less(low.first):
		return first, true
	case low.last.less(last):
		return low.last.next(), true
	}
	return index{}, false
}
