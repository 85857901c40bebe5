package plan

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// watched is a fixture in which node-b owns 10.20.30.1 with term 1, the other two stand by, and all is well on the LAN.
func watched(t *testing.T) (*fixture, *lan) {
	t.Helper()
	f := elected(t)
	l := newLAN()
	f.Segments = l
	diff(t, "standbys", map[string][]string{"10.20.30.1": {"node-a", "node-c"}}, standbys(f.settle(t)))
	return f, l
}

// TestOwnersAndTheSegment: who owns an address when nodes are not fit, or not heard, or are to go.
func TestOwnersAndTheSegment(t *testing.T) {
	prefer := func(f *fixture, node string) {
		f.Config.L2Advertisements[0].Spec.PreferredNodeSelectors = []metallb.PreferredNodeSelector{{Weight: 10, Preference: selector("kubernetes.io/hostname", node)}}
	}
	leave := func(f *fixture, node string) {
		facts := f.Facts[node]
		facts.Leaving = true
		f.Facts[node] = facts
	}
	drain := func(f *fixture, i int) { f.Nodes[i].Annotations = map[string]string{Drain: "true"} }
	taint := func(f *fixture, i int) {
		f.Nodes[i].Spec.Taints = []corev1.Taint{{Key: Drain, Effect: corev1.TaintEffectPreferNoSchedule}}
	}
	tests := []struct {
		name    string
		change  func(f *fixture, l *lan)
		item    string // who has the owner's item at once; empty: nobody yet
		owner   string // decided
		reason  string
		reasons []string
	}{
		{name: "a fault of a node that does not own it moves nothing", change: func(f *fixture, l *lan) { l.unfit["node-a"] = "broken" }, item: "node-b", owner: "node-b"},
		{name: "an unfit owner that is heard lets go first", change: func(f *fixture, l *lan) { l.unfit["node-b"] = "eth1 of node-b is down" },
			owner: "node-c", reason: "eth1 of node-b is down", reasons: []string{"Service web layer2 handover"}},
		{name: "an owner that was held down keeps it", change: func(f *fixture, l *lan) { l.unfit["node-b"], l.heldDown["node-b"] = "flapped", true },
			item: "node-b", owner: "node-b"},
		{name: "who was held down is not given it", change: func(f *fixture, l *lan) {
			l.unfit["node-b"], l.unfit["node-c"], l.heldDown["node-c"] = "eth1 of node-b is down", "flapped", true
		}, owner: "node-a", reason: "eth1 of node-b is down", reasons: []string{"Service web layer2 handover"}},
		{name: "nor by preference", change: func(f *fixture, l *lan) {
			prefer(f, "node-a")
			l.unfit["node-a"], l.heldDown["node-a"] = "flapped", true
		}, item: "node-b", owner: "node-b"},
		{name: "a preference for a fit node moves it", change: func(f *fixture, l *lan) { prefer(f, "node-a") },
			owner: "node-a", reason: "an L2Advertisement prefers node-a", reasons: []string{"Service web layer2 handover"}},
		{name: "an owner known to be gone is replaced at once, by who knows", change: func(f *fixture, l *lan) {
			f.finds("node-a", "10.20.30.1")
			l.gone["node-b node-a"] = true
		}, item: "node-a", owner: "node-a", reason: "node-a does not hear node-b"},
		{name: "what a standby finds alone is no evidence", change: func(f *fixture, l *lan) { f.finds("node-a", "10.20.30.1") },
			item: "node-b", owner: "node-b"},
		{name: "an owner that is not heard is replaced at once by who knows that it is gone", change: func(f *fixture, l *lan) {
			f.away("node-b", false)
			f.finds("node-a", "10.20.30.1")
			l.gone["node-b node-a"], l.vouched["node-b"] = true, "node-c"
		}, item: "node-a", owner: "node-a", reason: "node-a does not hear node-b"},
		{name: "an owner that a neighbour hears keeps it", change: func(f *fixture, l *lan) {
			f.away("node-b", true)
			l.vouched["node-b"] = "node-c"
		}, item: "node-b", owner: "node-b"},
		{name: "unless its speaker has stopped in an orderly way", change: func(f *fixture, l *lan) {
			f.away("node-b", true)
			leave(f, "node-b")
			facts := f.Facts["node-b"]
			facts.Released = true
			f.Facts["node-b"] = facts
			l.vouched["node-b"] = "node-c"
		}, item: "node-c", owner: "node-c", reason: "the speaker of node-b is not connected"},
		{name: "one that nobody hears does not", change: func(f *fixture, l *lan) { f.away("node-b", true) },
			item: "node-c", owner: "node-c", reason: "the speaker of node-b is not connected"},
		{name: "one that may not own it any more and cannot be told is waited for while a neighbour hears it", change: func(f *fixture, l *lan) {
			f.Nodes[1].Labels[corev1.LabelNodeExcludeBalancers] = ""
			f.away("node-b", true)
			l.vouched["node-b"] = "node-c"
		}, owner: "node-c", reason: "node node-b announces nothing: it has the label node.kubernetes.io/exclude-from-external-load-balancers",
			reasons: []string{"Node node-b nodeLabeledExcludeBalancers", "Service web layer2 handover"}},
		{name: "a drained node hands over", change: func(f *fixture, l *lan) { drain(f, 1) },
			owner: "node-c", reason: "node-b is being drained (ingot.io/drain)", reasons: []string{"Service web layer2 handover"}},
		{name: "a tainted one too", change: func(f *fixture, l *lan) { taint(f, 1) },
			owner: "node-c", reason: "node-b is being drained (ingot.io/drain)", reasons: []string{"Service web layer2 handover"}},
		{name: "and one whose speaker stops", change: func(f *fixture, l *lan) { leave(f, "node-b") },
			owner: "node-c", reason: "the speaker of node-b is stopping", reasons: []string{"Service web layer2 handover"}},
		{name: "not to one that goes, too, nor to one that is not fit", change: func(f *fixture, l *lan) {
			drain(f, 1)
			leave(f, "node-c")
			l.unfit["node-a"] = "broken"
		}, item: "node-b", owner: "node-b", reasons: []string{"Service web layer2 notDrained"}},
		{name: "where nobody is fit, what works is not moved", change: func(f *fixture, l *lan) {
			for _, n := range f.Nodes {
				l.unfit[n.Name] = "broken"
			}
			l.heard["node-a"], l.heard["node-b"] = true, true
		}, item: "node-b", owner: "node-b", reasons: []string{"Service web layer2 unfit"}},
		{name: "and who the witness answers is preferred", change: func(f *fixture, l *lan) {
			for _, n := range f.Nodes {
				l.unfit[n.Name] = "broken"
			}
			l.heard["node-a"] = true
		}, owner: "node-a", reason: "broken", reasons: []string{"Service web layer2 unfit", "Service web layer2 handover"}},
		{name: "without evidence nobody moves anything", change: func(f *fixture, l *lan) {
			for _, n := range f.Nodes {
				l.unfit[n.Name] = "broken"
			}
		}, item: "node-b", owner: "node-b", reasons: []string{"Service web layer2 unfit"}},
		{name: "what a node took while the centre was away stays there", change: func(f *fixture, l *lan) { f.holds("node-c", "10.20.30.1", 3) },
			item: "node-c", owner: "node-c", reason: tookOver},
		{name: "beside one that does not know of it", change: func(f *fixture, l *lan) {
			f.holds("node-c", "10.20.30.1", 3)
			f.told("node-b", map[string]uint64{"10.20.30.1": 1})
			f.told("node-c", nil)
		}, item: "node-c", owner: "node-c", reason: tookOver},
		{name: "a new owner that was told is not called back because the old one has not answered yet", change: func(f *fixture, l *lan) {
			f.Decisions = map[netip.Addr]Decision{netip.MustParseAddr("10.20.30.1"): {Owner: "node-a", Term: 2, Reason: "gone"}}
			f.told("node-a", map[string]uint64{"10.20.30.1": 2})
			f.told("node-b", nil)
		}, item: "node-a", owner: "node-a", reason: "gone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, l := watched(t)
			tt.change(f, l)

			out := Plan(f.Input)

			d := out.Decisions[netip.MustParseAddr("10.20.30.1")]
			diff(t, "item", tt.item, layer2(t, out)["10.20.30.1"])
			diff(t, "owner", tt.owner, d.Owner)
			diff(t, "reason", cmp.Or(tt.reason, firstChoice), d.Reason)
			diff(t, "withheld", tt.reasons, reasons(out))
		})
	}
}

