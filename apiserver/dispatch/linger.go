package dispatch

import (
	"time"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// lingering is how long a configuration stays in force that a Service still depends on. The controller lets an address
// rest for 2 s before it takes it from a Service whose pool is gone; then the address leaves the Service's status.
const lingering = 5 * time.Second

// linger keeps the configuration in force while a newer one would take the pool of an address from under a Service
// that still has it. MetalLB does the same (spec.md section 5.5): its speakers refuse such a configuration until the
// controller has moved the Service. So a pool can be renamed, or an address moved, without a moment of silence.
type linger struct {
	config   *metallb.Configuration // in force; nil when none is
	revision int64
	since    time.Time // when a newer one was first kept waiting; zero when none is
}

// choose returns the configuration to plan from, and when to ask again if that is not the newest. stranded compares
// the one in force with the newest.
func (l *linger) choose(newest *metallb.Configuration, revision int64, now time.Time,
	stranded func(before, after *metallb.Configuration) bool) (*metallb.Configuration, int64, time.Time) {
	if l.config != nil && l.config != newest && stranded(l.config, newest) {
		if l.since.IsZero() {
			l.since = now
		}
		if until := l.since.Add(lingering); now.Before(until) {
			return l.config, l.revision, until
		}
	}
	l.config, l.revision, l.since = newest, revision, time.Time{}
	return newest, revision, time.Time{}
}
