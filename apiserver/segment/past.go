package segment

import (
	"fmt"
	"slices"
	"time"
)

// past is what is remembered of one link.
type past struct {
	// deaf is since when nobody answers on it, as the centre knows; silent is the same for each witness.
	deaf   time.Time
	silent map[string]time.Time
	// shared is since when another link has its hardware address.
	shared time.Time
	// faults are those last found; began is since when there has been one that counts, and spared that its end will be
	// forgiven.
	faults []Fault
	began  time.Time
	spared bool
	hold   hold
	reason Reason // of the fault that ended last
}

// inspect judges one link.
func (a *acquaintance) inspect(v *Verdicts, n *Node, l *link, began time.Time) (next time.Time) {
	c := v.court
	e := c.ear(l.place())
	p := a.links[l.name]
	if p == nil {
		missed := !l.up && (len(l.networks) > 0 || e != nil)
		if !missed && len(c.last.shared[l.place()]) == 0 && (e == nil || !e.asked) {
			return time.Time{}
		}
		p = &past{}
		if a.links == nil {
			a.links = map[string]*past{}
		}
		a.links[l.name] = p
	}
	var faults []Fault
	if n.Connected {
		faults, next = p.judge(c, l, e)
	} else {
		faults = p.faults
		if _, ok := c.vouched(l.place()); ok {
			faults = nil
		}
	}
	return soonest(next, p.settle(v, n, l, faults, began))
}

// judge finds the faults of a link whose node can speak.
func (p *past) judge(c *court, l *link, e *ear) (faults []Fault, next time.Time) {
	if !l.up {
		p.deaf, p.silent, p.shared = time.Time{}, nil, time.Time{}
		if len(l.networks) == 0 && e == nil {
			return nil, time.Time{} // nobody misses it
		}
		return []Fault{broken(l)}, time.Time{}
	}
	if len(c.last.shared[l.place()]) > 0 {
		if p.shared.IsZero() {
			p.shared = c.now
		}
		if at := c.twins[l.mac].Add(settles); c.now.Before(at) {
			next = at
		} else if f, found := c.sharedMAC(l, p.shared); found {
			faults = append(faults, f)
		}
	} else {
		p.shared = time.Time{}
	}
	if e == nil {
		p.deaf, p.silent = time.Time{}, nil
		return faults, next
	}
	p.note(c.now, e)
	if !p.deaf.IsZero() {
		if e.waiting {
			if before := p.deafness(); before != nil { // still nobody answers, whoever is asked now
				return append(faults, *before), next
			}
			if c.now.Before(p.deaf.Add(patience)) {
				return faults, soonest(next, p.deaf.Add(patience))
			}
		}
		f, found, later := c.deafness(e, p.deaf)
		if found {
			return append(faults, p.again(f)), soonest(next, later)
		}
		next = soonest(next, later)
	}
	if e.deafTo {
		f, found, later := c.witnessSilence(e, p.silent)
		if found {
			faults = append(faults, p.again(f))
		}
		next = soonest(next, later)
	}
	return faults, next
}

// note keeps account of since when nobody answers, or some witness does not.
func (p *past) note(now time.Time, e *ear) {
	switch {
	case e.answered || !e.asked && (!e.waiting || p.deafness() == nil):
		p.deaf = time.Time{}
	case p.deaf.IsZero():
		p.deaf = now
	}
	before := p.silent
	p.silent = nil
	if !e.deafTo {
		return
	}
	p.silent = map[string]time.Time{}
	for _, w := range e.witnesses {
		if w.answer == silent {
			since, known := before[w.name]
			if !known {
				since = now
			}
			p.silent[w.name] = since
		}
	}
}

// deafness is the fault last found of a link on which nobody answers.
func (p *past) deafness() *Fault {
	for i := range p.faults {
		if r := p.faults[i].Reason; r == Isolated || r == OneWay {
			return &p.faults[i]
		}
	}
	return nil
}

// again returns a fault as it was said before, if it was: evidence comes bit by bit, and each bit is no news.
func (p *past) again(f Fault) Fault {
	for _, before := range p.faults {
		if before.Reason == f.Reason && (f.Reason == Undecided || overlap(before.Nodes, f.Nodes)) {
			return before
		}
	}
	return f
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// settle makes faults those of a link, and holds it down where they have just ended.
func (p *past) settle(v *Verdicts, n *Node, l *link, faults []Fault, began time.Time) (next time.Time) {
	now := v.court.now
	p.faults = faults
	bad := slices.ContainsFunc(faults, func(f Fault) bool { return f.Reason != Undecided })
	switch {
	case bad && p.began.IsZero():
		p.began = now
		p.spared = now.Sub(began) < young || !n.Since.IsZero() && now.Sub(n.Since) < young
	case !bad && !p.began.IsZero():
		if !p.spared {
			p.hold.ended(p.began, now, 0)
		}
		p.began = time.Time{}
	}
	if bad {
		p.reason = faults[0].Reason
	}
	if !bad && p.hold.held(now) {
		faults = append([]Fault{{
			Interface: l.name, Reason: HeldDown, Since: p.hold.at,
			Message: fmt.Sprintf("%s of %s has only just recovered (%s); it is given no address until it has been well for a while", l.name, l.node, p.reason),
		}}, faults...)
		next = p.hold.until
	}
	if len(faults) > 0 {
		v.faults[l.place()] = faults
	}
	return next
}

// forget drops what no longer matters of links.
func (a *acquaintance) forget(now time.Time) {
	for name, p := range a.links {
		if a.read.link(name) == nil {
			*p = past{hold: p.hold, reason: p.reason}
		}
		if p.hold.over(now) && p.deaf.IsZero() && len(p.silent) == 0 && p.shared.IsZero() && len(p.faults) == 0 {
			delete(a.links, name)
		}
	}
}
