// Package ownership decides when a node answers for a layer-2 address: at once, after making sure that nobody else
// does, or not at all. It holds no socket, clock or goroutine: Step is fed events and says what to send and when to
// call again. Probes follow RFC 5227 (section 2.1.1), faster; announcements follow MetalLB's timing.
package ownership

import (
	"fmt"
	"slices"
	"time"
)

const (
	// probes are sent probeInterval apart; the address is free when none was answered one interval after the last.
	probes        = 3
	probeInterval = 100 * time.Millisecond
	// minBackoff and maxBackoff bound the wait before an address that is still answered is probed again.
	minBackoff = 200 * time.Millisecond
	maxBackoff = 5 * time.Second
	// burst is how long an address is announced after it was taken over, every burstInterval.
	burst         = 5 * time.Second
	burstInterval = 1100 * time.Millisecond
	// period is about how often an address is announced for as long as it is owned.
	period = 60 * time.Second
	// rivalMemory is how long another host that was heard claiming the address is remembered.
	rivalMemory = 10 * time.Second
)

// rival is another host that uses the address.
type rival struct {
	Link string
	MAC  MAC
}

// Claim is the node's hold on one address.
type Claim struct {
	jitter func(time.Duration) time.Duration

	phase Phase
	term  uint64
	// confirmed is set once the centre, not saved state, ordered ownership.
	confirmed bool
	links     []string

	sent    int           // probes of this round
	backoff time.Duration // before the next round
	next    time.Time     // next probe, round or announcement

	announceUntil time.Time
	rival         rival
	rivalUntil    time.Time // while answering: forget the rival then
}

// New returns an idle claim. jitter makes a duration of about the one it is given.
func New(jitter func(time.Duration) time.Duration) *Claim {
	return &Claim{jitter: jitter}
}

// Phase returns what the claim is doing.
func (c *Claim) Phase() Phase { return c.phase }

// Term returns the term of the last order.
func (c *Claim) Term() uint64 { return c.term }

// Answers says whether requests that arrive on the interface are to be answered.
func (c *Claim) Answers(link string) bool {
	return c.phase == Answering && slices.Contains(c.links, link)
}

// Interfaces returns those answered on.
func (c *Claim) Interfaces() []string {
	if c.phase != Answering {
		return nil
	}
	return c.links
}

// Reason says in words what hinders the claim; it is empty when nothing does, or when no interface is there, which
// the caller knows more about.
func (c *Claim) Reason() string {
	switch {
	case c.phase == Blocked || c.phase == Probing && c.rival != (rival{}):
		return fmt.Sprintf("still answered by %s on %s", c.rival.MAC, c.rival.Link)
	case c.phase == Probing:
		return "probing whether another host still answers"
	case c.phase == Answering && c.rival != (rival{}):
		return fmt.Sprintf("also answered by %s on %s", c.rival.MAC, c.rival.Link)
	}
	return ""
}

// Step feeds one event to the claim.
func (c *Claim) Step(now time.Time, ev Event) Actions {
	before := c.visible()
	var a Actions
	switch ev := ev.(type) {
	case Order:
		c.order(now, ev, &a)
	case Links:
		c.setLinks(now, ev.Names, &a)
	case Heard:
		c.heard(now, ev)
	case Release:
		*c = Claim{jitter: c.jitter}
	case Tick:
	}
	c.expire(now, &a)
	a.Next = c.due()
	a.Changed = before != c.visible()
	return a
}

// visible is what an observer sees, in comparable form. A blocked claim that probes again has nothing new to say.
func (c *Claim) visible() string {
	phase := c.phase
	if phase == Probing {
		phase = Blocked
	}
	return fmt.Sprint(phase, c.term, c.Interfaces(), c.Reason())
}

func (c *Claim) order(now time.Time, o Order, a *Actions) {
	newer := o.Term > c.term
	c.term = o.Term
	c.confirmed = c.confirmed || !o.Restored
	if c.phase != Idle {
		c.setLinks(now, o.Links, a)
		if c.phase == Blocked && newer {
			// Whoever decided knows more than it did: do not wait.
			c.backoff = 0
			c.probe(now)
		}
		return
	}
	c.links = slices.Clone(o.Links)
	switch {
	case len(c.links) == 0:
		c.phase = Waiting
	case o.Restored || o.Term > 1:
		c.probe(now)
	default:
		c.answer(now)
	}
}

func (c *Claim) setLinks(now time.Time, links []string, a *Actions) {
	if c.phase == Idle || slices.Equal(c.links, links) {
		return
	}
	added := slices.ContainsFunc(links, func(l string) bool { return !slices.Contains(c.links, l) })
	c.links = slices.Clone(links)
	switch {
	case len(links) == 0:
		c.phase, c.next, c.rival = Waiting, time.Time{}, rival{}
	case c.phase == Waiting, c.phase == Probing && added:
		// Another node may have become the owner while there was no link.
		c.probe(now)
	case c.phase == Answering && added:
		c.announceFrom(now)
	}
}

func (c *Claim) heard(now time.Time, h Heard) {
	if !slices.Contains(c.links, h.Link) {
		return
	}
	if h.Probe {
		// RFC 5227 section 2.1.1 has both give way; the lower address goes on instead.
		if c.phase == Probing && slices.Compare(h.MAC[:], h.Ours[:]) < 0 {
			c.block(now, h)
		}
		return
	}
	switch c.phase {
	case Probing:
		c.block(now, h)
	case Answering:
		if !c.confirmed {
			// What was restored is a claim, not a right.
			c.backoff = 0
			c.block(now, h)
			return
		}
		// Not for each of its packets.
		if c.rival == (rival{}) || !now.Before(c.rivalUntil.Add(-rivalMemory/2)) {
			c.rival, c.rivalUntil = rival{h.Link, h.MAC}, now.Add(rivalMemory)
		}
	}
}

func (c *Claim) probe(now time.Time) {
	c.phase, c.sent, c.next = Probing, 0, now
}

func (c *Claim) block(now time.Time, h Heard) {
	c.backoff = min(max(2*c.backoff, minBackoff), maxBackoff)
	c.phase, c.rival = Blocked, rival{h.Link, h.MAC}
	c.next = now.Add(c.jitter(c.backoff))
}

func (c *Claim) answer(now time.Time) {
	c.phase, c.rival, c.backoff = Answering, rival{}, 0
	c.announceFrom(now)
}

func (c *Claim) announceFrom(now time.Time) {
	c.announceUntil, c.next = now.Add(burst), now
}

// expire does what is due.
func (c *Claim) expire(now time.Time, a *Actions) {
	if c.phase == Answering && c.rival != (rival{}) && !now.Before(c.rivalUntil) {
		c.rival = rival{}
	}
	if c.next.IsZero() || now.Before(c.next) {
		return
	}
	if c.phase == Blocked {
		c.probe(now)
	}
	if c.phase == Probing {
		if c.sent < probes {
			c.sent++
			c.next = now.Add(probeInterval)
			a.Probe = c.links
			return
		}
		c.answer(now)
	}
	if c.phase == Answering {
		a.Announce = c.links
		if c.next = now.Add(burstInterval); c.next.After(c.announceUntil) {
			c.next = now.Add(c.jitter(period))
		}
	}
}

// due is when time alone changes something.
func (c *Claim) due() time.Time {
	if c.phase == Answering && c.rival != (rival{}) && c.rivalUntil.Before(c.next) {
		return c.rivalUntil
	}
	return c.next
}
