package ipam

import (
	"time"
)

// mostLacks is of how many pools an error tells why they would not do.
const mostLacks = 3

// exhausted says why Allocate found nothing.
func (a *Allocator) exhausted(s Service, f Families) *ExhaustedError {
	e := &ExhaustedError{}
	for _, list := range []*candidates{&a.pinned, &a.open} {
		for _, p := range list.pools {
			if !p.admits(s) {
				continue
			}
			if len(e.Lacks) == mostLacks && a.resting.Len() == 0 { // so that it is not to be had at a known time
				e.Others++
				continue
			}
			lack, until := a.why(p, s, f)
			if e.Until.IsZero() || !until.IsZero() && until.Before(e.Until) {
				e.Until = until
			}
			if len(e.Lacks) < mostLacks {
				e.Lacks = append(e.Lacks, lack)
			} else {
				e.Others++
			}
		}
	}
	return e
}

// exhaustedIn says why one pool has nothing.
func (a *Allocator) exhaustedIn(p *pool, s Service, f Families) *ExhaustedError {
	lack, until := a.why(p, s, f)
	return &ExhaustedError{Pool: p.Name, Lacks: []Lack{lack}, Until: until}
}

// why says what p lacks for s, by the first family that it lacks, and until when that is so, if only because addresses
// rest.
func (a *Allocator) why(p *pool, s Service, f Families) (first Lack, until time.Time) {
	told := false
	for _, families := range f.tries() {
		var latest time.Time
		hopeless := false
		room := p.room(s)
		for _, family := range families {
			if _, ok := a.chooseOf(p, s, family, room > 0); ok {
				room--
				continue
			}
			l := a.lack(p, s, family, room)
			if l.Quota != nil || l.Until.IsZero() {
				hopeless = true
			} else if l.Until.After(latest) {
				latest = l.Until
			}
			if !told {
				first, told = l, true
			}
			room--
		}
		if !hopeless && !latest.IsZero() && (until.IsZero() || latest.Before(until)) {
			until = latest
		}
	}
	return first, until
}

// lack says why there is no address of the family.
func (a *Allocator) lack(p *pool, s Service, f Family, room int64) Lack {
	counts := p.counts()[f]
	l := Lack{Pool: p.Name, Family: f, Total: counts.Total, InUse: counts.Assigned, Biggest: p.biggest()}
	of := owners(s)
	for _, b := range p.blocks {
		if b.family != f {
			continue
		}
		for i, o := range of {
			if i > 0 && o == of[i-1] {
				continue
			}
			lot := b.lotFor(o)
			if lot == nil {
				continue
			}
			l.Resting += int64(lot.resting.Len())
			if m, ok := lot.resting.Min(); ok && (l.Until.IsZero() || m.until.Before(l.Until)) {
				l.Until = m.until
			}
		}
	}
	if limit, limited := p.limit(s.Namespace); limited && room <= 0 && counts.Total > 0 {
		l.Quota = p.quotaError(s.Namespace, limit)
	}
	return l
}
