package dispatch

import (
	"maps"
	"time"

	"github.com/ingot-lb/ingot/apiserver/plan"
)

const (
	// lostAfter is how long a speaker's stream is gone before its addresses may move.
	lostAfter = 3 * time.Second
	// neverSeen is the same for a speaker that has not connected to this process at all, or not since all were lost at
	// once: after an absence of the centre, speakers come back within their longest back-off, and nothing may move
	// because something restarted.
	neverSeen = 15 * time.Second
)

// facts returns what is known of the speakers of existing nodes. serving is since when this replica leads and has
// been running without a pause: absences count from then. next is when the facts change by the passing of time
// alone; the zero time means never. told is what nodes were told last.
func (n *nodes) facts(existing []string, serving time.Time, told *desired) (facts map[string]plan.NodeFacts, next time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	facts = make(map[string]plan.NodeFacts, len(n.byName))
	absent := func(from time.Time, grace time.Duration) bool {
		if from.Before(serving) {
			from = serving
		}
		at := from.Add(grace)
		if !now.Before(at) {
			return true
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
		return false
	}
	for name, x := range n.byName {
		f := plan.NodeFacts{Connected: x.stream != nil, Holds: x.owns(), Waits: maps.Clone(x.waits), Stands: maps.Clone(x.stands),
			Vacant: maps.Clone(x.vacant), Leaving: x.state.Leaving}
		if o := told.order(name, layer2Lane); o != nil && x.stream != nil && told.heard >= x.stream.hello {
			f.Orders = o.owned
		}
		switch {
		case f.Connected:
		case x.state.Leaving:
			f.Released, f.Lost = true, true
		case x.since.Before(n.reunited):
			f.Lost = absent(n.reunited, neverSeen)
		default:
			f.Lost = absent(x.since, lostAfter)
		}
		facts[name] = f
	}
	for _, name := range existing {
		if _, seen := n.byName[name]; !seen {
			facts[name] = plan.NodeFacts{Lost: absent(serving, neverSeen)}
		}
	}
	return facts, next
}

// connected says whether every one of names has a stream.
func (n *nodes) connected(names []string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range names {
		if x := n.byName[name]; x == nil || x.stream == nil {
			return false
		}
	}
	return true
}
