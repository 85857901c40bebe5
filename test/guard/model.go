package guard

import (
	"maps"
	"reflect"

	"github.com/anishathalye/porcupine"
)

// Reasons of answers, as metav1.StatusReason has them.
const (
	AlreadyExists   = "AlreadyExists"
	NotFound        = "NotFound"
	Conflict        = "Conflict"
	Invalid         = "Invalid"
	TooManyRequests = "TooManyRequests"
)

// state is what the sequential API server holds.
type state struct {
	config   Configuration
	versions map[Key]int64
}

// Sequential is the model: one server that takes one operation after the other, and accepts a write if and only if the
// rules do. Histories for it come from Witness.
var Sequential = porcupine.Model{
	Init: func() any { return placed{} },
	Step: func(s, in, _ any) (bool, any) {
		before, o := s.(placed), in.(input)
		if o.place != before.operations {
			return false, before // it is another's turn
		}
		ok, after := before.step(o.Operation)
		return ok, placed{after, before.operations + 1}
	},
	// Where as many have had their turn, all is the same.
	Equal:             func(a, b any) bool { return a.(placed).operations == b.(placed).operations },
	DescribeOperation: func(in, _ any) string { return in.(input).String() },
}

// placed is a state and how many operations came before.
type placed struct {
	state
	operations int
}

// input is an operation and its place in a sequence of all.
type input struct {
	Operation
	place int
}

// step says whether the sequential server would give the operation its answer in state s, and what comes after, which
// for a write that was committed is what was committed.
func (s state) step(o Operation) (bool, state) {
	switch {
	case o.Reason == TooManyRequests:
		return true, s // nothing was done
	case o.Reason == Conflict && (o.Verb == Patch || o.Verb == Apply):
		return true, s // the server gave up after some tries
	}
	reason, after := s.answer(o)
	if o.commits() {
		next := s.committed(o)
		if reason != "" {
			return false, next
		}
		return o.Verb == Delete || reflect.DeepEqual(*after, o.Result), next
	}
	if reason != o.Reason {
		return false, s
	}
	return reason != "" || s.versions[o.Key] == o.Version && reflect.DeepEqual(s.config[o.Key], o.Result), s
}

func (s state) committed(o Operation) state {
	next := state{versions: maps.Clone(s.versions)}
	if o.Verb == Delete {
		delete(next.versions, o.Key)
		next.config = s.config.with(o.Key, nil)
		return next
	}
	if next.versions == nil {
		next.versions = map[Key]int64{}
	}
	next.versions[o.Key] = o.Version
	next.config = s.config.with(o.Key, &o.Result)
	return next
}

// answer is the reason of the answer, and what becomes of the object where there is none (nil: it is deleted).
func (s state) answer(o Operation) (reason string, after *Spec) {
	old, exists := s.config[o.Key]
	switch {
	case o.Verb == Create && exists:
		return AlreadyExists, nil
	case o.Verb != Create && o.Verb != Apply && !exists:
		return NotFound, nil
	case o.Verb == Update && s.versions[o.Key] != o.Base:
		return Conflict, nil
	}
	switch o.Verb {
	case Get:
		return "", nil
	case Delete:
	case Patch:
		patched, err := old.over(o.Spec)
		if err != nil {
			return err.Error(), nil
		}
		after = &patched
	default:
		spec := o.Spec
		after = &spec
	}
	if Refusal(s.config, o.Key, after) != "" {
		return Invalid, nil
	}
	return "", after
}
