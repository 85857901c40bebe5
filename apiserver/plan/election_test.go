package plan

import (
	"net/netip"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// The vectors of spec.md section 5.1: mixed with MetalLB or not, the same node is first.
func TestElectionOrderIsMetalLBs(t *testing.T) {
	tests := []struct {
		addr   string
		scores []int
		want   []string
	}{
		{addr: "192.168.1.240", want: []string{"node-a", "node-c", "node-b"}},
		{addr: "192.168.1.241", want: []string{"node-c", "node-a", "node-b"}},
		{addr: "10.20.30.1", want: []string{"node-b", "node-c", "node-a"}},
		{addr: "10.20.30.2", want: []string{"node-c", "node-a", "node-b"}},
		{addr: "1000::1", want: []string{"node-a", "node-b", "node-c"}},
		{addr: "10.20.30.1", scores: []int{0, 50, 100}, want: []string{"node-c", "node-b", "node-a"}},
	}
	for _, tt := range tests {
		f := newFixture("node-c", "node-b", "node-a")
		nodes := newNodeList(f.Nodes, false, func(w Withheld) { t.Errorf("withheld: %v", w) })
		left := nodes.usable
		var got []string
		for !left.empty() {
			best := bestOf(nodes, left, tt.scores, netip.MustParseAddr(tt.addr))
			got = append(got, nodes.name(best))
			one := newBitset(len(nodes.list))
			one.add(best)
			left = left.minus(one)
		}
		diff(t, tt.addr, tt.want, got)
	}
}

// A store that replaced another does not know who owned what: a node it has not heard of may still answer.
func TestTermsOfASupersedingStoreBeginAtTwo(t *testing.T) {
	f := newFixture("node-a", "node-b", "node-c")
	f.pool("p", "192.168.1.0/24")
	f.l2("l2")
	f.service("one", "192.168.1.240")
	f.Superseding = true
	addr := netip.MustParseAddr("192.168.1.240")
	diff(t, "unheard of", Decision{Owner: "node-a", Term: 2}, Plan(f.Input).Decisions[addr])

	f.Decisions = map[netip.Addr]Decision{addr: {Owner: "node-b", Term: 1}}
	diff(t, "known", Decision{Owner: "node-b", Term: 1}, Plan(f.Input).Decisions[addr])
}

func TestFirstOwnerIsElected(t *testing.T) {
	f := newFixture("node-a", "node-b", "node-c")
	f.pool("p", "192.168.1.0/24", "1000::/64")
	f.l2("l2")
	f.service("one", "192.168.1.240")
	f.service("two", "192.168.1.241")
	f.service("dual", "192.168.1.1", "1000::1")

	out := Plan(f.Input)

	first := layer2(t, out)["192.168.1.1"]
	diff(t, "owners", map[string]string{
		"192.168.1.240": "node-a", "192.168.1.241": "node-c", "192.168.1.1": first, "1000::1": first,
	}, layer2(t, out))
	for a, d := range out.Decisions {
		if d.Term != 1 {
			t.Errorf("%s begins with term %d", a, d.Term)
		}
	}
}

// elected is a fixture in which node-b owns 10.20.30.1 with term 1 and says so.
func elected(t *testing.T) *fixture {
	t.Helper()
	f := newFixture("node-a", "node-b", "node-c")
	f.pool("p", "10.20.30.0/24")
	f.l2("l2")
	f.service("web", "10.20.30.1")
	diff(t, "first owner", map[string]string{"10.20.30.1": "node-b"}, layer2(t, f.settle(t)))
	return f
}

func TestOwnership(t *testing.T) {
	addr := netip.MustParseAddr("10.20.30.1")
	nodeIndex := map[string]int{"node-a": 0, "node-b": 1, "node-c": 2}
	tests := []struct {
		name     string
		change   func(f *fixture)
		owner    string // who has the item; empty: nobody
		decision Decision
	}{
		{
			name: "an owner that is away for less than the grace stays", change: func(f *fixture) { f.away("node-b", false) },
			owner: "node-b", decision: Decision{Owner: "node-b", Term: 1},
		},
		{
			name: "an owner that was never heard of stays, as after a restart of the centre", change: func(f *fixture) { delete(f.Facts, "node-b") },
			owner: "node-b", decision: Decision{Owner: "node-b", Term: 1},
		},
		{
			name: "an owner that is lost is replaced by the next of the order", change: func(f *fixture) { f.away("node-b", true) },
			owner: "node-c", decision: Decision{Owner: "node-c", Term: 2},
		},
		{
			name: "an owner that is lost stays if nobody else is there",
			change: func(f *fixture) {
				for n := range nodeIndex {
					f.away(n, true)
				}
			},
			owner: "node-b", decision: Decision{Owner: "node-b", Term: 1},
		},
		{
			name: "an owner whose Node is gone is replaced, once it let go",
			change: func(f *fixture) {
				f.Nodes = append(f.Nodes[:1:1], f.Nodes[2])
				f.Facts["node-b"] = NodeFacts{Connected: true}
			},
			owner: "node-c", decision: Decision{Owner: "node-c", Term: 2},
		},
		{
			name: "an excluded owner lets go before the next one answers",
			change: func(f *fixture) {
				f.Nodes[1].Labels["node.kubernetes.io/exclude-from-external-load-balancers"] = ""
			},
			owner: "", decision: Decision{Owner: "node-c", Term: 2},
		},
		{
			name: "an excluded owner that cannot be asked is waited for while it is not lost",
			change: func(f *fixture) {
				f.Nodes[1].Labels["node.kubernetes.io/exclude-from-external-load-balancers"] = ""
				f.away("node-b", false)
			},
			owner: "", decision: Decision{Owner: "node-c", Term: 2},
		},
		{
			name: "an excluded owner that is lost is not waited for",
			change: func(f *fixture) {
				f.Nodes[1].Labels["node.kubernetes.io/exclude-from-external-load-balancers"] = ""
				f.away("node-b", true)
			},
			owner: "node-c", decision: Decision{Owner: "node-c", Term: 2},
		},
		{
			name: "a preference moves the address", change: func(f *fixture) {
				f.Config.L2Advertisements[0].Spec.PreferredNodeSelectors = []metallb.PreferredNodeSelector{
					{Weight: 10, Preference: selector("kubernetes.io/hostname", "node-a")},
				}
			},
			owner: "", decision: Decision{Owner: "node-a", Term: 2},
		},
		{
			name: "a preference for one that is away does not", change: func(f *fixture) {
				f.Config.L2Advertisements[0].Spec.PreferredNodeSelectors = []metallb.PreferredNodeSelector{
					{Weight: 10, Preference: selector("kubernetes.io/hostname", "node-a")},
				}
				f.away("node-a", false)
			},
			owner: "node-b", decision: Decision{Owner: "node-b", Term: 1},
		},
		{
			name: "lost decisions are taken from who holds", change: func(f *fixture) { f.Decisions = nil; f.holds("node-b", "10.20.30.1", 7) },
			owner: "node-b", decision: Decision{Owner: "node-b", Term: 7},
		},
		{
			name: "of two who hold, the higher term is the owner", change: func(f *fixture) {
				f.Decisions = nil
				f.holds("node-a", "10.20.30.1", 9)
				f.holds("node-b", "10.20.30.1", 7)
			},
			owner: "node-a", decision: Decision{Owner: "node-a", Term: 9},
		},
		{
			name: "a term above the stored one is believed", change: func(f *fixture) {
				f.holds("node-a", "10.20.30.1", 5)
			},
			owner: "node-a", decision: Decision{Owner: "node-a", Term: 5},
		},
		{
			name: "a new lineage that decided otherwise before it knew moves nothing", change: func(f *fixture) {
				f.Decisions = map[netip.Addr]Decision{addr: {Owner: "node-a", Term: 1}}
			},
			owner: "node-b", decision: Decision{Owner: "node-b", Term: 1},
		},
		{
			name: "an old owner that comes back with its claim disturbs nobody", change: func(f *fixture) {
				f.Decisions = map[netip.Addr]Decision{addr: {Owner: "node-c", Term: 2}}
				f.holds("node-c", "10.20.30.1", 2)
			},
			owner: "node-c", decision: Decision{Owner: "node-c", Term: 2},
		},
		{
			name: "one that was not heard and still answers keeps the address from one that waits", change: func(f *fixture) {
				f.Decisions = map[netip.Addr]Decision{addr: {Owner: "node-c", Term: 2}}
				f.waits("node-c", "10.20.30.1", 2)
			},
			owner: "node-b", decision: Decision{Owner: "node-b", Term: 3},
		},
		{
			name: "and from one that was not told", change: func(f *fixture) {
				f.Decisions = map[netip.Addr]Decision{addr: {Owner: "node-c", Term: 2}}
			},
			owner: "node-b", decision: Decision{Owner: "node-b", Term: 3},
		},
		{
			name: "but not while it is not heard", change: func(f *fixture) {
				f.Decisions = map[netip.Addr]Decision{addr: {Owner: "node-c", Term: 2}}
				f.waits("node-c", "10.20.30.1", 2)
				f.away("node-b", true)
			},
			owner: "node-c", decision: Decision{Owner: "node-c", Term: 2},
		},
		{
			name: "nor where it may not own it", change: func(f *fixture) {
				f.Nodes[1].Labels["node.kubernetes.io/exclude-from-external-load-balancers"] = ""
				f.Decisions = map[netip.Addr]Decision{addr: {Owner: "node-c", Term: 2}}
				f.waits("node-c", "10.20.30.1", 2)
			},
			owner: "node-c", decision: Decision{Owner: "node-c", Term: 2},
		},
		{
			name: "nor when it waits itself", change: func(f *fixture) {
				f.Decisions = map[netip.Addr]Decision{addr: {Owner: "node-c", Term: 2}}
				f.waits("node-c", "10.20.30.1", 2)
				f.waits("node-b", "10.20.30.1", 1)
			},
			owner: "node-c", decision: Decision{Owner: "node-c", Term: 2},
		},
		{
			name: "without endpoints nobody announces, and the decision is kept", change: func(f *fixture) { f.endpoints("web") },
			owner: "", decision: Decision{Owner: "node-b", Term: 1},
		},
		{
			name: "without advertisements too", change: func(f *fixture) { f.Config.L2Advertisements = nil },
			owner: "", decision: Decision{Owner: "node-b", Term: 1},
		},
		{
			name: "and with its address in no pool", change: func(f *fixture) { f.Config.IPAddressPools = nil },
			owner: "", decision: Decision{Owner: "node-b", Term: 1},
		},
		{
			name: "a Service that is gone leaves nothing", change: func(f *fixture) { f.Services = nil },
		},
		{
			name: "nobody whose speaker was never connected is elected", change: func(f *fixture) { f.Decisions, f.Facts = nil, nil },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := elected(t)
			tt.change(f)

			out := Plan(f.Input)

			diff(t, "owner", tt.owner, layer2(t, out)["10.20.30.1"])
			diff(t, "decision", tt.decision, out.Decisions[addr])
		})
	}
}

