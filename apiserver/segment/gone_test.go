package segment

import (
	"strings"
	"testing"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// TestGone: node1 owns an address, node2 stands by for it and finds it vacant, node3 stands by, too, in some.
func TestGone(t *testing.T) {
	vacant := func(h *host) { h.stands, h.vacant = []string{vip.String()}, []string{vip.String()} }
	off := func(w *world) { w.node(1).dead, w.node(1).frozen = true, time.Second; vacant(w.node(2)) }
	tests := []struct {
		name             string
		nodes, witnesses int
		fault            func(*world)
		want             bool
		why              string
	}{
		{"all well", 3, 1, func(w *world) {}, false, "node2 has not found that nobody answers for 192.0.2.100"},
		{"vacant, but BFD is up", 3, 1, func(w *world) { vacant(w.node(2)) }, false, "node2 hears node1 by BFD on eth1"},
		{"off, its stream lingers", 3, 0, off, true, "node1 is silent on eth1, and nobody answers for 192.0.2.100 there, as node2 finds"},
		{"off, two nodes and a witness", 2, 1, off, true, ""},
		{"off, two nodes", 2, 0, off, false, "node2 hears nobody on eth1, so that it may be cut off itself"},
		{"off, its stream is gone", 2, 1, func(w *world) { off(w); w.node(1).gone = true }, true, ""},
		{"cut", 3, 0, func(w *world) { cut(w.node(1)); vacant(w.node(2)) }, true, ""},
		{"cut, two nodes and a witness", 2, 1, func(w *world) { cut(w.node(1)); vacant(w.node(2)) }, true, ""},
		{"cut, two nodes", 2, 0, func(w *world) { cut(w.node(1)); vacant(w.node(2)) }, false, "node2 hears nobody on eth1"},
		{"the standby is cut", 3, 1, func(w *world) { cut(w.node(2)); vacant(w.node(2)) }, false, "node2 hears nobody on eth1"},
		{"the standby is cut, two nodes and a witness", 2, 1, func(w *world) { cut(w.node(2)); vacant(w.node(2)) }, false, ""},
		{"both are cut", 3, 0, func(w *world) { cut(w.node(1), w.node(2)); vacant(w.node(2)) }, false, "node2 hears nobody on eth1"},
		{"only those two do not hear each other", 3, 0, func(w *world) { part([]*host{w.node(1)}, []*host{w.node(2)}); vacant(w.node(2)) }, false,
			"node3 hears node1 by BFD on eth1"},
		{"the same, with a witness only", 2, 1, func(w *world) { part([]*host{w.node(1)}, []*host{w.node(2)}); vacant(w.node(2)) }, false,
			"node1 is connected and hears others than node2 on eth1"},
		{"the same, and the owner's stream is gone", 3, 0, func(w *world) {
			part([]*host{w.node(1)}, []*host{w.node(2)})
			w.node(1).gone = true
			vacant(w.node(2))
		}, false, "node3 hears node1 by BFD on eth1"},
		{"frozen: its kernel answers, its speaker does not", 3, 1, func(w *world) { w.node(1).frozen = time.Second; vacant(w.node(2)) }, true, ""},
		{"the standby stands still", 3, 1, func(w *world) { off(w); w.node(2).frozen = time.Second }, false, "node2 has not been heard for a moment"},
		{"link down by its own word", 2, 1, func(w *world) { w.node(1).down = true; vacant(w.node(2)) }, true, ""},
		{"nothing arrives at it", 3, 0, func(w *world) { w.node(1).deafTo = map[string]bool{"*": true}; vacant(w.node(2)) }, true, ""},
		{"not watched by BFD", 3, 1, func(w *world) { w.node(1).noBFD = true; cut(w.node(1)); vacant(w.node(2)) }, false, "node2 does not watch node1 by BFD"},
		{"the owner does not know yet whom it hears", 3, 1, func(w *world) { part([]*host{w.node(1)}, w.nodes[1:]); w.node(1).unheard = true; vacant(w.node(2)) }, false, "says nothing"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(test.nodes, test.witnesses)
			test.fault(w)
			v := w.judge() // at once: nothing has to be waited for
			gone, why := v.Gone("node1", "node2", vip)
			if gone != test.want || !strings.Contains(why, test.why) {
				t.Errorf("gone %t, want %t; %q, want %q", gone, test.want, why, test.why)
			}
			if gone, _ := v.Gone("node2", "node1", vip); gone {
				t.Error("the standby is gone, too")
			}
		})
	}
}

// TestCutOwnerIsUnfitWithTheStandbysWord: as soon as both ends have noticed, and not when only the standby's has been cut.
func TestCutOwnerIsUnfitWithTheStandbysWord(t *testing.T) {
	w := newWorld(3, 0)
	cut(w.node(1))
	if v := w.judge().Of("node1", vip, nil); v.Reason != Isolated || v.Keeps {
		t.Errorf("got %+v at once", v)
	}
}

