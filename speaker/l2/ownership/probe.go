package ownership

import "time"

// round is one series of probes: left are to be sent, interval apart.
type round struct {
	left     int
	interval time.Duration
}

// probe makes sure that nobody else answers, and answers then.
func (c *Claim) probe(now time.Duration) {
	c.phase, c.why, c.next, c.given = Probing, "", now, false
	c.round = round{QuickProbes, QuickProbeInterval}
	if !c.used {
		c.round = round{FirstProbes, FirstProbeInterval}
	}
}

// block gives way to a host that answers, and probes again later.
func (c *Claim) block(now time.Duration, h Heard) {
	c.backoff = min(max(2*c.backoff, minBackoff), maxBackoff)
	c.phase, c.why, c.contest = Blocked, "", contest{}
	c.decided = c.decided && h.Rank == Foreign
	c.next = now + c.jitter(c.backoff)
	c.note(now, h)
}

func (c *Claim) answer(now time.Duration) {
	c.phase, c.why, c.rival, c.backoff, c.used, c.given = Answering, "", Rival{}, 0, true, false
	c.announceFrom(now)
}

func (c *Claim) announceFrom(now time.Duration) {
	c.announceUntil, c.next, c.news = now+burst, now, true
}

// announceOnce announces now, whatever is scheduled.
func (c *Claim) announceOnce() { c.out.Announce = c.order.Links }

// expire does what is due.
func (c *Claim) expire(now time.Duration) {
	if ends := c.rivalEnds(); ends != 0 && now >= ends {
		c.rival = Rival{}
	}
	if c.defence != 0 && now >= c.defence {
		c.defence = 0
		if c.phase == Answering {
			c.defend(now)
		}
	}
	if c.contest.next != 0 && now >= c.contest.next {
		c.contest.next = 0
		if c.phase == Answering {
			c.contest.announced = now
			c.announceOnce()
		}
	}
	if c.next == 0 || now < c.next {
		return
	}
	if c.phase == Blocked {
		c.probe(now)
	}
	if c.phase == Probing {
		if c.round.left > 0 {
			c.round.left--
			c.next = now + c.round.interval
			c.out.Probe = c.order.Links
			return
		}
		c.answer(now)
	}
	if c.phase == Answering {
		c.out.Repeated = !c.news && len(c.out.Announce) == 0
		c.news = false
		c.announceOnce()
		if c.next = now + burstInterval; c.next > c.announceUntil {
			c.next = now + c.jitter(c.refresh())
		}
	}
}
