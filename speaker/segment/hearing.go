package segment

import (
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Hearing is whether the witnesses of a link are heard.
type Hearing int

const (
	// None: there is no witness that could be heard, or none of which it is known yet.
	None Hearing = iota
	// Heard: at least one answers.
	Heard
	// Silent: there are some, and none answers.
	Silent
)

// String names the hearing.
func (h Hearing) String() string { return [...]string{"none", "heard", "silent"}[h] }

// State is what the BFD session with a peer says of it.
type State int

const (
	// Unwatched peers have no BFD session: the centre wants none, or it cannot be opened.
	Unwatched State = iota
	// Down: nothing is heard of the peer, or it does not hear us. Peer.Known says whether it was ever up.
	Down
	// Up: each hears the other.
	Up
	// Left: one end took the session down on purpose (AdminDown), as when a speaker ends, or watches another. That says nothing
	// of whether the peer answers for addresses, and nothing is broken.
	Left
)

// String names the state.
func (s State) String() string { return [...]string{"unwatched", "down", "up", "left"}[s] }

// Peer is what is known of another node on a link.
type Peer struct {
	// BFD is the state of the session with it, and Since when.
	BFD   State
	Since time.Time
	// Known says that the session was up since it was opened.
	Known bool
	// Answer says whether it answers for its own address.
	Answer ingotv1.Answer
	// LastHeard is when a frame or BFD packet of its arrived, on CLOCK_BOOTTIME; 0 for never.
	LastHeard time.Duration
}