func TestAddressNeverMovesBackOnItsOwn(t *testing.T) {
	f := elected(t)
	f.away("node-b", true)
	diff(t, "while node-b is lost", "node-c", layer2(t, f.settle(t))["10.20.30.1"])

	f.Facts["node-b"] = NodeFacts{Connected: true}

	diff(t, "when node-b is back", "node-c", layer2(t, f.settle(t))["10.20.30.1"])
}

func TestHandoverGoesThroughOneStepAfterTheOther(t *testing.T) {
	f := elected(t)
	f.Nodes[1].Labels["node.kubernetes.io/exclude-from-external-load-balancers"] = ""

	out := Plan(f.Input)
	diff(t, "while node-b holds", map[string]string{}, layer2(t, out))
	diff(t, "reasons", []string{"Node node-b nodeLabeledExcludeBalancers", "Service web layer2 handover"}, reasons(out))

	f.Decisions = out.Decisions
	f.Facts["node-b"] = NodeFacts{Connected: true}
	diff(t, "when it let go", map[string]string{"10.20.30.1": "node-c"}, layer2(t, Plan(f.Input)))
}

func TestSharedAddressHasOneOwnerAndListsItsServices(t *testing.T) {
	f := newFixture("node-a", "node-b", "node-c")
	f.pool("p", "10.20.30.0/24", "1000::/64")
	f.l2("l2")
	f.service("api", "10.20.30.1")
	f.service("web", "10.20.30.1", "1000::1")
	f.service("six", "1000::1")
	for _, s := range f.Services {
		s.Annotations = map[string]string{"metallb.io/allow-shared-ip": "key"}
	}

	out := Plan(f.Input)

	diff(t, "owners", map[string]string{"10.20.30.1": "node-b", "1000::1": "node-b"}, layer2(t, out))
	var names []string
	for _, ref := range ServiceRefs(out.Nodes["node-b"].Items[1]["layer2/10.20.30.1"]) {
		names = append(names, ref.Namespace+"/"+ref.Name+" "+ref.Address)
	}
	diff(t, "services", []string{"default/api 10.20.30.1", "default/web 10.20.30.1"}, names)
}

