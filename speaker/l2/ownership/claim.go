// Package ownership decides when a node answers for a layer-2 address: at once, after making sure that nobody else
// does, or not at all. It is the table of who answers in docs/layer2-failover.md, for owners and for standbys. It holds
// no socket, clock or goroutine: Step is fed events and what the node hears, and says what to send and when to call
// again. Probes follow RFC 5227 (section 2.1.1), faster; announcements follow MetalLB's timing.
package ownership

import (
	"fmt"
	"time"
)

// Rival is another host that uses the address.
type Rival struct {
	Link string
	MAC  MAC
	// Rank is that of a node, Unlisted or Foreign.
	Rank int
	// First and Last are when it was heard; Last is brought up to date every few seconds only.
	First, Last time.Duration
}

// Claim is the node's hold on one address.
type Claim struct {
	jitter func(time.Duration) time.Duration

	order Order
	// confirmed is set once the centre, not saved state, gave the order.
	confirmed bool
	// decided is set while the order is newer than what other nodes are heard to do.
	decided bool
	// given says that the centre made the node the owner, which has neither heard it nor answered since.
	given bool
	// used says that the address was answered for before, by whomever.
	used bool
	// taken is the term of the node's own take-over; 0 when there is none.
	taken uint64

	phase     Phase
	why       string // in the phases Silent and StandingBy
	senses    Senses
	endpoints Endpoints
	peers     [MaxStandbys + 1]memory

	round   round
	backoff time.Duration // before the next round
	next    time.Duration // next probe, round or announcement of an owner

	announceUntil time.Duration
	news          bool          // the next announcement is the first
	defended      time.Duration // last announcement in defence
	defence       time.Duration // the next one; zero for none
	contest       contest
	vacancy       vacancy
	rival         Rival
	links         int // counts changes of order.Links, for visible

	out Actions
}

// memory is what a claim remembers of a node since the order.
type memory struct {
	Peer
	// since is when the session was first known of.
	since time.Duration
	// met says that the session was up at some time.
	met bool
}

// New returns an idle claim. jitter makes a duration of about the one it is given.
func New(jitter func(time.Duration) time.Duration) *Claim { return &Claim{jitter: jitter} }

// owns says whether the node is to answer, by order or by its own take-over.
func (c *Claim) owns() bool { return c.order.Role == Owner || c.taken != 0 }

// Step feeds one event to the claim, together with what the node hears at now, a time since boot.
func (c *Claim) Step(now time.Duration, s Senses, ev Event) Actions {
	before := c.visible()
	c.out = Actions{}
	c.senses = s
	switch ev := ev.(type) {
	case Order:
		c.obey(now, ev)
	case Links:
		c.setLinks(now, ev.Names)
		c.renew(now, ev.Renewed)
	case Heard:
		c.heard(now, ev)
	case Endpoints:
		c.endpoints = ev
	case Frozen:
		c.thaw(now)
	case Release:
		*c = Claim{jitter: c.jitter}
	case Tick:
	}
	if c.order.Role != NoRole {
		c.meet(now)
		c.settle(now)
		c.expire(now)
	}
	c.out.Next = c.due()
	after := c.visible()
	c.out.Changed = before != after
	c.out.Urgent = (before.vacant == 0) != (after.vacant == 0) || before.taken != after.taken ||
		(before.phase == Answering) != (after.phase == Answering)
	return c.out
}

// meet notes whose sessions come and go. Whoever is heard again after a while is told at once who answers here.
func (c *Claim) meet(now time.Duration) {
	for rank := range c.peers {
		if rank == c.order.Rank || rank >= len(c.order.Nodes) {
			continue
		}
		was, is := &c.peers[rank], c.senses.Peers[rank]
		if is.Known && was.since == 0 {
			was.since = now
		}
		again := (is.Up || is.Heard) && !was.Up && !was.Heard
		if c.phase == Answering && again {
			c.announceOnce()
		}
		if was.Up && !is.Up {
			c.out.Verify = true
			if c.phase == Blocked && c.rival.Rank == rank {
				// Who answered is gone: do not wait.
				c.backoff = 0
				c.probe(now)
			}
		}
		was.Peer, was.met = is, was.met || is.Up
	}
}

// settle brings the phase in line with the table of who answers.
func (c *Claim) settle(now time.Duration) {
	if !c.owns() {
		c.stand(now)
		return
	}
	c.given = c.given && c.senses.Centre != Fresh
	if len(c.order.Links) == 0 {
		c.phase, c.next, c.rival = Waiting, 0, Rival{}
		return
	}
	why := c.hindrance()
	switch {
	case why != "" && c.phase != Silent:
		c.phase, c.why, c.next, c.contest = Silent, why, 0, contest{}
	case why != "":
		c.why = why
	case c.phase == Silent || c.phase == Waiting:
		// Others may have taken over meanwhile.
		c.probe(now)
	}
}

// hindrance says why the table does not let an owner answer.
func (c *Claim) hindrance() string {
	s := c.senses
	switch {
	case c.order.Local && s.Centre == Lost && c.endpoints.Known && !c.endpoints.Here:
		return "the centre is away, and the node has no endpoint of a Service with externalTrafficPolicy Local"
	case s.Centre == Fresh, s.Segment, c.Alone():
		return ""
	case c.given:
		// While the node had no addresses, it exchanged heartbeats with the centre too rarely to know.
		return "the centre gave the address to this node, and no round trip to it is complete since"
	}
	return fmt.Sprintf("neither the centre nor anybody on the segment is heard; %s may have taken over", c.order.Nodes[c.other()])
}

// other is the rank of the node that would take over first.
func (c *Claim) other() int {
	for rank := 1; rank < len(c.order.Nodes); rank++ {
		if rank != c.order.Rank && !c.left(rank) {
			return rank
		}
	}
	return 0
}

// left says whether a node has taken leave.
func (c *Claim) left(rank int) bool { return rank < len(c.senses.Peers) && c.senses.Peers[rank].Left }

// due is when time alone changes something.
func (c *Claim) due() time.Duration {
	next := c.next
	for _, at := range []time.Duration{c.contest.next, c.defence, c.vacancy.next, c.vacancy.look, c.rivalEnds()} {
		if at != 0 && (next == 0 || at < next) {
			next = at
		}
	}
	return next
}

// rivalEnds is when the rival is forgotten: a blocked claim finds out by probing.
func (c *Claim) rivalEnds() time.Duration {
	if c.rival == (Rival{}) || c.phase == Blocked || c.phase == Probing {
		return 0
	}
	return c.rival.Last + rivalMemory
}
