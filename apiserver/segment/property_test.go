package segment

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestFaultlessNodesStayFit: whatever goes wrong with others, and in whatever order it is noticed, a node with which nothing
// is wrong is not blamed where most are like it, and they are never all excluded.
func TestFaultlessNodesStayFit(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 6))
		w := newWorld(2+r.IntN(6), r.IntN(3))
		var story []string
		faultless := slices.Clone(w.nodes)
		for _, h := range w.nodes {
			if len(faultless) == 1 || r.IntN(2) == 0 {
				continue
			}
			fault := faults[r.IntN(len(faults))]
			fault.strike(w, h)
			story = append(story, fmt.Sprintf("%s %s", h.name, fault.name))
			faultless = slices.DeleteFunc(faultless, func(o *host) bool { return o == h })
			check(t, w, story, faultless, w.judge())
			check(t, w, story, faultless, w.pass(time.Duration(r.IntN(int(time.Second)))))
		}
		for _, x := range w.witnesses {
			if r.IntN(4) == 0 {
				x.dead = true
				story = append(story, x.name+" dead")
			}
		}
		check(t, w, story, faultless, w.pass(time.Minute))
	}
}

// faultKind is something that can be wrong with one node.
type faultKind struct {
	name   string
	strike func(*world, *host)
}

var faults = []faultKind{
	{"cut", func(_ *world, h *host) { cut(h) }},
	{"deaf", func(_ *world, h *host) { h.deafTo = map[string]bool{"*": true} }},
	{"mute", func(_ *world, h *host) { h.muteTo = map[string]bool{"*": true} }},
	{"down", func(_ *world, h *host) { h.down = true }},
	{"in a wrong network", func(_ *world, h *host) { h.addr = "203.0.113.1/24" }},
	{"off", func(_ *world, h *host) { h.dead = true }},
	{"off and gone", func(_ *world, h *host) { h.dead, h.gone = true, true }},
	{"frozen", func(_ *world, h *host) { h.frozen = time.Minute }},
	{"flapping", func(w *world, h *host) {
		for range 3 {
			cut(h)
			w.pass(time.Second)
			heal(h)
			w.pass(time.Second)
		}
	}},
	{"without the witnesses", func(w *world, h *host) {
		part([]*host{h}, w.witnesses)
	}},
}

// check fails if a faultless node is unfit though most nodes are faultless, or all of them are.
func check(t *testing.T, w *world, story []string, faultless []*host, v *Verdicts) {
	t.Helper()
	fit := 0
	for _, h := range faultless {
		verdict := v.Of(h.name, vip, nil)
		if verdict.Fit {
			fit++
		} else if 2*len(faultless) > len(w.nodes) {
			t.Errorf("%v of %d nodes and %d witnesses: faultless %s is %s: %s", story, len(w.nodes), len(w.witnesses), h.name, verdict.Reason, verdict.Message)
		}
	}
	if fit == 0 {
		t.Errorf("%v of %d nodes and %d witnesses: no faultless node is fit", story, len(w.nodes), len(w.witnesses))
	}
}

// TestFaultsAreFound: with a majority of faultless nodes and nothing else the matter, each fault that a segment shows is
// found, and an address need not stay on such a node.
func TestFaultsAreFound(t *testing.T) {
	for _, fault := range faults[:5] {
		for nodes := 3; nodes <= 6; nodes++ {
			for witnesses := range 3 {
				w := newWorld(nodes, witnesses)
				fault.strike(w, w.node(2))
				if v := w.pass(5*time.Second).Of("node2", vip, nil); v.Keeps {
					t.Errorf("%s, %d nodes, %d witnesses: node2 is fit", fault.name, nodes, witnesses)
				}
			}
		}
	}
}

// TestOrderDoesNotMatter: the verdicts are the same in whatever order nodes are told.
func TestOrderDoesNotMatter(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 7))
		w := newWorld(5, 2)
		for _, h := range w.nodes[:2] {
			faults[r.IntN(len(faults))].strike(w, h)
		}
		var one, other Memory
		for range 50 {
			nodes := w.reports()
			a, next := one.Judge(w.now, nodes)
			r.Shuffle(len(nodes), func(i, k int) { nodes[i], nodes[k] = nodes[k], nodes[i] })
			b, again := other.Judge(w.now, nodes)
			if fmt.Sprint(allFaults(w, a)) != fmt.Sprint(allFaults(w, b)) || !next.Equal(again) {
				t.Fatalf("seed %d: %v until %s, and %v until %s", seed, allFaults(w, a), next, allFaults(w, b), again)
			}
			w.now = w.now.Add(100 * time.Millisecond)
		}
	}
}
