package service

import "time"

// layoutShare: the pools are laid out anew for at most one part in so many of the time.
const layoutShare = 10

// layoutPause is how long Services and pools have to wait until changes of pools are looked at together, so that
// thousands of changes in a row cost a few layouts of thousands of pools, not thousands of them. With few pools it is
// too short to be noticed. It is 0 where nothing waits to be looked at. The caller holds mu.
func (c *Controller) layoutPause() time.Duration {
	if len(c.book.changed) == 0 {
		return 0
	}
	return max(0, time.Until(c.nextLayout))
}

// laidOut notes what a layout has cost. The caller holds mu.
func (c *Controller) laidOut(began time.Time) {
	now := time.Now()
	c.nextLayout = now.Add((layoutShare - 1) * now.Sub(began))
}
