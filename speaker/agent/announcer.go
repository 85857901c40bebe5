// Package agent is the speaker apart from the protocols it speaks to the network: it keeps a stream to every
// replica of the centre, decides which of them to obey, hands the desired state to the announcers, saves it, and
// tells the centre what became of it.
package agent

import (
	"context"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Announcer makes one kind of item true on this node. Apply and Report are never called at the same time. Run is
// called once and goes on beside them; it may begin before or after the first Apply.
type Announcer interface {
	// Apply makes items the complete desired set, in one step: new and changed first, then removals. restored
	// says that they come from saved state, not from the centre. It returns one result per item, and must not
	// block on the network. An item that it rejects leaves in place what the same id stood for before. The items
	// are shared: Apply must not change them.
	Apply(ctx context.Context, items []*ingotv1.Item, restored bool) []*ingotv1.ItemResult
	// Changed fires (coalesced: capacity one, sends that do not block) when a report or an earlier result changed.
	Changed() <-chan struct{}
	// Report adds the current observations, always all of them, to r, and to r.Results the item results that
	// changed since Apply or Report last returned them. The agent finds out what is news to whom.
	Report(r *ingotv1.Report)
	// Run serves until ctx ends. On return it has left the network as it is (BGP sessions are not closed
	// gracefully: static stability).
	Run(ctx context.Context) error
}

// explained is an Announcer that wants to know why items leave, for its log: it is told before the Apply that drops them.
type explained interface {
	// Explain gives the reasons of removals, by item id.
	Explain(reasons map[string]string)
}

// refresher is an Announcer with observations that Report does not keep up to date by itself, such as counters.
type refresher interface {
	// Refresh brings them up to date, for somebody who looks.
	Refresh()
}

// centreListener is an Announcer that wants to know how well the centre is heard.
type centreListener interface {
	// Centre says that the replica that leads, and is obeyed, completed a round trip that began at began, a time since boot
	// (CLOCK_BOOTTIME), and that everything it ordered before it did is applied. It must not block.
	Centre(began time.Duration)
}

// urgent is an Announcer with observations that the centre waits for.
type urgent interface {
	// Urgent fires, like Changed, when a report is not to be held for others that may come.
	Urgent() <-chan struct{}
}

// neighborLister is an Announcer that also knows who asked for its addresses.
type neighborLister interface {
	// Neighbors returns the hosts heard asking for this node's addresses.
	Neighbors() []*ingotv1.Neighbor
}
