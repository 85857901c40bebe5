package ownership

import "time"

// vacancy is what a standby knows of an address whose owner it does not hear.
type vacancy struct {
	// down is when the node began to look: the owner is not heard any more or, with watch, may have fallen silent, as that of
	// a Local address; or somebody else answered. Zero for not.
	down  time.Duration
	round round
	// asking says that a round of probes is under way.
	asking bool
	// asked is when it, or the last one, began.
	asked time.Duration
	// next is when to probe, look when to decide again.
	next, look time.Duration
	// watch says that the owner is up.
	watch bool
	// since is when the first of an unbroken series of rounds ended unanswered, at when the last one did, and rounds how
	// many there were; zero when there is none.
	since, at time.Duration
	rounds    int
	// may is since when nothing but the standby's rank keeps it from taking over.
	may time.Duration
}

// occupied notes that somebody answers for the address.
func (c *Claim) occupied(now time.Duration) {
	c.vacancy = vacancy{down: now, watch: c.senses.Peers[0].Up, next: now + c.jitter(StandbyRetry)}
}

// stand is the standby's part of the table.
func (c *Claim) stand(now time.Duration) {
	c.phase = StandingBy
	owner := &c.peers[0]
	watching := c.order.Local && c.senses.Centre == Lost && c.endpoints.Known && c.endpoints.Here
	switch {
	case len(c.order.Links) == 0:
		c.vacancy, c.why = vacancy{}, ""
		return
	case !owner.Known, owner.Up && !watching:
		c.vacancy, c.why = vacancy{}, ""
		return
	case !owner.Up && !owner.met && now < owner.since+StrangerGrace:
		// Its session is being set up, perhaps.
		c.vacancy, c.why = vacancy{next: owner.since + StrangerGrace}, ""
		return
	}
	v := &c.vacancy
	if v.down == 0 || v.watch != owner.Up {
		*v = vacancy{down: now, watch: owner.Up}
		c.why = ""
		c.ask(now)
	}
	v.look = 0
	if v.next != 0 && now >= v.next {
		c.goOn(now)
	}
	c.takeOver(now)
}

// ask begins a round of probes, and has the witnesses asked beside it.
func (c *Claim) ask(now time.Duration) {
	v := &c.vacancy
	v.asking, v.asked, v.next = true, now, now
	v.round = round{QuickProbes, QuickProbeInterval}
	if v.watch {
		v.round.left = LocalProbes
	} else {
		c.out.Verify = true
	}
}

// goOn sends the next probe, or ends the round.
func (c *Claim) goOn(now time.Duration) {
	v := &c.vacancy
	if !v.asking {
		c.ask(now)
	}
	if v.round.left > 0 {
		v.round.left--
		v.next = now + v.round.interval
		c.out.Probe = c.order.Links
		return
	}
	v.asking, v.next = false, 0
	v.at, v.rounds = now, v.rounds+1
	if v.watch {
		v.next = now + c.jitter(LocalInterval)
		if v.rounds < LocalRounds {
			v.next = now // an answer may have been lost: at once again
		}
		return
	}
	if v.since == 0 {
		v.since = now
	}
}

// takeOver does so when the table says so.
func (c *Claim) takeOver(now time.Duration) {
	v := &c.vacancy
	s := c.senses
	needed := 1
	if v.watch {
		needed = LocalRounds
	}
	switch {
	case v.rounds < needed:
		if !v.asking && !v.watch && v.rounds == 0 {
			c.why = "the owner is not heard, but another host answers"
		}
		return
	case s.Centre != Lost:
		c.why, v.may = "the owner is not heard, and nobody answers; the centre decides", 0
		return
	case c.order.Local && !(c.endpoints.Known && c.endpoints.Here):
		c.why, v.may = "the owner is not heard, and nobody answers; but the node has no endpoint of the Service", 0
		return
	case !v.watch && s.Witness != WitnessHeard:
		c.why, v.may = "neither the owner nor a witness is heard: the node may be the one that is cut off", 0
		return
	}
	c.why = ""
	if v.may == 0 {
		v.may = now
	}
	turn := v.may + time.Duration(c.order.Rank-1)*RankDelay
	switch {
	case now < turn:
		v.look = turn
	case v.asking:
	case now-v.at > ProbeValidity:
		c.ask(now)
	case !v.watch && s.WitnessAt < v.asked:
		// Its last answer is from before; it was asked again.
		v.look = now + verifyPoll
	default:
		c.taken = c.order.Term + uint64(c.order.Rank)
		c.vacancy = vacancy{}
		c.answer(now)
	}
}
