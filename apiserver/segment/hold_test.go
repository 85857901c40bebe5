package segment

import (
	"testing"
	"time"
)

// TestHoldDown: a link that comes and goes is given nothing for longer and longer, and keeps what it has.
func TestHoldDown(t *testing.T) {
	w := newWorld(3, 1)
	w.pass(time.Minute)
	for i, want := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 5 * time.Minute, 5 * time.Minute} {
		cut(w.node(1))
		w.pass(time.Second)
		heal(w.node(1))
		v := w.judge().Of("node1", vip, nil)
		if v.Fit || !v.Keeps || v.Reason != HeldDown {
			t.Fatalf("%d: healed: %+v, want it held down and keeping", i, v)
		}
		if v := w.pass(want-time.Millisecond).Of("node1", vip, nil); v.Reason != HeldDown {
			t.Errorf("%d: not held down for %s: %+v", i, want, v)
		}
		if v := w.pass(time.Millisecond).Of("node1", vip, nil); !v.Fit {
			t.Errorf("%d: held down after %s: %+v", i, want, v)
		}
	}
	w.pass(forgiven)
	cut(w.node(1))
	w.pass(time.Second)
	heal(w.node(1))
	w.judge()
	if v := w.pass(10*time.Second).Of("node1", vip, nil); !v.Fit {
		t.Errorf("not forgiven: %+v", v)
	}
	for _, h := range w.nodes[1:] {
		if f := w.judge().Faults(h.name); len(f) > 0 {
			t.Errorf("%s has %+v", h.name, f)
		}
	}
}

// TestBeginningsAreForgiven: a link that comes up late, when a node or the centre has just started, has not failed.
func TestBeginningsAreForgiven(t *testing.T) {
	w := &world{now: start, nodes: newWorld(3, 1).nodes}
	w.node(1).down = true
	if v := w.pass(time.Second).Of("node1", vip, nil); v.Reason != LinkDown {
		t.Errorf("down: %+v", v)
	}
	w.node(1).down = false
	if v := w.judge().Of("node1", vip, nil); !v.Fit {
		t.Errorf("up: %+v", v)
	}
}

// TestNodesThatComeAndGo are held down from the second time: a restart is no fault.
func TestNodesThatComeAndGo(t *testing.T) {
	w := newWorld(3, 1)
	flap := func() Verdict {
		w.node(1).gone = true
		w.pass(time.Second)
		w.node(1).gone = false
		return w.judge().Of("node1", vip, nil)
	}
	if v := flap(); !v.Fit {
		t.Errorf("restarted once: %+v", v)
	}
	if v := flap(); v.Fit || !v.Keeps || v.Reason != HeldDown {
		t.Errorf("restarted twice: %+v", v)
	}
	if v := w.pass(10*time.Second).Of("node1", vip, nil); !v.Fit {
		t.Errorf("held down for ever: %+v", v)
	}
}

// TestMemoryIsBounded: what is well, and nodes that are no more, are forgotten.
func TestMemoryIsBounded(t *testing.T) {
	w := newWorld(5, 2)
	for _, h := range w.nodes {
		cut(h)
		w.pass(time.Second)
		heal(h)
	}
	w.node(5).gone = true
	w.pass(time.Second)
	w.nodes = w.nodes[:3]
	w.judge()
	w.now = w.now.Add(2 * forgiven)
	w.judge()
	if len(w.memory.nodes) != 3 || len(w.memory.left) != 0 || len(w.memory.witnesses) != 2 {
		t.Errorf("remembers %d nodes, %d that left, %d witnesses", len(w.memory.nodes), len(w.memory.left), len(w.memory.witnesses))
	}
	for _, a := range w.memory.nodes {
		if len(a.links) != 0 {
			t.Errorf("remembers of %s: %v", a.read.name, a.links)
		}
	}
}
