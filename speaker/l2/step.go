package l2

import (
	"container/heap"
	"context"
	"log/slog"
	"slices"

	"github.com/ingot-lb/ingot/speaker/boottime"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// step feeds an event to a claim, schedules what follows and adds what is to be sent to out. s.mu is held.
func (s *Speaker) step(out []transmission, o *owned, ev ownership.Event) []transmission {
	now := boottime.Now()
	a := o.claim.Step(now, s.sense(o, now), ev)
	if a.Next != o.next {
		o.next = a.Next
		if a.Next != 0 {
			heap.Push(&s.schedule, deadline{a.Next, o.address})
			signal(s.wake)
		}
	}
	s.count(o)
	if a.Changed {
		s.tell(o, a.Urgent)
	}
	if a.Verify {
		for _, name := range o.segment {
			s.segments.Verify(name)
		}
	}
	for _, name := range a.Probe {
		if slices.Contains(o.segment, name) {
			out = append(out, transmission{o, name, probing})
		}
	}
	round := first
	if a.Repeated {
		round = repeated
	}
	for _, name := range a.Announce {
		out = append(out, transmission{o, name, round})
	}
	return out
}

// stepAll feeds an event to every claim. s.mu is held.
func (s *Speaker) stepAll(out []transmission, ev ownership.Event) []transmission {
	for _, o := range s.owned {
		out = s.step(out, o, ev)
	}
	return out
}

// count keeps an address's metrics for as long as the node owns it. s.mu is held.
func (s *Speaker) count(o *owned) {
	switch owns := o.claim.Role() == ownership.Owner || o.claim.Taken(); {
	case owns && o.requests == nil:
		o.counters = s.metrics.of(o.address)
	case !owns && o.requests != nil:
		s.metrics.forget(o.address)
		o.counters = counters{}
	}
}

// tell tells the log and the centre of a change.
func (s *Speaker) tell(o *owned, urgent bool) {
	level := slog.LevelInfo
	if o.claim.Phase() == ownership.StandingBy && !urgent {
		level = slog.LevelDebug
	}
	s.log.Log(context.Background(), level, "layer-2 address", "event", "layer2"+o.claim.Phase().String(), "ip", o.address.String(),
		"term", o.claim.Term(), "taken", o.claim.Taken(), "vacant", o.claim.VacantSince() != 0,
		"interfaces", o.claim.Interfaces(), "reason", o.claim.Reason())
	signal(s.changed)
	if urgent {
		signal(s.urgent)
	}
}