// TestSilenceNeedsASecondLook: one node notices that a witness has died before others do, and is not blamed for it.
func TestSilenceNeedsASecondLook(t *testing.T) {
	w := newWorld(3, 1)
	w.node(1).deafTo = map[string]bool{"192.0.2.251": true} // as far as one can tell
	if v := w.judge().Of("node1", vip, nil); !v.Fit {
		t.Errorf("blamed at once: %+v", v)
	}
	w.now = w.now.Add(agree / 2)
	w.witnesses[0].dead = true // the others notice
	if v := w.pass(time.Minute).Of("node1", vip, nil); !v.Fit {
		t.Errorf("blamed for the death of a witness: %+v", v)
	}

	// With nothing else to notice, it is at fault soon.
	w = newWorld(3, 1)
	w.node(1).deafTo = map[string]bool{"192.0.2.251": true}
	if v := w.pass(agree+soon).Of("node1", vip, nil); v.Reason != WitnessSilent {
		t.Errorf("got %+v after %s", v, agree+soon)
	}

	// Where the others ask only now and then, it takes longer.
	w = newWorld(3, 1)
	for _, h := range w.nodes {
		h.noBFD = true
	}
	w.node(1).deafTo = map[string]bool{"192.0.2.251": true}
	if v := w.pass(agreeIdle/2).Of("node1", vip, nil); !v.Fit {
		t.Errorf("blamed by who may not have noticed: %+v", v)
	}
	if v := w.pass(agreeIdle).Of("node1", vip, nil); v.Reason != WitnessSilent {
		t.Errorf("got %+v in the end", v)
	}
}

// TestTheWordOfTheDeadDoesNotCount: two of three nodes lose power at once. Their streams linger, and what they said last is
// that they hear each other.
func TestTheWordOfTheDeadDoesNotCount(t *testing.T) {
	w := newWorld(3, 0)
	w.node(2).dead, w.node(3).dead = true, true
	for range 20 {
		if v := w.pass(time.Second).Of("node1", vip, nil); !v.Fit {
			t.Fatalf("node1 is blamed: %+v", v)
		}
	}
}

func TestVouched(t *testing.T) {
	away := func(w *world) { w.node(1).gone = true }
	for _, test := range []struct {
		name  string
		fault func(*world)
		by    string
	}{
		{"BFD is up", away, "node2"},
		{"off", func(w *world) { away(w); w.node(1).dead = true }, ""},
		{"nobody watches it, but it answers", func(w *world) { away(w); w.node(1).noBFD = true }, "node2"},
		{"its kernel answers, its speaker is dead", func(w *world) { away(w); w.node(1).frozen = time.Hour }, ""},
		{"one hears it, the other does not", func(w *world) { away(w); part([]*host{w.node(1)}, []*host{w.node(2)}) }, "node3"},
		{"who hears it is away as well", func(w *world) {
			away(w)
			w.node(2).gone, w.node(3).gone = true, true
		}, ""},
		{"who heard it stands still, another does not hear it", func(w *world) {
			away(w)
			w.node(1).dead = true
			w.node(2).dead, w.node(2).frozen = true, time.Minute
		}, ""},
	} {
		w := newWorld(3, 0)
		test.fault(w)
		v := w.judge()
		if by, ok := v.Vouched("node1", "eth1"); by != test.by || ok != (test.by != "") {
			t.Errorf("%s: vouched for by %q (%t), want %q", test.name, by, ok, test.by)
		}
	}
}

func TestForeign(t *testing.T) {
	w := newWorld(3, 0)
	rival := func(mac, node string, last int64) *ingotv1.Layer2Report {
		return &ingotv1.Layer2Report{Address: vip.String(), Rival: &ingotv1.Layer2Rival{Interface: "eth1", Mac: mac, Node: node, LastMs: last}}
	}
	check := func(name, mac, node string) {
		t.Helper()
		r, by := w.judge().Foreign(vip)
		if r.GetMac() != mac || by != node {
			t.Errorf("%s: %q heard by %q, want %q by %q", name, r.GetMac(), by, mac, node)
		}
	}
	check("none", "", "")
	w.node(1).rival = rival("02:00:00:00:00:01", "", 5)
	check("one", "02:00:00:00:00:01", "node1")
	w.node(3).rival = rival("02:00:00:00:00:02", "", 6)
	check("the one heard last", "02:00:00:00:00:02", "node3")
	w.node(3).gone = true
	check("who heard it is away", "02:00:00:00:00:01", "node1")
	w.node(1).rival = rival("02:00:00:00:00:01", "node2", 5)
	check("another node is no foreigner", "", "")
	w.node(1).rival = rival(w.node(2).mac, "", 5)
	check("nor is one that the speaker does not know", "", "")
	if got := w.judge().ForeignAddresses(); len(got) != 0 {
		t.Errorf("foreign addresses %v", got)
	}
}
