package segment

import (
	"testing"
	"time"
)

// TestNobodyIsBlamedForNoticingFirst: a host is switched off that answered two nodes. Until both have asked it again one of them
// says that it is silent, and the other that it answers.
func TestNobodyIsBlamedForNoticingFirst(t *testing.T) {
	const name = "192.0.2.251"
	tests := []struct {
		name    string
		asked   bool // for an address: nobody told the nodes to ask it
		pace    Pace // node2's
		later   time.Duration
		unknown bool // node2 asks it anew when it is switched off
	}{
		{"the pace is not known", false, Pace{}, agree - time.Millisecond, false},
		{"every 200 ms", false, Pace{Interval: 200 * time.Millisecond}, 250 * time.Millisecond, false},
		{"every 2 s", false, Pace{Interval: 2 * time.Second}, 2050 * time.Millisecond, false},
		{"every 2 s until just now", false, Pace{Interval: 200 * time.Millisecond, Before: 2 * time.Second, Since: start.Add(time.Minute + 400*time.Millisecond)}, 650 * time.Millisecond, false},
		{"every 2 s since just now", false, Pace{Interval: 2 * time.Second, Before: 200 * time.Millisecond, Since: start.Add(time.Minute)}, 2050 * time.Millisecond, false},
		{"a client that asked for an address", true, Pace{Interval: 200 * time.Millisecond}, 11 * time.Second, false},
		{"asked anew", false, Pace{Interval: 200 * time.Millisecond}, 900 * time.Millisecond, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(2, 2)
			w.memory.Pace = func(node, _ string) Pace {
				if node == "node2" {
					return tt.pace
				}
				return Pace{Interval: 200 * time.Millisecond}
			}
			off := w.witnesses[0]
			off.asked = tt.asked
			w.pass(start.Add(time.Minute).Sub(w.now))
			off.dead = true
			if w.node(2).hears = map[string]bool{name: true}; tt.unknown {
				w.node(2).hears, w.node(2).anew = nil, map[string]bool{name: true}
			}
			if got := w.pass(tt.later).Of("node1", vip, nil); !got.Fit {
				t.Errorf("%s after it was silent to node1: %+v", tt.later, got)
			}
			w.node(2).hears, w.node(2).anew = nil, nil
			if got := w.pass(time.Minute).Of("node1", vip, nil); !got.Fit {
				t.Errorf("silent to both: %+v", got)
			}
		})
	}
}

// TestWhoGoesOnAnsweringOthersIsEvidence: as above, but the host still answers node2, which says so after having asked again.
func TestWhoGoesOnAnsweringOthersIsEvidence(t *testing.T) {
	changes := start.Add(time.Minute + 10*time.Second)
	for _, tt := range []struct {
		name   string
		asked  bool
		pace   Pace
		within time.Duration
	}{
		{"every 200 ms", false, Pace{Interval: 200 * time.Millisecond}, 300 * time.Millisecond},
		{"a client", true, Pace{Interval: 200 * time.Millisecond}, 12 * time.Second},
		{"every 200 ms, and every 2 s afterwards", false, Pace{Interval: 2 * time.Second, Before: 200 * time.Millisecond, Since: changes}, 11 * time.Second},
		{"every 2 s until long ago", false, Pace{Interval: 200 * time.Millisecond, Before: 2 * time.Second, Since: start}, 300 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(2, 1)
			w.memory.Pace = func(string, string) Pace { return tt.pace }
			w.witnesses[0].asked = tt.asked
			w.pass(start.Add(time.Minute).Sub(w.now))
			w.node(1).deafTo = map[string]bool{w.witnesses[0].name: true}
			if got := w.pass(tt.within).Of("node1", vip, nil); got.Reason != WitnessSilent {
				t.Errorf("after %s: %+v", tt.within, got)
			}
			// A node that is asked to ask anew takes nothing back.
			w.node(2).anew = map[string]bool{w.witnesses[0].name: true}
			if got := w.judge().Of("node1", vip, nil); got.Reason != WitnessSilent {
				t.Errorf("asked anew: %+v", got)
			}
		})
	}
}
