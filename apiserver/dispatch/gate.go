package dispatch

import "time"

// settleTime is how long the layer-2 lane waits for speakers to say what they hold, before anyone is elected.
const settleTime = 3 * time.Second

// gate knows since when this replica could order, and when it may order layer 2.
type gate struct {
	lead    *leadership
	opened  time.Time // when everything was there for the first time in this leadership
	serving time.Time // since when absences of speakers count
	settled bool
	ticked  time.Time
}

// open notes that everything is there to lead with. It returns since when absences of speakers count.
func (g *gate) open(lead *leadership, now time.Time) time.Time {
	if g.lead != lead {
		*g = gate{lead: lead, opened: now, serving: now, ticked: g.ticked}
	}
	return g.serving
}

// layer2 says whether layer-2 ownership may be decided and sent, or until when that waits. It stays open once it is.
func (g *gate) layer2(now time.Time, everyone bool) (bool, time.Time) {
	until := g.opened.Add(settleTime)
	if everyone || !now.Before(until) {
		g.settled = true
	}
	return g.settled, until
}

// tick notes that time passes, and says whether this process stood still meanwhile. If so, speakers had no chance to
// be heard, and their absences count anew.
func (g *gate) tick(now time.Time) bool {
	gap := now.Sub(g.ticked)
	g.ticked = now
	if gap < 2*stall {
		return false
	}
	g.serving = now
	return true
}
