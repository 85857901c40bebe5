package ownership

import (
	"slices"
	"time"
)

// obey takes an order. One that changes nothing sends nothing, and a take-over of the node's own stands until the centre
// decides anew.
func (c *Claim) obey(now time.Duration, o Order) {
	was, newer := c.order, o.Term > c.Term()
	for rank := range c.peers {
		if rank >= len(o.Nodes) || rank >= len(was.Nodes) || o.Nodes[rank] != was.Nodes[rank] || o.Term != was.Term {
			c.peers[rank] = memory{Peer: c.senses.Peers[rank]}
		}
	}
	c.order = o
	c.order.Links = was.Links
	c.setLinks(now, o.Links)
	c.confirmed = c.confirmed || !o.Restored
	c.decided = c.decided || !o.Restored && o.Term > was.Term
	c.used = c.used || o.Restored || o.Term > 1
	switch {
	case o.Role == Standby && was.Role == Standby && o.Term == was.Term:
	case o.Role == Standby:
		c.standDown()
		c.vacancy = vacancy{}
	case was.Role == Owner || c.taken != 0:
		c.taken = 0
		switch {
		case c.phase == Blocked && newer:
			// Whoever decided knows more than it did: do not wait.
			c.backoff = 0
			c.probe(now)
		case c.phase == Answering && c.refresh() < refreshOf(was):
			c.hasten(now)
		}
	case c.vacancy.at != 0 && now-c.vacancy.at <= ProbeValidity:
		c.vacancy = vacancy{}
		c.answer(now)
	default:
		c.vacancy = vacancy{}
		c.phase, c.given = Waiting, !o.Restored // settle goes on from there
	}
}

// refreshOf returns about how often an address is announced under an order.
func refreshOf(o Order) time.Duration {
	if o.Refresh <= 0 {
		return DefaultRefresh
	}
	return o.Refresh
}

func (c *Claim) refresh() time.Duration { return refreshOf(c.order) }

// hasten has a shorter refresh interval hold for the next announcement already: the last was made under the old one, of up to
// an hour.
func (c *Claim) hasten(now time.Duration) {
	if at := now + c.jitter(c.refresh()); c.next > max(at, c.announceUntil) {
		c.next = at
	}
}

// standDown makes the claim one that only stands by.
func (c *Claim) standDown() {
	c.phase, c.why, c.taken = StandingBy, "", 0
	c.next, c.backoff, c.contest, c.rival = 0, 0, contest{}, Rival{}
}

func (c *Claim) setLinks(now time.Duration, links []string) {
	if slices.Equal(c.order.Links, links) {
		return
	}
	added := slices.ContainsFunc(links, func(l string) bool { return !slices.Contains(c.order.Links, l) })
	c.order.Links = slices.Clone(links)
	c.links++
	switch {
	case !added || len(links) == 0:
	case c.phase == Probing:
		c.probe(now)
	case c.phase == Answering:
		c.announceFrom(now)
	}
}

// renew announces again what others know under an old hardware address.
func (c *Claim) renew(now time.Duration, links []string) {
	if c.phase == Answering && slices.ContainsFunc(links, func(l string) bool { return slices.Contains(c.order.Links, l) }) {
		c.announceFrom(now)
	}
}

// thaw begins anew after the process stood still: whatever was heard before it did is out of date.
func (c *Claim) thaw(now time.Duration) {
	c.contest, c.vacancy = contest{}, vacancy{}
	c.decided = false
	if c.phase == Answering || c.phase == Probing {
		c.probe(now)
	}
}