// TestWhoStandsByIsNotDisturbedByAHandover: the next owner gets one update, and that makes it own.
func TestWhoStandsByIsNotDisturbedByAHandover(t *testing.T) {
	f, l := watched(t)
	before := Plan(f.Input)
	l.unfit["node-b"] = "eth1 of node-b is down"

	during := Plan(f.Input)

	id := "layer2/10.20.30.1"
	for _, node := range []string{"node-a", "node-c"} {
		if was, is := before.Nodes[node].Items[1][id], during.Nodes[node].Items[1][id]; was.GetDigest() != is.GetDigest() {
			t.Errorf("%s is told %v instead of %v", node, is, was)
		}
	}
	if item := during.Nodes["node-b"].Items[1][id]; item != nil {
		t.Errorf("node-b keeps %v", item)
	}
	diff(t, "afterwards", map[string]string{"10.20.30.1": "node-c"}, layer2(t, f.settle(t)))
	diff(t, "standbys", map[string][]string{"10.20.30.1": {"node-a"}}, standbys(f.settle(t)))
}

// TestStandbysStayAndComeNextInTheCircle: one that goes is replaced by the next one, which then stays.
func TestStandbysStayAndComeNextInTheCircle(t *testing.T) {
	f := newFixture("node-a", "node-b", "node-c", "node-d", "node-e")
	l := newLAN()
	f.Segments = l
	f.pool("p", "10.20.30.0/24")
	f.l2("l2", func(s *metallb.L2AdvertisementSpec) {
		s.NodeSelectors = onNodes("node-b", "node-c", "node-d", "node-e")
	})
	f.service("web", "10.20.30.1")
	owner := layer2(t, f.settle(t))["10.20.30.1"]
	circle := []string{"node-b", "node-c", "node-d", "node-e", "node-b", "node-c", "node-d"}
	next := circle[slices.Index(circle, owner)+1:]
	want := func(what string, names ...string) {
		t.Helper()
		slices.Sort(names)
		diff(t, what, map[string][]string{"10.20.30.1": names}, standbys(f.settle(t)))
	}
	want("at first", next[0], next[1])

	l.unfit[next[0]] = "broken"
	want("while the first is broken", next[1], next[2])

	delete(l.unfit, next[0])
	want("when it is well again", next[1], next[2])

	f.away(next[1], false)
	want("while one is away for a moment", next[0], next[2])
}