func TestLowestFirstAddressDecidesForAGroup(t *testing.T) {
	f := newFixture("node-a", "node-b", "node-c")
	f.pool("p", "10.20.30.0/24", "1000::/64")
	f.l2("l2")
	f.service("a", "1000::1") // alone it would go to node-a
	f.service("b", "10.20.30.1", "1000::1")

	diff(t, "owners", map[string]string{"10.20.30.1": "node-b", "1000::1": "node-b"}, layer2(t, Plan(f.Input)))
}

func TestAddressesThatComeToBeSharedGetOneOwnerAndMoveOnlyWhereTheyMust(t *testing.T) {
	f := newFixture("node-a", "node-b", "node-c")
	f.pool("p", "10.20.30.0/24")
	f.l2("l2")
	f.service("one", "10.20.30.1")
	f.service("two", "10.20.30.2")
	f.settle(t)
	f.service("both", "10.20.30.1", "10.20.30.2")

	out := f.settle(t)

	diff(t, "owners", map[string]string{"10.20.30.1": "node-b", "10.20.30.2": "node-b"}, layer2(t, out))
	diff(t, "decisions", map[netip.Addr]Decision{
		netip.MustParseAddr("10.20.30.1"): {Owner: "node-b", Term: 1}, netip.MustParseAddr("10.20.30.2"): {Owner: "node-b", Term: 2},
	}, out.Decisions, cmpAddr)
}

