package ownership

import (
	"slices"
	"time"
)

// contest is that of two nodes that both answer.
type contest struct {
	// since is when it began, last when the other was last heard.
	since, last time.Duration
	// announced is when this node last announced because of it, next when it does again; zero for not.
	announced, next time.Duration
}

// heard takes in that another host uses the address, or asks whether anybody does.
func (c *Claim) heard(now time.Duration, h Heard) {
	if !slices.Contains(c.order.Links, h.Link) {
		return
	}
	switch {
	case h.Probe:
		// RFC 5227 section 2.1.1 has both give way; the lower address goes on instead.
		if c.phase == Probing && lower(h.MAC, h.Ours) {
			c.giveWay(now, h)
		}
	case !c.owns():
		c.occupied(now)
	case c.phase == Probing && h.Rank != Foreign && c.order.Role == Owner && c.decided && c.senses.Centre == Fresh:
		// The centre decided anew, and the other does not know yet: it stops when it hears us answer.
		c.note(now, h)
	case c.phase == Probing:
		c.giveWay(now, h)
	case c.phase != Answering:
		c.note(now, h)
	case c.order.Role == Owner && !c.confirmed:
		// What was restored is a claim, not a right.
		c.backoff = 0
		c.block(now, h)
	case h.Rank == Foreign:
		c.note(now, h)
		c.defend(now)
	default:
		c.note(now, h)
		c.dispute(now, h)
	}
}

func lower(a, b MAC) bool { return slices.Compare(a[:], b[:]) < 0 }

// giveWay ends a take-over of the node's own; an owner tries again later.
func (c *Claim) giveWay(now time.Duration, h Heard) {
	if c.taken != 0 {
		c.standDown()
		c.occupied(now)
		return
	}
	c.block(now, h)
}

// note remembers the other host, but does not make news of each of its packets.
func (c *Claim) note(now time.Duration, h Heard) {
	r := Rival{Link: h.Link, MAC: h.MAC, Rank: h.Rank, First: now, Last: now}
	if o := c.rival; o.Link == r.Link && o.MAC == r.MAC && o.Rank == r.Rank {
		r.First = o.First
		if now-o.Last < rivalMemory/2 {
			return
		}
	}
	c.rival = r
}

// defend announces the address against a foreign host, seldom: RFC 5227 section 2.4 (c). What the host says in between is
// answered later, or else it would have the last word until the next announcement.
func (c *Claim) defend(now time.Duration) {
	at := c.defended + DefendInterval
	if c.defended != 0 && now < at {
		c.defence = at
		return
	}
	c.defended, c.defence = now, 0
	c.announceOnce()
}

// dispute settles which of two nodes that both answer goes on. The loser stops at once. The winner announces, again and
// again while it still hears the other.
func (c *Claim) dispute(now time.Duration, h Heard) {
	d := &c.contest
	if d.since == 0 || now-d.last > contestPause {
		*d = contest{since: now}
	}
	d.last = now
	if c.loses(now, h) {
		c.backoff = 0
		c.giveWay(now, h)
		return
	}
	if d.announced == 0 || now-d.announced >= ContestInterval {
		d.announced, d.next = now, 0
		c.announceOnce()
	} else if d.next == 0 {
		d.next = d.announced + ContestInterval
	}
}

// loses compares (term, rank) with another node. Nobody's term is on the wire; but both have orders of the centre, which
// say who can have which: an owner that hears the centre has the newest, and standbys have taken over with the term of the
// order plus their rank.
func (c *Claim) loses(now time.Duration, h Heard) bool {
	insisted := now - c.contest.since
	switch {
	case c.order.Role == Owner && c.senses.Centre == Fresh:
		return false
	case c.taken != 0 && h.Rank > c.order.Rank && h.Rank != Unlisted:
		return true
	case c.taken != 0:
		// The owner's term is lower, unless it has a newer order: then it hears the centre, and does not stop.
		return insisted >= Insistence
	case h.Rank < len(c.peers) && c.peers[h.Rank].met:
		// A standby that watched us, and took over when it did not hear us any more.
		return true
	}
	// One of the two has missed an order; the other goes on.
	return insisted >= 2*Insistence || insisted >= Insistence && lower(h.MAC, h.Ours)
}