func TestLocalServicesStandbysHaveEndpoints(t *testing.T) {
	f := newFixture("node-a", "node-b", "node-c", "node-d")
	f.Segments = newLAN()
	f.pool("p", "10.20.30.0/24")
	f.l2("l2")
	f.localService("web", "10.20.30.1", "node-d", "node-b")

	out := f.settle(t)

	all := append(standbys(out)["10.20.30.1"], layer2(t, out)["10.20.30.1"])
	slices.Sort(all)
	diff(t, "owner and standbys", []string{"node-b", "node-d"}, all)
}

func TestPreferredNodesStandByFirst(t *testing.T) {
	f := newFixture("node-a", "node-b", "node-c", "node-d", "node-e")
	f.Segments = newLAN()
	f.pool("p", "10.20.30.0/24")
	f.l2("l2", func(s *metallb.L2AdvertisementSpec) {
		for i, node := range []string{"node-a", "node-c", "node-e"} {
			s.PreferredNodeSelectors = append(s.PreferredNodeSelectors, metallb.PreferredNodeSelector{Weight: int32(30 - i), Preference: selector("kubernetes.io/hostname", node)})
		}
	})
	f.service("web", "10.20.30.1")

	d := f.settle(t).Layer2[netip.MustParseAddr("10.20.30.1")]

	diff(t, "owner and standbys", []string{"node-a", "node-c", "node-e"}, append([]string{d.Owner}, d.Standbys...))
}

// TestBothFamiliesOfAServiceHaveOneNode: a node that is unfit for one of them is unfit for both, unless all are.
func TestBothFamiliesOfAServiceHaveOneNode(t *testing.T) {
	f := newFixture("node-a", "node-b", "node-c")
	l := newLAN()
	f.Segments = l
	f.pool("p", "10.20.30.0/24", "1000::/64")
	f.l2("l2")
	f.service("web", "10.20.30.1", "1000::1")
	both := func(node string) map[string]string { return map[string]string{"10.20.30.1": node, "1000::1": node} }
	diff(t, "at first", both("node-b"), layer2(t, f.settle(t)))

	l.unfit["node-b 1000::1"] = "no IPv6 there"
	l.unfit["node-c 10.20.30.1"] = "no IPv4 there"
	diff(t, "where one is fit for both", both("node-a"), layer2(t, f.settle(t)))

	l.unfit["node-a 1000::1"] = "none here either"
	out := f.settle(t)
	diff(t, "where none is", both("node-a"), layer2(t, out))
	diff(t, "which is said", []string{"Service web layer2 unfit"}, reasons(out))
	const message = "no node that may own 10.20.30.1 and 1000::1 is as it should be; node-a announces it nevertheless: no IPv4 there; no IPv6 there; none here either"
	diff(t, "in words", message, out.Withheld[0].Message)

	l.unfit["node-a"] = "broken"
	diff(t, "the best of the bad", both("node-b"), layer2(t, f.settle(t)))
}

