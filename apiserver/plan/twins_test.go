package plan

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// cloned is a fixture in which each of three nodes owns two of six addresses, before all get one hardware address.
func cloned(t testing.TB) (*fixture, *lan) {
	t.Helper()
	f, l := newFixture("node-a", "node-b", "node-c"), newLAN()
	f.Segments = l
	f.pool("p", "10.20.30.0/24")
	f.l2("l2")
	for i := range 6 {
		a := fmt.Sprintf("10.20.30.%d", i+1)
		f.service(fmt.Sprintf("svc-%d", i+1), a)
		f.Decisions[netip.MustParseAddr(a)] = Decision{Owner: "node-" + string("abc"[i%3]), Term: 1}
	}
	out := f.settle(t)
	diff(t, "before", map[string]int{"node-a": 2, "node-b": 2, "node-c": 2}, shares(t, out))
	return f, l
}

// shares is how many addresses each node owns.
func shares(t testing.TB, out Output) map[string]int {
	all := map[string]int{}
	for _, owner := range layer2(t, out) {
		all[owner]++
	}
	return all
}

// clone gives nodes one hardware address.
func (l *lan) clone(nodes ...string) {
	l.twins = nodes
	for _, n := range nodes {
		l.unfit[n] = n + " has a twin"
	}
}

// TestOneTwinAnnouncesForAll: who gets the addresses of nodes with one hardware address, where nobody else can.
func TestOneTwinAnnouncesForAll(t *testing.T) {
	all := []string{"node-a", "node-b", "node-c"}
	own := func(f *fixture, addr, owner string) {
		f.Decisions[netip.MustParseAddr(addr)] = Decision{Owner: owner, Term: 2}
	}
	tests := []struct {
		name   string
		change func(f *fixture, l *lan)
		want   map[string]int
	}{
		{"the one that the witness answers", func(_ *fixture, l *lan) { l.clone(all...); l.heard["node-c"] = true }, map[string]int{"node-c": 6}},
		{"the first where nothing tells them apart", func(_ *fixture, l *lan) { l.clone(all...) }, map[string]int{"node-a": 6}},
		{"of those answered, the one with the most", func(f *fixture, l *lan) {
			own(f, "10.20.30.1", "node-b")
			f.settle(t)
			l.clone(all...)
			l.heard["node-b"], l.heard["node-c"] = true, true
		}, map[string]int{"node-b": 6}},
		{"one that stays", func(f *fixture, l *lan) {
			l.clone(all...)
			f.Nodes[0].Annotations = map[string]string{Drain: "true"}
		}, map[string]int{"node-b": 6}},
		{"two twins, and one that is as it should be", func(_ *fixture, l *lan) { l.clone("node-a", "node-b") }, map[string]int{"node-c": 6}},
		{"two twins, and one that was until lately not", func(_ *fixture, l *lan) {
			l.clone("node-a", "node-b")
			l.unfit["node-c"], l.heldDown["node-c"] = "flapped", true
		}, map[string]int{"node-c": 6}},
		{"two twins, and one that nothing reaches has what it has", func(_ *fixture, l *lan) {
			l.clone("node-a", "node-b")
			l.unfit["node-c"] = "broken"
			l.heard["node-b"] = true
		}, map[string]int{"node-b": 6}},
		{"the one that can have them all", func(f *fixture, l *lan) {
			f.Services = nil
			f.pool("q", "10.20.31.0/24")
			f.Config.L2Advertisements[0].Spec.IPAddressPools = []string{"p"}
			f.l2("l2-q", func(s *metallb.L2AdvertisementSpec) {
				s.IPAddressPools, s.NodeSelectors = []string{"q"}, onNodes("node-c")
			})
			f.service("web", "10.20.30.1")
			f.service("db", "10.20.31.1")
			f.settle(t)
			l.clone(all...)
		}, map[string]int{"node-c": 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, l := cloned(t)
			tt.change(f, l)
			diff(t, "shares", tt.want, shares(t, f.settle(t)))
		})
	}
}

// TestTheTwinThatAnnouncesIsTold: why it does, and that it goes on asking, so that switches learn where it is.
func TestTheTwinThatAnnouncesIsTold(t *testing.T) {
	f, l := cloned(t)
	l.clone("node-a", "node-b", "node-c")
	l.heard["node-b"] = true

	out := f.settle(t)

	const one = "a switch takes node-b and node-a, node-c for one host, so that one of them announces all their addresses"
	for a, d := range out.Decisions {
		moved := d.Term > 1
		if moved != (d.Reason == one) || d.Owner != "node-b" {
			t.Errorf("%s: %+v", a, d)
		}
	}
	told := 0
	for _, w := range out.Withheld {
		if w.Reason == ReasonUnfit && strings.Contains(w.Message, "node-b announces it nevertheless: "+one+"; node-") {
			told++
		}
	}
	diff(t, "told", 6, told)
	for node, quiet := range map[string]bool{"node-a": true, "node-b": false, "node-c": true} {
		diff(t, node+" quiet", quiet, segmentOf(out, node).GetQuiet())
	}
	terms := out.Decisions
	diff(t, "nothing moves any more", terms, f.settle(t).Decisions)
	l.twins, l.unfit = nil, map[string]string{}
	diff(t, "nor when all have an address of their own", terms, f.settle(t).Decisions)
}

// TestPropertyTwinsDoNotShareAddresses: whatever the network is like, as long as all candidates are twins, one of them has
// all, it is one that a witness answers if there is one, and it stays that until none answers it and one answers another.
func TestPropertyTwinsDoNotShareAddresses(t *testing.T) {
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 2))
		f, l := newFixture(), newLAN()
		f.Segments = l
		f.pool("p", "10.20.30.0/24")
		f.l2("l2")
		var nodes []string
		for i := range 2 + r.IntN(4) {
			nodes = append(nodes, "node-"+string(rune('a'+i)))
			f.node(nodes[i])
		}
		for i := range 1 + r.IntN(6) {
			f.service(fmt.Sprint("svc-", i), fmt.Sprintf("10.20.30.%d", i+1))
		}
		f.settle(t)
		l.clone(nodes...)
		before := ""
		for range 4 {
			for _, n := range nodes {
				l.heard[n] = r.IntN(2) == 0
			}
			anybody := slices.ContainsFunc(nodes, func(n string) bool { return l.heard[n] })
			got := shares(t, f.settle(t))
			if len(got) != 1 {
				t.Fatalf("seed %d: %v", seed, got)
			}
			for owner := range got {
				if anybody && !l.heard[owner] {
					t.Errorf("seed %d: %s has them, %v are heard", seed, owner, l.heard)
				}
				if before != "" && owner != before && (l.heard[before] || !anybody) {
					t.Errorf("seed %d: moved from %s to %s, %v are heard", seed, before, owner, l.heard)
				}
				before = owner
			}
		}
	}
}
