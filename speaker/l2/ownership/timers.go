package ownership

import "time"

// The timers from which docs/layer2-failover.md derives its bounds on overlap and silence. The simulation in
// simulation_test.go checks those bounds with these values.
const (
	// BFDInterval and BFDMultiplier are those of the sessions between owners and standbys: a node is down once nothing
	// was heard of it for their product.
	BFDInterval   = 60 * time.Millisecond
	BFDMultiplier = 10

	// FirstProbes are sent FirstProbeInterval apart before the first use of an address, and one more interval is waited
	// for an answer (RFC 5227 section 2.1.1, faster).
	FirstProbes        = 3
	FirstProbeInterval = 100 * time.Millisecond
	// QuickProbes are those before any later use.
	QuickProbes        = 2
	QuickProbeInterval = 50 * time.Millisecond
	// ProbeValidity is how long an unanswered probe of a standby counts once it is made the owner.
	ProbeValidity = time.Second

	// CentreFresh is how old a complete round trip to the centre may be, counted from its beginning, for an owner that
	// hears nobody else to go on answering; CentreLost is when a standby holds the centre to be away. Between the two an
	// owner is silent already while no standby acts yet.
	CentreFresh = 600 * time.Millisecond
	CentreLost  = 750 * time.Millisecond
	// SegmentFresh is how old the last sign of life on the segment (a BFD packet of a session that is up, the answer of a
	// witness) may be for an owner that does not hear the centre.
	SegmentFresh = BFDInterval * BFDMultiplier
	// RankDelay is how much later than the first each further standby takes over.
	RankDelay = 300 * time.Millisecond
	// StrangerGrace is how long a standby waits for the BFD session with an owner that it has not heard yet.
	StrangerGrace = 3 * time.Second
	// StandbyRetry is about how often a standby whose owner is down probes an address that somebody answered for.
	StandbyRetry = time.Second

	// Insistence is how long a node that took an address over by itself contests it with a node that goes on answering:
	// that one hears the centre. ContestInterval is between the announcements of a contest.
	Insistence      = 200 * time.Millisecond
	ContestInterval = 50 * time.Millisecond

	// LocalProbes, LocalRounds and LocalInterval are those of a standby that has endpoints of a Local address while the
	// centre is away: the owner is up, but falls silent when it has none. Two rounds, so that loss does not look like it.
	LocalProbes   = 5
	LocalRounds   = 2
	LocalInterval = time.Second

	// DefendInterval is the least time between two announcements in defence against a foreign host (RFC 5227 section
	// 2.4 (c)).
	DefendInterval = 10 * time.Second

	// FrozenAfter is how late a process is that stood still: what it heard meanwhile is not answered, and it probes first.
	FrozenAfter = 500 * time.Millisecond
)

const (
	// minBackoff and maxBackoff bound the wait before an address that is still answered is probed again.
	minBackoff = 200 * time.Millisecond
	maxBackoff = 5 * time.Second
	// burst is how long an address is announced after it was taken over, every burstInterval (MetalLB's).
	burst         = 5 * time.Second
	burstInterval = 1100 * time.Millisecond
	// DefaultRefresh is about how often an address is announced for as long as it is owned, where the order does not say.
	DefaultRefresh = 60 * time.Second
	// rivalMemory is how long another host that was heard using the address is remembered.
	rivalMemory = 10 * time.Second
	// contestPause ends a contest.
	contestPause = time.Second
	// verifyPoll is how often a standby looks whether a witness answered.
	verifyPoll = 20 * time.Millisecond
)