func TestEveryNodeIsToldWhyItDoesNotOwn(t *testing.T) {
	f, l := watched(t)
	f.node("node-d", func(n *corev1.Node) { n.Labels[corev1.LabelNodeExcludeBalancers] = "" })
	f.node("node-e")
	f.away("node-e", true)
	f.node("node-f")
	l.unfit["node-f"] = "eth1 of node-f shares its MAC with node-g"
	f.node("node-h")
	f.node("node-i", func(n *corev1.Node) { n.Annotations = map[string]string{Drain: "true"} })
	out := Plan(f.Input)
	addr := netip.MustParseAddr("10.20.30.1")

	first, second := out.Layer2[addr].Standbys[0], out.Layer2[addr].Standbys[1]
	for node, want := range map[string]string{
		"node-b": "",
		first:    fmt.Sprintf("node-b owns it, and %s stands by as number 1", first),
		second:   fmt.Sprintf("node-b owns it, and %s stands by as number 2", second),
		"node-d": "node node-d announces nothing: it has the label node.kubernetes.io/exclude-from-external-load-balancers",
		"node-e": "the speaker of node-e is not connected",
		"node-f": "eth1 of node-f shares its MAC with node-g",
		"node-h": "node-b owns it, and what works is not moved",
		"node-i": "node-i is being drained (ingot.io/drain)",
		"node-z": "there is no node node-z",
	} {
		diff(t, node, want, out.WhyNot(addr, node))
	}
	diff(t, "Services", "[default/web]", fmt.Sprint(out.ServicesOf(addr)))
}

func TestRefreshIsTheSmallestThatApplies(t *testing.T) {
	f := newFixture("node-a", "node-b", "node-c")
	f.pool("p", "10.20.30.0/24")
	every := func(text metallb.Duration, nodes ...string) func(*metallb.L2AdvertisementSpec) {
		return func(s *metallb.L2AdvertisementSpec) { s.RefreshInterval, s.NodeSelectors = &text, onNodes(nodes...) }
	}
	f.l2("one", every("30s", "node-a", "node-b", "node-c"))
	f.l2("two", every("10s", "node-b"))
	f.l2("three", every("1s", "node-a"))
	f.service("web", "10.20.30.1")

	out := Plan(f.Input)

	got := map[string]uint32{}
	for name, n := range out.Nodes {
		got[name] = n.Items[ingotv1.Lane_LANE_LAYER2]["layer2/10.20.30.1"].GetLayer2Address().GetRefreshIntervalMs()
	}
	diff(t, "refresh", map[string]uint32{"node-a": 1000, "node-b": 10000, "node-c": 30000}, got)
}

// TestFewPairsWatchEachOther: as many as there are nodes times two, however many addresses there are.
func TestFewPairsWatchEachOther(t *testing.T) {
	f := newFixture()
	f.Segments = newLAN()
	for i := range 20 {
		f.node(fmt.Sprintf("node-%02d", i))
	}
	f.pool("p", "10.20.0.0/16")
	f.l2("l2")
	for i := range 500 {
		f.service(fmt.Sprint("svc-", i), fmt.Sprintf("10.20.%d.%d", i/200, i%200))
	}
	out := f.settle(t)

	sessions := 0
	for _, n := range f.Nodes {
		here := 0
		for _, p := range segmentOf(out, n.Name).GetPeers() {
			if p.Bfd != nil {
				here++
			}
		}
		if here > 4 {
			t.Errorf("%s has %d sessions, want 4 at most", n.Name, here)
		}
		sessions += here
	}
	if sessions != 80 {
		t.Errorf("%d ends of sessions, want 80", sessions)
	}
	first := map[string]int{}
	for _, d := range out.Layer2 {
		first[d.Owner+" "+d.Standbys[0]]++
	}
	if len(slices.Collect(maps.Keys(first))) != 40 {
		t.Errorf("%d pairs of an owner and its first standby, want 40: an owner's addresses go to two nodes", len(first))
	}
}

// TestWhoIsHeldDownStandsByWhereNobodyElseCan: an owner that dies while the only other node has just recovered would
// leave nobody who finds the address vacant.
func TestWhoIsHeldDownStandsByWhereNobodyElseCan(t *testing.T) {
	f, l := watched(t)
	l.unfit["node-c"], l.heldDown["node-c"] = "flapped", true
	diff(t, "standbys, one held down", map[string][]string{"10.20.30.1": {"node-a"}}, standbys(f.settle(t)))

	l.unfit["node-a"] = "eth1 of node-a is down"
	diff(t, "standbys, nobody else", map[string][]string{"10.20.30.1": {"node-c"}}, standbys(f.settle(t)))

	l.gone["node-b node-c"] = true
	f.finds("node-c", "10.20.30.1")
	got := Plan(f.Input).Decisions[netip.MustParseAddr("10.20.30.1")]
	diff(t, "the owner is gone", Decision{Owner: "node-c", Term: 2, Reason: "node-c does not hear node-b"}, got)
}
