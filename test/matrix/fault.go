package matrix

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ingot-lb/ingot/test/lab/topology"
)

// Kind is what is promised about a fault.
type Kind string

// The kinds of faults, by what is aimed at.
const (
	Unplanned Kind = "unplanned" // no gap of the client's is as long as a second
	Planned   Kind = "planned"   // no request is lost
	Lossy     Kind = "lossy"     // requests are lost whatever is done; nothing moves
	Foreign   Kind = "foreign"   // another host takes requests whatever is done; nothing moves
)

// Fault is one way to break the network, and to mend it again.
type Fault struct {
	// Name identifies it in records.
	Name string
	Kind Kind
	// Still is that addresses stay where they are, though something happens.
	Still bool
	// Touches says whether it concerns the addresses at home on a node; nil: those of the victim.
	Touches func(victim, home string) bool
	// Named is the reason by which the SpeakerState of the victim must name the cause, at the end of the first step.
	Named string
	// Far is that a second prober is needed, which is on the victim's side when the segment is split.
	Far bool
	// Steps are what happens. What they leave to undo is undone in any case.
	Steps []Step
}

// Step is a part of a fault.
type Step struct {
	// Row is the name under which this step and those after it are recorded, if it is not the fault's; Kind goes with it.
	Row  string
	Kind Kind
	Do   func(context.Context, *scene) error
	// Hold is how long is looked at what follows, at least.
	Hold time.Duration
	// Right says which nodes may answer for the addresses at home on a node in the end, as seen from the side of the
	// client (far false) or of the victim.
	Right func(victim, home string, far bool) []string
}

// touched says whether the fault concerns the addresses at home on a node.
func (f Fault) touched(victim, home string) bool {
	if f.Touches == nil {
		return home == victim
	}
	return f.Touches(victim, home)
}

// scene is where a fault happens.
type scene struct {
	*site
	victim string
	undo   []func(context.Context) error
}

// later leaves something to undo.
func (s *scene) later(undo func(context.Context) error) { s.undo = append(s.undo, undo) }

// undoLast undoes what was done last.
func (s *scene) undoLast(ctx context.Context) error {
	if len(s.undo) == 0 {
		return nil
	}
	last := s.undo[len(s.undo)-1]
	s.undo = s.undo[:len(s.undo)-1]
	return last(ctx)
}

// undoAll undoes everything, the last thing first.
func (s *scene) undoAll(ctx context.Context) error {
	var errs []error
	for len(s.undo) > 0 {
		errs = append(errs, s.undoLast(ctx))
	}
	return errors.Join(errs...)
}

func everyNode() []string {
	var names []string
	for i := 1; i <= nodes; i++ {
		names = append(names, topology.NodeName(i))
	}
	return names
}

func others(than ...string) []string {
	return slices.DeleteFunc(everyNode(), func(n string) bool { return slices.Contains(than, n) })
}

// next is the node after another one, around.
func next(node string) string {
	all := everyNode()
	return all[(slices.Index(all, node)+1)%len(all)]
}

// stays: every address is where it was.
func stays(_, home string, _ bool) []string { return []string{home} }

// leaves: the victim's addresses are with others.
func leaves(victim, home string, _ bool) []string {
	if home == victim {
		return others(victim)
	}
	return []string{home}
}

// anywhere: the victim's addresses may be with any node, which all are well.
func anywhere(victim, home string, _ bool) []string {
	if home == victim {
		return everyNode()
	}
	return []string{home}
}

func always(_, _ string) bool { return true }
