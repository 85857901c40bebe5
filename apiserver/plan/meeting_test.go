package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/rules"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// born sets when a peer was created.
func (f *fixture) born(peer string, second int64) {
	i := slices.IndexFunc(f.Config.BGPPeers, func(p *metallb.BGPPeer) bool { return p.Name == peer })
	f.Config.BGPPeers[i].CreationTimestamp = metav1.NewTime(time.Unix(second, 0))
}

// Peers whose Nodes were apart when they were written meet on node-b when its labels change: there the younger is
// held down and everywhere else both go on.
func TestOfConflictingPeersThatMeetTheYoungerIsHeldDownThere(t *testing.T) {
	f := newFixture("node-a", "node-b", "node-c")
	f.pool("p", "10.20.30.0/24")
	f.peer("young", "172.20.0.1", func(s *metallb.BGPPeerSpec) { s.NodeSelectors = onNodes("node-a", "node-b") })
	f.peer("zold", "172.20.0.1", func(s *metallb.BGPPeerSpec) { s.NodeSelectors, s.MyASN = onNodes("node-b", "node-c"), 1 })
	f.born("zold", 1)
	f.born("young", 2)
	f.bgp("ad")
	f.service("web", "10.20.30.1")

	out := Plan(f.Input)

	diff(t, "routes", map[string][]string{
		"node-a": {"10.20.30.1/32 to young for web"}, "node-b": {"10.20.30.1/32 to zold for web"}, "node-c": {"10.20.30.1/32 to zold for web"},
	}, routes(out))
	for node, peer := range map[string]string{"node-a": "young", "node-b": "zold", "node-c": "zold"} {
		if s := sessions(out, node); len(s) != 1 || s[peer] == nil {
			t.Errorf("%s has sessions %v, want %s", node, s, peer)
		}
	}
	diff(t, "reasons", []string{"BGPPeer young bgp conflictingPeers"}, reasons(out))
	w := out.Withheld[0]
	want := `BGPPeer "young" has no session on node node-b, where the older BGPPeer "zold" has peerAddress "172.20.0.1": peers that share a node must differ in address or vrf`
	if w.Node != "node-b" || w.Message != want {
		t.Errorf("on %s: %s\nwant   %s", w.Node, w.Message, want)
	}
}

func TestPeersOfOneAgeAreOrderedByName(t *testing.T) {
	f := newFixture("node-a")
	f.peer("b", "172.20.0.1")
	f.peer("a", "172.20.0.1")

	out := Plan(f.Input)

	if s := sessions(out, "node-a"); len(s) != 1 || s["a"] == nil {
		t.Errorf("sessions %v, want that of a", s)
	}
}

// meddle makes peers that conflict now and then.
func (f *fixture) meddle(r *rand.Rand) {
	for i := range 2 + r.IntN(5) {
		name := fmt.Sprintf("rival-%d", i)
		f.peer(name, fmt.Sprintf("172.30.0.%d", r.IntN(3)), func(s *metallb.BGPPeerSpec) {
			s.NodeSelectors = randomNodes(r)
			s.MyASN = 64512 + int64(r.IntN(4)/3)
			s.VRFName = []string{"", "", "red"}[r.IntN(3)]
			if r.IntN(5) == 0 {
				s.RouterID = "1.1.1.1"
			}
		})
		f.born(name, int64(r.IntN(3)))
	}
}

