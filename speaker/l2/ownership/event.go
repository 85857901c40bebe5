package ownership

import (
	"net"
	"time"
)

// MAC is an Ethernet address.
type MAC [6]byte

// String formats the address as 52:54:00:12:34:56.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// Role is what the node was ordered to be for an address.
type Role int

const (
	// NoRole is that of a claim that was not ordered, or was released.
	NoRole Role = iota
	// Owner answers.
	Owner
	// Standby takes over.
	Standby
)

// MaxStandbys is how many nodes stand by for an address at most.
const MaxStandbys = 2

// Ranks of hosts that Order.Nodes does not list.
const (
	// Foreign hosts are none of our nodes.
	Foreign = -1
	// Unlisted hosts are nodes, but not of this order: they may hold an older one.
	Unlisted = 1 << 16
)

// Event is one of Order, Links, Heard, Endpoints, Frozen, Release and Tick.
type Event interface{ event() }

// Order makes the node the owner of the address, or a standby.
type Order struct {
	Role Role
	Term uint64
	// Rank of this node: 0 of the owner, then that of standbys. A standby's own term, should it take over by itself, is
	// Term + Rank, so that no two nodes have the same.
	Rank int
	// Nodes are the names of the owner and the standbys, by rank. With a single one nobody else could take over.
	Nodes []string
	// Restored says that the order was read from saved state: it may be out of date.
	Restored bool
	// Links are the interfaces to answer on.
	Links []string
	// Local says that only nodes with endpoints may answer (externalTrafficPolicy Local), which the node follows by
	// itself while the centre is away; see Endpoints.
	Local bool
	// Refresh is about how often the address is announced for as long as it is owned; 0 is DefaultRefresh.
	Refresh time.Duration
}

// Links says which interfaces there are to answer on from now on.
type Links struct {
	Names []string
	// Renewed are those of them that may have another hardware address than before.
	Renewed []string
}

// Heard says that a host that is not this node used the address as its own or, with Probe, asked whether anyone does.
type Heard struct {
	Link string
	MAC  MAC
	// Rank of the node that the MAC belongs to, Unlisted or Foreign.
	Rank  int
	Probe bool
	// Ours is the address of our interface, which settles who gives way where nothing else does.
	Ours MAC
}

// Endpoints says whether the node has endpoints of the address's Services, as it found out itself.
type Endpoints struct {
	// Known is false when the node did not ask, or got no answer.
	Known, Here bool
}

// Frozen says that the process stood still for longer than FrozenAfter: others may have taken over meanwhile.
type Frozen struct{}

// Release ends the order.
type Release struct{}

// Tick lets time pass, and what is heard take effect: Step is called with it at Actions.Next and when Senses change.
type Tick struct{}

func (Order) event()     {}
func (Links) event()     {}
func (Heard) event()     {}
func (Endpoints) event() {}
func (Frozen) event()    {}
func (Release) event()   {}
func (Tick) event()      {}

// Actions is what Step asks of its caller.
type Actions struct {
	// Probe and Announce name interfaces to send one probe, or one round of announcements, on.
	Probe, Announce []string
	// Repeated says that announcements are those of every so often, and not worth more than a place at the end of the queue.
	Repeated bool
	// Verify asks for witnesses to be asked now.
	Verify bool
	// Next is when to call Step with Tick, on the clock of its argument; zero for never.
	Next time.Duration
	// Changed says that something an observer sees changed.
	Changed bool
	// Urgent says that the centre can decide on it: an address was found vacant, taken over or given up.
	Urgent bool
}
