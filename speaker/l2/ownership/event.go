package ownership

import (
	"net"
	"time"
)

// MAC is an Ethernet address.
type MAC [6]byte

// String formats the address as 52:54:00:12:34:56.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// Phase is what a claim is doing.
type Phase int

const (
	// Idle claims were not ordered, or were released.
	Idle Phase = iota
	// Waiting claims have no interface to answer on.
	Waiting
	// Probing claims ask whether anyone else answers.
	Probing
	// Blocked claims were answered by someone else, and probe again later.
	Blocked
	// Answering claims answer.
	Answering
)

// String names the phase.
func (p Phase) String() string {
	return [...]string{"idle", "waiting", "probing", "blocked", "answering"}[p]
}

// Event is one of Order, Links, Heard, Release and Tick.
type Event interface{ event() }

// Order makes the node the owner of the address.
type Order struct {
	Term uint64
	// Restored says that the order was read from saved state: it may be out of date.
	Restored bool
	// Links are the interfaces to answer on.
	Links []string
}

// Links says which interfaces there are to answer on from now on.
type Links struct{ Names []string }

// Heard says that a host that is not this node used the address as its own or, with Probe, asked whether anyone does.
type Heard struct {
	Link  string
	MAC   MAC
	Probe bool
	// Ours is the address of our interface, which settles who gives way when two hosts probe at the same time.
	Ours MAC
}

// Release ends ownership.
type Release struct{}

// Tick lets time pass: Step is called with it at Actions.Next.
type Tick struct{}

func (Order) event()   {}
func (Links) event()   {}
func (Heard) event()   {}
func (Release) event() {}
func (Tick) event()    {}

// Actions is what Step asks of its caller.
type Actions struct {
	// Probe and Announce name interfaces to send one ARP probe, or one round of announcements, on.
	Probe, Announce []string
	// Next is when to call Step with Tick; zero for never.
	Next time.Time
	// Changed says that the term, the reason or the interfaces answered on changed.
	Changed bool
}
