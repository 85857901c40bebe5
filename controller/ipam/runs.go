package ipam

import "github.com/google/btree"

// run is a closed interval of indices.
type run struct{ first, last index }

// runs is a set of indices, kept as its maximal runs: no two of them touch. Lowest-first allocation leaves few.
type runs struct{ tree *btree.BTreeG[run] }

// degree of the trees: wide nodes, since items are small and found by binary search.
const degree = 32

func newRuns() runs {
	return runs{btree.NewG(degree, func(a, b run) bool { return a.first.less(b.first) })}
}

// before returns the last run that begins at or before i.
func (r runs) before(i index) (found run, ok bool) {
	r.tree.DescendLessOrEqual(run{first: i}, func(x run) bool {
		found, ok = x, true
		return false
	})
	return found, ok
}

// from returns the first run that begins at or after i.
func (r runs) from(i index) (found run, ok bool) {
	r.tree.AscendGreaterOrEqual(run{first: i}, func(x run) bool {
		found, ok = x, true
		return false
	})
	return found, ok
}

// contains reports whether i is in the set.
func (r runs) contains(i index) bool {
	in, ok := r.before(i)
	return ok && !in.last.less(i)
}

// min is the lowest index.
func (r runs) min() (index, bool) {
	low, ok := r.tree.Min()
	return low.first, ok
}

// empty reports whether nothing is in the set.
func (r runs) empty() bool { return r.tree.Len() == 0 }

// add puts all of span in. It is no error if part of it is in already.
func (r runs) add(span run) {
	if in, ok := r.before(span.first); ok && (!in.last.less(span.first) || in.last.next() == span.first) {
		if !in.last.less(span.last) {
			return
		}
		span.first = in.first
	}
	for {
		in, ok := r.from(span.first)
		if !ok || span.last.less(in.first) && span.last.next() != in.first {
			break
		}
		if span.last.less(in.last) {
			span.last = in.last
		}
		r.tree.Delete(in)
	}
	r.tree.ReplaceOrInsert(span)
}

// remove takes out what of span is in, and passes it to taken where that is not nil.
func (r runs) remove(span run, taken func(run)) {
	cut := func(in run) {
		if in.first.less(span.first) {
			r.tree.ReplaceOrInsert(run{in.first, span.first.prev()})
			in.first = span.first
		} else {
			r.tree.Delete(in)
		}
		if span.last.less(in.last) {
			r.tree.ReplaceOrInsert(run{span.last.next(), in.last})
			in.last = span.last
		}
		if taken != nil {
			taken(in)
		}
	}
	if in, ok := r.before(span.first); ok && !in.last.less(span.first) {
		cut(in)
	}
	for {
		in, ok := r.from(span.first)
		if !ok || span.last.less(in.first) {
			return
		}
		cut(in)
	}
}
