package agent

import (
	"time"

	"golang.org/x/time/rate"
)

const (
	// quiet is how long the first change after a pause, and one that the centre waits for, is held for others that come with it.
	quiet = 10 * time.Millisecond
	// hurries bounds how often, on average and at once, a change is reported earlier than the rest would be.
	hurries, hurriesAtOnce = 5, 20
)

// gathering decides when changes are reported: gathered over the coalescing time, but the first after a pause and urgent ones
// at once.
type gathering struct {
	coalesce time.Duration
	hurry    *rate.Limiter
	timer    *time.Timer
	// due is when the next report is, zero if nothing changed; last when the last one was.
	due, last time.Time
}

func newGathering(coalesce time.Duration) *gathering {
	g := &gathering{coalesce: coalesce, hurry: rate.NewLimiter(hurries, hurriesAtOnce), timer: time.NewTimer(time.Hour)}
	g.timer.Stop()
	return g
}

// changed takes in that something changed.
func (g *gathering) changed(now time.Time) {
	if g.due.IsZero() {
		g.at(now, now.Add(max(quiet, g.coalesce-now.Sub(g.last))))
	}
}

// urgent takes in that something changed that the centre waits for.
func (g *gathering) urgent(now time.Time) {
	g.changed(now)
	if soon := now.Add(quiet); soon.Before(g.due) && g.hurry.AllowN(now, 1) {
		g.at(now, soon)
	}
}

func (g *gathering) at(now, due time.Time) {
	g.due = due
	g.timer.Reset(due.Sub(now))
}

// reported takes in that everything was reported.
func (g *gathering) reported(now time.Time) {
	g.timer.Stop()
	g.due, g.last = time.Time{}, now
}
