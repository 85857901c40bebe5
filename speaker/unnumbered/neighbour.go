package unnumbered

import (
	"net/netip"
	"time"
)

// patience is how long a neighbour that another router seems to have replaced is asked for before the other is believed.
const patience = 3 * time.Second

// neighbour decides which of the routers heard on a link is the other end: the first one, until another one is heard and it
// does not answer any more. So a router whose address changed is followed within seconds, and of two routers on one
// link the session stays with the first.
type neighbour struct {
	current netip.Addr
	heard   time.Time // current, last
	rival   netip.Addr
	since   time.Time // rival was first heard
}

// hear takes notice of an advertisement.
func (n *neighbour) hear(from netip.Addr, now time.Time) {
	switch {
	case !n.current.IsValid(), from == n.current:
		*n = neighbour{current: from, heard: now}
	case from != n.rival:
		n.rival, n.since = from, now
	case now.Sub(n.since) >= patience:
		*n = neighbour{current: from, heard: now}
	}
}

// doubtful says that routers have to be asked who is there.
func (n *neighbour) doubtful() bool { return !n.current.IsValid() || n.rival.IsValid() }
