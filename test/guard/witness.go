package guard

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"
)

// Witness puts settled operations into an order in which a sequential server could have given all the answers, if there
// is one, and says what is wrong if not. Whether it really is one, and whether it agrees with who returned before whom
// was called, is for porcupine to say: without that order it would have to search through all orders of 64 writers'
// operations.
//
// Writes committed in the order of their resource versions, which etcd decided. What did not write is put at the first
// moment that its answer is right at, since that is never worse for those behind it: so, if any order will do, this does.
func Witness(settled []Operation) ([]porcupine.Operation, []string) {
	var writes, others []Operation
	for _, o := range settled {
		if o.commits() {
			writes = append(writes, o)
		} else {
			others = append(others, o)
		}
	}
	slices.SortFunc(writes, func(a, b Operation) int { return cmp.Compare(a.Version, b.Version) })
	slices.SortFunc(others, func(a, b Operation) int { return cmp.Compare(a.Called, b.Called) })
	states, faults := replay(writes)
	moments := make([]int, len(others)) // how many writes come before
	for i, o := range others {
		from, to := 0, len(writes)
		for k, w := range writes {
			if w.Returned < o.Called {
				from = max(from, k+1)
			}
			if o.Returned < w.Called {
				to = min(to, k)
			}
		}
		for j, before := range others[:i] {
			if before.Returned < o.Called {
				from = max(from, moments[j])
			}
		}
		at := from
		for at <= to && !states[at].right(o) {
			at++
		}
		if at > to {
			faults = append(faults, fmt.Sprintf("%v; that was right at no moment from %d to %d writes: %s", o, from, to, states[from].instead(o)))
			at = from
		}
		moments[i] = at
	}
	return sequence(writes, others, moments), faults
}

// replay returns the states before, between and after the writes.
func replay(writes []Operation) (states []state, faults []string) {
	states = []state{{}}
	for _, w := range writes {
		s := states[len(states)-1]
		ok, next := s.step(w)
		if !ok {
			faults = append(faults, fmt.Sprintf("%v; %s", w, s.instead(w)))
		}
		states = append(states, next)
	}
	return states, faults
}

func (s state) right(o Operation) bool {
	ok, _ := s.step(o)
	return ok
}

// instead tells the answer that the sequential server would have given.
func (s state) instead(o Operation) string {
	reason, after := s.answer(o)
	switch reason {
	case Invalid:
		if o.Verb == Patch {
			return "expected Invalid"
		}
		spec := &o.Spec
		if o.Verb == Delete {
			spec = nil
		}
		return "expected Invalid, " + Refusal(s.config, o.Key, spec)
	case "":
		return fmt.Sprintf("expected success with %+v", after)
	}
	return "expected " + reason
}

// sequence gives each operation its place: the others before the write that follows their moment, among each other in
// the order of their calls.
func sequence(writes, others []Operation, moments []int) []porcupine.Operation {
	order := make([]int, len(others))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(moments[a], moments[b]) })
	history := make([]porcupine.Operation, 0, len(writes)+len(others))
	add := func(o Operation) {
		history = append(history, porcupine.Operation{ClientId: o.Writer, Input: input{o, len(history)}, Call: o.Called, Return: o.Returned})
	}
	for k := range len(writes) + 1 {
		for len(order) > 0 && moments[order[0]] == k {
			add(others[order[0]])
			order = order[1:]
		}
		if k < len(writes) {
			add(writes[k])
		}
	}
	return history
}
