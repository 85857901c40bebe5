package agent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// change is one at a time in milliseconds.
type change struct {
	at     int
	urgent bool
}

// TestWhatTheCentreWaitsForIsNotHeldForTheRest plays changes, at times in milliseconds, and collects when reports are due.
func TestWhatTheCentreWaitsForIsNotHeldForTheRest(t *testing.T) {
	tests := map[string]struct {
		changes []change
		want    []int
	}{
		"the first after a pause":            {[]change{{0, false}}, []int{10}},
		"those that come with it":            {[]change{{0, false}, {5, false}, {9, true}}, []int{10}},
		"the rest is gathered":               {[]change{{0, false}, {20, false}, {200, false}, {400, false}}, []int{10, 260, 510}},
		"BFD down, then the address vacant":  {[]change{{0, true}, {110, true}}, []int{10, 120}},
		"urgent, while others are gathered":  {[]change{{0, false}, {20, false}, {30, true}, {60, false}}, []int{10, 40, 290}},
		"urgent ones all the time are bound": {burst(0, 2000, 2), nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := newGathering(250 * time.Millisecond)
			began := time.Now()
			var got []int
			report := func(until time.Time) {
				for !g.due.IsZero() && !g.due.After(until) {
					got = append(got, int(g.due.Sub(began).Milliseconds()))
					g.reported(g.due)
				}
			}
			for _, c := range tt.changes {
				now := began.Add(time.Duration(c.at) * time.Millisecond)
				report(now)
				if c.urgent {
					g.urgent(now)
				} else {
					g.changed(now)
				}
			}
			report(began.Add(time.Hour))
			if tt.want == nil {
				// Twenty at once, five a second, and those that would have come anyway.
				if len(got) < 20 || len(got) > 20+2*5+2*4+1 {
					t.Errorf("%d reports in two seconds: %v", len(got), got)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("reports at (-want +got):\n%s", diff)
			}
		})
	}

	t.Run("the timer fires", func(t *testing.T) {
		g := newGathering(time.Hour)
		g.changed(time.Now())
		<-g.timer.C
	})
}

// TestUrgentChangesAreReportedThoughTheRestWaits has changes gathered for longer than the test lasts.
func TestUrgentChangesAreReportedThoughTheRestWaits(t *testing.T) {
	a := newAuthority(t)
	c := startCentre(t, a, "")
	r := newRig(t, a, c.address)
	r.opts.timing.coalesce = time.Hour
	r.layer2 = newListener()
	r.start()
	s := c.next().lead("L", 5)
	says := func(state string) {
		t.Helper()
		s.hear("a session that is "+state, func(m *ingotv1.ConnectRequest) bool {
			for _, session := range m.GetReport().GetSessions() {
				if session.GetState() == state {
					return true
				}
			}
			return false
		})
	}
	r.routes.observe([]*ingotv1.SessionReport{{Peer: "tor", State: "first"}}) // after a pause
	says("first")
	r.routes.observe([]*ingotv1.SessionReport{{Peer: "tor", State: "second"}})
	r.layer2.urgent <- struct{}{}
	says("second")
	r.layer2.urgent <- struct{}{} // with nothing to tell
	r.routes.observe([]*ingotv1.SessionReport{{Peer: "tor", State: "third"}})
	r.layer2.urgent <- struct{}{}
	says("third")
}

func burst(from, to, step int) (changes []change) {
	for at := from; at < to; at += step {
		changes = append(changes, change{at, true})
	}
	return changes
}
