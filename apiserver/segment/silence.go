package segment

import (
	"fmt"
	"slices"
	"time"
)

// deafness judges a link on which nobody answers, since the centre first saw it so.
func (c *court) deafness(e *ear, since time.Time) (f Fault, found bool, later time.Time) {
	alive, later := c.aliveBesides(e, since)
	if len(alive) == 0 {
		f, found := c.undecided(e, since)
		if !found && later.IsZero() && c.now.Before(since.Add(lasts)) {
			later = since.Add(lasts)
		}
		return f, found, later
	}
	f = Fault{Interface: e.link, Reason: Isolated, Since: earliest(e.quiet, since), Nodes: alive}
	f.Message = fmt.Sprintf("nobody answers %s on %s, while %s there: its cable, its switch port or its VLAN", e.node, e.link, hearEachOther(alive))
	at := since.Add(lasts)
	if c.now.Before(at) {
		return f, true, at
	}
	switch to, from := c.arrivals(e); {
	case len(to) > 0:
		f.Reason, f.Nodes = OneWay, to
		f.Message = fmt.Sprintf("frames of %s arrive at %s, but it hears nobody on %s: something drops what is sent to it", e.node, some(to), e.link)
	case len(from) > 0:
		f.Reason, f.Nodes = OneWay, from
		f.Message = fmt.Sprintf("frames of %s arrive at %s on %s, but nobody hears it: something drops what it sends", some(from), e.node, e.link)
	}
	return f, true, time.Time{}
}

func hearEachOther(names []string) string {
	if len(names) == 1 {
		return names[0] + " is heard"
	}
	return some(names) + " are heard"
}

// aliveBesides are those whom e asked in vain and whom others hear, or who hear others. Those who have fallen silent to
// everybody are not among them.
func (c *court) aliveBesides(e *ear, since time.Time) (alive []string, later time.Time) {
	note := func(name string, now bool, at time.Time) {
		if now {
			alive = append(alive, name)
		} else {
			later = soonest(later, at)
		}
	}
	for i := range e.peers {
		p := &e.peers[i]
		if p.answer != silent {
			continue
		}
		now, at := c.peerAlive(e, p, since)
		note(p.name, now, at)
	}
	for i := range e.witnesses {
		w := &e.witnesses[i]
		if w.answer != silent {
			continue
		}
		var now bool
		var at time.Time
		for o := range c.said(w.name) {
			if o.ear.node == e.node || o.answer != answers || !c.sharesSegment(e, o.ear, w.addr) {
				continue
			}
			ok, when := c.testifies(o, e, since)
			now, at = now || ok, soonest(at, when)
		}
		note(w.name, now, at)
	}
	slices.Sort(alive)
	return slices.Compact(alive), later
}

// peerAlive says whether a peer that does not answer e is on the segment, by its own word or that of others.
func (c *court) peerAlive(e *ear, p *sound, since time.Time) (now bool, later time.Time) {
	over := c.last.linkOf(p.name, p.addr)
	for _, own := range c.ears(p.name) {
		heard := own.besides(e.node)
		if over != "" && own.link != over || heard == nil {
			continue
		}
		ok, at := c.testifies(word{own, heard}, e, since)
		now, later = now || ok, soonest(later, at)
	}
	for _, w := range c.about(place{p.name, over}) {
		if w.ear.node == e.node || w.answer != answers {
			continue
		}
		ok, at := c.testifies(w, e, since)
		now, later = now || ok, soonest(later, at)
	}
	return now, later
}

// testifies says whether the word of a node, that it hears somebody, counts against e, which hears nobody since a time. Where
// that node has noticed, too, that it does not hear e, it does at once, but for hosts that it asks rarely.
func (c *court) testifies(w word, e *ear, since time.Time) (now bool, later time.Time) {
	if own := w.ear.peer(e.node); own != nil && own.answer == silent && w.ear.brisk && !w.sound.rare && c.fresh(w.ear) {
		return true, time.Time{}
	}
	return c.counts(w, since)
}

// undecided is the fault of a link on which nobody answers, where nobody can tell why: a remark, as long as the other side
// is known to live.
func (c *court) undecided(e *ear, since time.Time) (Fault, bool) {
	if c.now.Before(since.Add(lasts)) {
		return Fault{}, false
	}
	var others []string
	for i := range e.peers {
		p := &e.peers[i]
		for _, o := range c.ears(p.name) {
			l := c.last.link(o.node, o.link)
			if s := o.peer(e.node); p.answer == silent && s != nil && s.answer == silent && c.fresh(o) && (l == nil || l.up) {
				others = append(others, p.name)
				break
			}
		}
	}
	if len(others) == 0 {
		return Fault{}, false
	}
	slices.Sort(others)
	return Fault{
		Interface: e.link, Reason: Undecided, Since: earliest(e.quiet, since), Nodes: others,
		Message: fmt.Sprintf("%s and %s do not hear each other on %s, and no witness tells which of them is cut off", e.node, some(others), e.link),
	}, true
}

// arrivals are those at whom frames of a link arrive though it does not answer, and those whose frames arrive at it.
func (c *court) arrivals(e *ear) (to, from []string) {
	for _, w := range c.about(place{e.node, e.link}) {
		if w.answer == silent && w.arrives && c.fresh(w.ear) {
			to = append(to, w.ear.node)
		}
	}
	for _, p := range e.peers {
		if p.answer == silent && p.arrives {
			from = append(from, p.name)
		}
	}
	slices.Sort(to)
	slices.Sort(from)
	return slices.Compact(to), slices.Compact(from)
}

// witnessSilence judges a link on which witnesses do not answer; silent says since when the centre knows of each. A
// witness counts against a node where it answers at least as many nodes as it does not, or where none answers that node.
func (c *court) witnessSilence(e *ear, since map[string]time.Time) (f Fault, found bool, later time.Time) {
	var guilty, heard []string
	when := c.now
	for i := range e.witnesses {
		w := &e.witnesses[i]
		if w.answer != silent {
			continue
		}
		var answered []string
		silents := 1
		for o := range c.said(w.name) {
			if o.ear.node == e.node || !c.sharesSegment(e, o.ear, w.addr) {
				continue
			}
			switch o.answer {
			case answers:
				ok, at := c.counts(o, since[w.name])
				later = soonest(later, at)
				if ok {
					answered = append(answered, o.ear.node)
				}
			case silent:
				if c.fresh(o.ear) {
					silents++
				}
			}
		}
		if len(answered) > 0 && (len(answered) >= silents || e.hearing() != Heard) {
			guilty, heard = append(guilty, w.name), append(heard, answered...)
			when = earliest(when, earliest(w.since, since[w.name]))
		}
	}
	if len(guilty) == 0 {
		return Fault{}, false, later
	}
	slices.Sort(guilty)
	slices.Sort(heard)
	heard = slices.Compact(heard)
	return Fault{
		Interface: e.link, Reason: WitnessSilent, Since: when, Nodes: heard,
		Message: fmt.Sprintf("%s %s not answer %s on %s, but %s %s", some(guilty), verb(len(guilty), "does", "do"), e.node, e.link,
			verb(len(guilty), "answers", "answer"), some(heard)),
	}, true, later
}

// earliest is the earlier one of two times, without regard to a zero one.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// soonest is the same; it has another name where it is about what is to come.
func soonest(a, b time.Time) time.Time { return earliest(a, b) }