func TestLocalServicesThatShareGetTheNodeThatServesMost(t *testing.T) {
	f := newFixture("node-a", "node-b", "node-c")
	f.pool("p", "10.20.30.0/24")
	f.l2("l2")
	f.localService("one", "10.20.30.1", "node-a", "node-b")
	f.localService("two", "10.20.30.1", "node-a")
	f.localService("three", "10.20.30.1", "node-c")

	out := Plan(f.Input)

	diff(t, "owners", map[string]string{"10.20.30.1": "node-a"}, layer2(t, out))
	diff(t, "reasons", []string{"Service three layer2 notOwner"}, reasons(out))
}

func TestPreferencesAddUpAndCountOnlyWhereTheAdvertisementApplies(t *testing.T) {
	f := newFixture("node-a", "node-b", "node-c")
	f.pool("p", "10.20.30.0/24")
	prefer := func(node string, weight int32, within ...string) func(*metallb.L2AdvertisementSpec) {
		return func(s *metallb.L2AdvertisementSpec) {
			s.PreferredNodeSelectors = []metallb.PreferredNodeSelector{{Weight: weight, Preference: selector("kubernetes.io/hostname", node)}}
			if len(within) > 0 {
				s.NodeSelectors = onNodes(within...)
			}
		}
	}
	f.l2("one", prefer("node-a", 60))
	f.l2("two", prefer("node-c", 40))
	f.l2("three", prefer("node-c", 30))
	f.l2("four", prefer("node-b", 100, "node-a"))
	f.l2("other", prefer("node-a", 100), func(s *metallb.L2AdvertisementSpec) {
		s.ServiceSelectors = []metav1.LabelSelector{selector("app", "other")}
	})
	f.service("web", "10.20.30.1")

	diff(t, "owners", map[string]string{"10.20.30.1": "node-c"}, layer2(t, Plan(f.Input)))
}