// On no node do two peers conflict; who is held down has an older one in the way, and who is not has its session.
func TestPropertyPeersOfANodeNeverConflict(t *testing.T) {
	held := 0
	for seed := range uint64(rounds) {
		f, r := world(seed)
		f.meddle(r)
		byName := map[string]*metallb.BGPPeer{}
		for _, p := range f.Config.BGPPeers {
			byName[p.Name] = p
		}

		out := Plan(f.Input)

		down := map[string]bool{}
		for _, w := range out.Withheld {
			if w.Reason == ReasonConflictingPeers {
				down[w.Node+" "+w.Name.Name] = true
				held++
			}
		}
		for _, node := range f.Nodes {
			here := sessions(out, node.Name)
			for _, p := range f.Config.BGPPeers {
				selects, err := compileSelectors(p.Spec.NodeSelectors)
				if err != nil {
					t.Fatal(err)
				}
				inTheWay := false
				for name := range here {
					other := byName[name]
					if other != p && len(rules.Conflicts(p, other)) > 0 {
						if here[p.Name] != nil {
							t.Fatalf("seed %d: %s and %s both have sessions on %s", seed, p.Name, name, node.Name)
						}
						inTheWay = inTheWay || rules.Elder(other, p) < 0
					}
				}
				selected, said := selects.match(node.Labels), down[node.Name+" "+p.Name]
				if (here[p.Name] != nil) != (selected && !said) || said != (selected && inTheWay) {
					t.Fatalf("seed %d: %s on %s: selected %v, held down %v, an older one in the way %v, session %v",
						seed, p.Name, node.Name, selected, said, inTheWay, here[p.Name])
				}
			}
			for _, item := range out.Nodes[node.Name].Items[ingotv1.Lane_LANE_ROUTING] {
				for _, ad := range item.GetBgpRoute().GetAdvertisements() {
					for _, peer := range ad.Peers {
						if here[peer] == nil {
							t.Fatalf("seed %d: a route to %s on %s, which has no session with it", seed, peer, node.Name)
						}
					}
				}
			}
		}
	}
	if held == 0 {
		t.Error("no peer was ever held down")
	}
}

// What the rules accept, one object after the other, the planner takes without a word: no configuration that is
// stored is invalid to it, and while Nodes stay what they were nothing contradicts.
func TestPropertyWhatTheRulesAcceptCanBePlanned(t *testing.T) {
	accepted, refused := 0, 0
	for seed := range uint64(rounds) {
		f, r := world(seed)
		f.meddle(r)
		offered := f.Config
		f.Config = &metallb.Configuration{}
		var nodes []rules.Node
		for _, n := range f.Nodes {
			nodes = append(nodes, rules.Node{Name: n.Name, Labels: n.Labels})
		}
		judge := rules.NewJudge(nil)
		try := func(ch rules.Change, keep func()) {
			ch.Nodes = nodes
			if errs, _ := judge.Check(f.Config, ch); len(errs) > 0 {
				refused++
				return
			}
			next := *f.Config
			f.Config = &next
			keep()
			accepted++
		}
		for _, p := range shuffled(r, offered.BGPPeers) {
			try(rules.Change{Resource: "bgppeers", New: p}, func() { f.Config.BGPPeers = append(slices.Clone(f.Config.BGPPeers), p) })
		}
		for _, a := range shuffled(r, offered.BGPAdvertisements) {
			try(rules.Change{Resource: "bgpadvertisements", New: a}, func() { f.Config.BGPAdvertisements = append(slices.Clone(f.Config.BGPAdvertisements), a) })
		}
		for _, a := range offered.L2Advertisements {
			try(rules.Change{Resource: "l2advertisements", New: a}, func() { f.Config.L2Advertisements = append(slices.Clone(f.Config.L2Advertisements), a) })
		}
		for _, p := range shuffled(r, offered.IPAddressPools) {
			try(rules.Change{Resource: "ipaddresspools", New: p}, func() { f.Config.IPAddressPools = append(slices.Clone(f.Config.IPAddressPools), p) })
		}
		selective := slices.ContainsFunc(f.Config.BGPAdvertisements, func(a *metallb.BGPAdvertisement) bool { return len(a.Spec.ServiceSelectors) > 0 })

		out := Plan(f.Input)

		for _, w := range out.Withheld {
			switch {
			case w.Reason == ReasonInvalidConfiguration, w.Reason == ReasonInvalidCommunity, w.Reason == ReasonConflictingPeers,
				w.Reason == ReasonConflictingAdvertisements && !selective:
				t.Fatalf("seed %d: accepted, and then: %+v", seed, w)
			}
		}
	}
	if accepted == 0 || refused == 0 {
		t.Errorf("%d accepted, %d refused", accepted, refused)
	}
}
