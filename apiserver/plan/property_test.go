package plan

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// rounds of each property; every round is a cluster of its own, named by its seed.
const rounds = 300

// world is a random cluster: three pools, some of everything, deliberately small so that things meet.
func world(seed uint64) (*fixture, *rand.Rand) {
	r := rand.New(rand.NewPCG(seed, 1))
	f := newFixture()
	for i := range 2 + r.IntN(6) {
		name := fmt.Sprintf("node-%d", i)
		f.node(name)
		f.disturbNode(r, i)
	}
	for i := range 3 {
		p := f.pool(fmt.Sprintf("pool-%d", i), fmt.Sprintf("10.0.%d.0/24", i), fmt.Sprintf("2001:db8:%d::/64", i))
		p.Labels = map[string]string{"zone": fmt.Sprint(i)}
	}
	for i := range r.IntN(4) {
		address := fmt.Sprintf("172.20.0.%d", i+1)
		if r.IntN(3) == 0 {
			address = fmt.Sprintf("2001:db8:ffff::%d", i+1)
		}
		f.peer(fmt.Sprintf("peer-%d", i), address, func(s *metallb.BGPPeerSpec) {
			s.NodeSelectors = randomNodes(r)
			s.DualStackAddressFamily = r.IntN(2) == 0
		})
	}
	for i := range r.IntN(4) {
		f.bgp(fmt.Sprintf("bgp-%d", i), func(s *metallb.BGPAdvertisementSpec) {
			s.IPAddressPools, s.IPAddressPoolSelectors = randomPools(r)
			s.NodeSelectors, s.ServiceSelectors = randomNodes(r), randomServices(r)
			s.LocalPref = int64(r.IntN(3) / 2 * 100)
			if r.IntN(2) == 0 {
				s.Communities = []string{fmt.Sprintf("65000:%d", r.IntN(3)), "large:1:2:3"}
			}
			if r.IntN(3) == 0 {
				s.Peers = []string{fmt.Sprintf("peer-%d", r.IntN(4))}
			}
			if r.IntN(3) == 0 && len(s.ServiceSelectors) == 0 {
				lengths(24, 64)(s)
			}
		})
	}
	for i := range r.IntN(4) {
		f.l2(fmt.Sprintf("l2-%d", i), func(s *metallb.L2AdvertisementSpec) {
			s.IPAddressPools, s.IPAddressPoolSelectors = randomPools(r)
			s.NodeSelectors, s.ServiceSelectors = randomNodes(r), randomServices(r)
			if r.IntN(2) == 0 {
				s.Interfaces = []string{fmt.Sprintf("eth%d", r.IntN(3))}
			}
		})
	}
	for range r.IntN(12) {
		f.randomService(r)
	}
	return f, r
}

// disturbNode gives a node a random state; most are well.
func (f *fixture) disturbNode(r *rand.Rand, i int) {
	n := f.Nodes[i].DeepCopy()
	delete(n.Labels, corev1.LabelNodeExcludeBalancers)
	n.Status.Conditions = nil
	facts := f.Facts[n.Name]
	facts.Connected, facts.Lost = true, false
	switch r.IntN(10) {
	case 0:
		n.Labels[corev1.LabelNodeExcludeBalancers] = ""
	case 1:
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue}}
	case 2:
		facts.Connected = false
	case 3:
		facts.Connected, facts.Lost = false, true
	}
	f.Nodes[i] = n
	f.Facts[n.Name] = facts
}

func (f *fixture) randomService(r *rand.Rand) {
	pool := r.IntN(4) // one of them does not exist
	v4, v6 := fmt.Sprintf("10.0.%d.%d", pool, r.IntN(6)), fmt.Sprintf("2001:db8:%d::%d", pool, r.IntN(6))
	s := f.service(fmt.Sprintf("svc-%d-%d", len(f.Services), r.Uint32()), [][]string{{v4}, {v6}, {v4, v6}, {v6, v4}}[r.IntN(4)]...)
	s.Labels = map[string]string{"app": fmt.Sprint(r.IntN(3))}
	if r.IntN(3) == 0 {
		s.Annotations = map[string]string{"metallb.io/allow-shared-ip": "key"}
	}
	if r.IntN(3) == 0 {
		s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	}
	f.disturbEndpoints(r, s.Name)
}

func (f *fixture) disturbEndpoints(r *rand.Rand, service string) {
	var on []string
	for _, n := range f.Nodes {
		if r.IntN(2) == 0 {
			on = append(on, n.Name)
		}
	}
	f.endpoints(service, on...)
}

func randomNodes(r *rand.Rand) []metav1.LabelSelector {
	if r.IntN(2) == 0 {
		return nil
	}
	return onNodes(fmt.Sprintf("node-%d", r.IntN(5)), fmt.Sprintf("node-%d", r.IntN(5)), fmt.Sprintf("node-%d", r.IntN(5)))
}

func randomServices(r *rand.Rand) []metav1.LabelSelector {
	if r.IntN(3) > 0 {
		return nil
	}
	return []metav1.LabelSelector{selector("app", fmt.Sprint(r.IntN(3)))}
}

func randomPools(r *rand.Rand) (names []string, byLabel []metav1.LabelSelector) {
	if r.IntN(3) == 0 {
		names = []string{fmt.Sprintf("pool-%d", r.IntN(4))}
	}
	if r.IntN(3) == 0 {
		byLabel = []metav1.LabelSelector{selector("zone", fmt.Sprint(r.IntN(4)))}
	}
	return names, byLabel
}

// disturb changes one thing at random, as clusters do.
func (f *fixture) disturb(r *rand.Rand) {
	switch r.IntN(5) {
	case 0, 1:
		f.disturbNode(r, r.IntN(len(f.Nodes)))
	case 2:
		f.randomService(r)
	case 3:
		if len(f.Services) > 0 {
			f.disturbEndpoints(r, f.Services[r.IntN(len(f.Services))].Name)
		}
	case 4:
		if n := len(f.Services); n > 0 {
			i := r.IntN(n)
			f.Services = slices.Delete(slices.Clone(f.Services), i, i+1)
		}
	}
}

// digests is an Output as comparable values.
func digests(out Output) map[string]string {
	all := map[string]string{}
	for name, n := range out.Nodes {
		all[name] = ""
		for lane, items := range n.Items {
			for id, item := range items {
				all[fmt.Sprintf("%s %s %s", name, lane, id)] = item.Digest
			}
		}
	}
	return all
}

func TestPropertySameInputInAnyOrderGivesTheSame(t *testing.T) {
	for seed := range uint64(rounds) {
		f, r := world(seed)
		f.settle(t)
		f.disturb(r)
		want := Plan(f.Input)
		shuffled := shuffle(f.Input, r)

		got := Plan(shuffled)

		what := fmt.Sprintf("seed %d", seed)
		diff(t, what, digests(want), digests(got))
		diff(t, what, want.Decisions, got.Decisions, cmpAddr)
		diff(t, what, want.Withheld, got.Withheld, cmpAddr)
	}
}

func shuffle(in Input, r *rand.Rand) Input {
	c := *in.Config
	c.IPAddressPools, c.L2Advertisements = shuffled(r, c.IPAddressPools), shuffled(r, c.L2Advertisements)
	c.BGPAdvertisements, c.BGPPeers = shuffled(r, c.BGPAdvertisements), shuffled(r, c.BGPPeers)
	in.Config = &c
	in.Nodes, in.Services = shuffled(r, in.Nodes), shuffled(r, in.Services)
	endpoints := map[types.NamespacedName][]*discoveryv1.EndpointSlice{}
	for name, list := range in.EndpointSlices {
		copied := list[0].DeepCopy()
		copied.Endpoints = shuffled(r, copied.Endpoints)
		endpoints[name] = []*discoveryv1.EndpointSlice{copied}
	}
	in.EndpointSlices = endpoints
	return in
}

func shuffled[T any](r *rand.Rand, list []T) []T {
	list = slices.Clone(list)
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func TestPropertyNobodyGetsWhatItMayNotAnnounce(t *testing.T) {
	for seed := range uint64(rounds) {
		f, r := world(seed)
		for range 10 {
			out := Plan(f.Input)
			layer2(t, out) // at most one owner an address, which is the one decided
			for _, node := range f.Nodes {
				plan := out.Nodes[node.Name]
				for _, items := range plan.Items {
					if err := keptByGuard(items); err != nil {
						t.Fatalf("seed %d: %s: %v", seed, node.Name, err)
					}
					for id, item := range items {
						if id == GuardID {
							continue
						}
						if err := f.mayAnnounce(node, item); err != nil {
							t.Fatalf("seed %d: %s on %s: %v", seed, id, node.Name, err)
						}
					}
				}
			}
			f.settle(t)
			f.disturb(r)
		}
	}
}

// keptByGuard: a node that has sessions has a guard, which is just wide enough for its routes and covers nothing that
// lies in no pool but for the aggregates around it.
func keptByGuard(items map[string]*ingotv1.Item) error {
	guard, sessions, routes := items[GuardID].GetBgpGuard(), 0, 0
	for id, item := range items {
		if item.GetBgpSession() != nil {
			sessions++
		}
		route := item.GetBgpRoute()
		if route == nil {
			continue
		}
		routes++
		prefix := netip.MustParsePrefix(route.GetPrefix())
		if !slices.ContainsFunc(guard.GetRanges(), func(s string) bool {
			r := netip.MustParsePrefix(s)
			return r.Bits() <= prefix.Bits() && r.Contains(prefix.Addr())
		}) {
			return fmt.Errorf("%s is outside of %v", id, guard.GetRanges())
		}
	}
	if (guard != nil) != (sessions > 0) || int(guard.GetRoutes()) != routes {
		return fmt.Errorf("%d sessions and %d routes have the guard %v", sessions, routes, guard)
	}
	return nil
}

// mayAnnounce states the rules a second time, item by item, as directly as can be.
func (f *fixture) mayAnnounce(node *corev1.Node, item *ingotv1.Item) error {
	refs := ServiceRefs(item)
	if len(refs) == 0 {
		if item.GetBgpSession() == nil {
			return fmt.Errorf("announces no Service")
		}
		return nil
	}
	if reason, _ := (&nodeList{}).exclusion(node); reason != "" {
		return fmt.Errorf("node is excluded: %s", reason)
	}
	for _, ref := range refs {
		i := slices.IndexFunc(f.Services, func(s *corev1.Service) bool { return s.Name == ref.Name })
		if i < 0 {
			return fmt.Errorf("Service %s does not exist", ref.Name)
		}
		s := f.Services[i]
		local := s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
		usable := slices.ContainsFunc(f.EndpointSlices[types.NamespacedName{Namespace: "default", Name: s.Name}][0].Endpoints,
			func(e discoveryv1.Endpoint) bool { return !local || *e.NodeName == node.Name })
		if !usable {
			return fmt.Errorf("Service %s has no usable endpoint", ref.Name)
		}
		if !slices.ContainsFunc(s.Status.LoadBalancer.Ingress, func(l corev1.LoadBalancerIngress) bool { return netip.MustParseAddr(l.IP).String() == ref.Address }) {
			return fmt.Errorf("Service %s does not have %s", ref.Name, ref.Address)
		}
	}
	seen := map[string]bool{}
	for _, ad := range item.GetBgpRoute().GetAdvertisements() {
		for _, peer := range ad.Peers {
			if seen[peer] {
				return fmt.Errorf("peer %s is in two advertisements", peer)
			}
			seen[peer] = true
			prefix := netip.MustParsePrefix(item.GetBgpRoute().Prefix)
			p := f.Config.BGPPeers[slices.IndexFunc(f.Config.BGPPeers, func(p *metallb.BGPPeer) bool { return p.Name == peer })]
			if !p.Spec.DualStackAddressFamily && netip.MustParseAddr(p.Spec.Address).Is4() != prefix.Addr().Is4() {
				return fmt.Errorf("peer %s does not carry the family", peer)
			}
			selectors, err := compileSelectors(p.Spec.NodeSelectors)
			if err != nil || !selectors.match(node.Labels) {
				return fmt.Errorf("peer %s has no session here", peer)
			}
		}
	}
	return nil
}

// Whatever else changes, an owner that is still eligible and present keeps its address and its term.
func TestPropertyUnrelatedChangeMovesNothing(t *testing.T) {
	moved := 0
	for seed := range uint64(rounds) {
		f, r := world(seed)
		before := f.settle(t)
		owners := layer2(t, before)

		// A new Service on an address of its own, without sharing anything.
		f.service("unrelated", fmt.Sprintf("10.0.%d.%d", r.IntN(3), 100+r.IntN(100)))
		// Nodes that own nothing come and go.
		f.node("node-new")
		for i := range f.Nodes {
			if name := f.Nodes[i].Name; !concerned(before, name) && r.IntN(2) == 0 {
				f.away(name, r.IntN(2) == 0)
				moved++
			}
		}
		after := Plan(f.Input)

		now := layer2(t, after)
		for a, owner := range owners {
			if now[a] != owner || after.Decisions[netip.MustParseAddr(a)] != before.Decisions[netip.MustParseAddr(a)] {
				t.Errorf("seed %d: %s moved from %s to %s", seed, a, owner, now[a])
			}
		}
		then := digests(after)
		for id, digest := range digests(before) {
			if slices.Contains([]string{"", then[id]}, digest) || aggregated(before, id) || strings.HasSuffix(id, GuardID) || wanting(before, id) {
				continue
			}
			t.Errorf("seed %d: %s changed", seed, id)
		}
	}
	if moved == 0 {
		t.Error("no node ever came or went")
	}
}

// aggregated reports whether the item named by digests is a route that stands for more than one address; such routes
// list their Services, which may rightly become more.
func aggregated(out Output, id string) bool {
	var node, lane, item string
	if n, err := fmt.Sscan(id, &node, &lane, &item); err != nil || n != 3 {
		return false
	}
	route := out.Nodes[node].Items[ingotv1.Lane_LANE_ROUTING][item].GetBgpRoute()
	return route != nil && !netip.MustParsePrefix(route.Prefix).IsSingleIP()
}

// wanting reports whether the item named by digests is of a layer-2 address that has room for another standby.
func wanting(out Output, id string) bool {
	var node, lane, item string
	if n, err := fmt.Sscan(id, &node, &lane, &item); err != nil || n != 3 {
		return false
	}
	l2 := out.Nodes[node].Items[ingotv1.Lane_LANE_LAYER2][item].GetLayer2Address()
	return l2 != nil && len(l2.Standbys) < maxStandbys
}

// concerned reports whether a node owns a layer-2 address or stands by for one.
func concerned(out Output, node string) bool {
	for _, d := range out.Decisions {
		if d.Owner == node {
			return true
		}
	}
	for _, d := range out.Layer2 {
		if slices.Contains(d.Standbys, node) {
			return true
		}
	}
	return false
}

// Terms never fall while a Service holds the address, change with every owner, and an owner that stays keeps its own.
func TestPropertyTermsOnlyGrow(t *testing.T) {
	changes := 0
	for seed := range uint64(rounds) {
		f, r := world(seed)
		before := f.settle(t).Decisions
		for range 20 {
			f.disturb(r)
			after := f.settle(t).Decisions
			for a, d := range after {
				old, ok := before[a]
				switch {
				case !ok || d == old:
				case d.Owner == old.Owner:
					t.Fatalf("seed %d: %s stays with %s, and its term goes from %d to %d", seed, a, d.Owner, old.Term, d.Term)
				case d.Term <= old.Term:
					t.Fatalf("seed %d: %s goes from %v to %v", seed, a, old, d)
				default:
					changes++
				}
			}
			before = after
		}
	}
	if changes == 0 {
		t.Error("no owner ever changed")
	}
}

// disturbLAN changes something that the segments say: nodes become unfit, are held down, heard or known to be gone.
func (f *fixture) disturbLAN(r *rand.Rand, l *lan) {
	node := f.Nodes[r.IntN(len(f.Nodes))].Name
	delete(l.unfit, node)
	delete(l.heldDown, node)
	delete(l.heard, node)
	delete(l.vouched, node)
	switch r.IntN(8) {
	case 0, 1:
		l.unfit[node] = "broken"
	case 2:
		l.unfit[node], l.heldDown[node] = "flapped", true
	case 3:
		l.unfit[node], l.heard[node] = "broken", true
	case 4:
		l.vouched[node] = "somebody"
	}
	facts := f.Facts[node]
	facts.Leaving = r.IntN(10) == 0
	f.Facts[node] = facts
}

// speakers are what the nodes of a property do with their orders, one update at a time.
type speakers struct {
	*fixture
	// owns are the addresses that each answers for.
	owns map[string]map[netip.Addr]uint64
}

// obey has a connected node take its orders; facts follow. Orders is what it was told, whether it has done it or not.
func (s *speakers) obey(out Output, node string) {
	facts := s.Facts[node]
	if !facts.Connected || out.Nodes[node] == nil {
		return
	}
	facts.Holds, facts.Stands = map[netip.Addr]uint64{}, map[netip.Addr]bool{}
	s.owns[node] = map[netip.Addr]uint64{}
	for _, item := range out.Nodes[node].Items[ingotv1.Lane_LANE_LAYER2] {
		l2 := item.GetLayer2Address()
		if l2 == nil {
			continue
		}
		a := netip.MustParseAddr(l2.Address)
		if l2.Role == ingotv1.Layer2Address_ROLE_OWNER {
			facts.Holds[a], s.owns[node][a] = l2.Term, l2.Term
		} else {
			facts.Stands[a] = true
		}
	}
	s.Facts[node] = facts
}

// order notes what every connected node was told.
func (s *speakers) order(out Output) {
	for name, facts := range s.Facts {
		if !facts.Connected || out.Nodes[name] == nil {
			continue
		}
		facts.Orders = map[netip.Addr]uint64{}
		for _, item := range out.Nodes[name].Items[ingotv1.Lane_LANE_LAYER2] {
			if l2 := item.GetLayer2Address(); l2.GetRole() == ingotv1.Layer2Address_ROLE_OWNER {
				facts.Orders[netip.MustParseAddr(l2.Address)] = l2.Term
			}
		}
		s.Facts[name] = facts
	}
}

// Whatever happens, and in whatever order nodes do what they are told: of the nodes that can be told, no two answer for one
// address, and none that nobody knows to be gone and that is not lost answers beside another; planning twice is the same;
// terms grow.
func TestPropertyOneOwnerAtATime(t *testing.T) {
	moves := 0
	for seed := range uint64(rounds) {
		f, r := world(seed)
		l := newLAN()
		f.Segments = l
		s := &speakers{fixture: f, owns: map[string]map[netip.Addr]uint64{}}
		terms := map[netip.Addr]uint64{}
		owners := map[netip.Addr]string{}
		for step := range 60 {
			switch r.IntN(3) {
			case 0:
				was := maps.Clone(f.Facts)
				f.disturb(r)
				for name, facts := range f.Facts { // one that comes back was not told anything on its new stream
					if facts.Connected && !was[name].Connected {
						facts.Orders = nil
						f.Facts[name] = facts
					}
				}
			case 1:
				f.disturbLAN(r, l)
			}
			out := Plan(f.Input)
			if again := Plan(f.Input); !cmp.Equal(digests(out), digests(again)) {
				t.Fatalf("seed %d step %d: planned twice, and differently: %s", seed, step, cmp.Diff(digests(out), digests(again)))
			}
			for a, owner := range layer2(t, out) {
				for name, facts := range f.Facts {
					addr := netip.MustParseAddr(a)
					_, holds := s.owns[name][addr]
					if name == owner || !holds || facts.Lost && !facts.Connected && l.vouched[name] == "" {
						continue
					}
					if _, has := s.owns[owner][addr]; !has && f.Facts[owner].Orders[addr] != out.Decisions[addr].Term {
						t.Fatalf("seed %d step %d: %s is given %s, which %s still answers for", seed, step, owner, a, name)
					}
				}
			}
			for a, d := range out.Decisions {
				if d.Term < terms[a] || d.Term == terms[a] && owners[a] != d.Owner {
					t.Fatalf("seed %d step %d: %s goes from %s %d to %s %d", seed, step, a, owners[a], terms[a], d.Owner, d.Term)
				}
				if terms[a] != 0 && owners[a] != d.Owner {
					if moves++; d.Reason == "" {
						t.Fatalf("seed %d step %d: %s moves without a reason", seed, step, a)
					}
				}
			}
			terms, owners = map[netip.Addr]uint64{}, map[netip.Addr]string{}
			for a, d := range out.Decisions {
				terms[a], owners[a] = d.Term, d.Owner
			}
			f.Decisions = out.Decisions
			s.order(out)
			for _, n := range f.Nodes {
				if r.IntN(2) == 0 {
					s.obey(out, n.Name)
				}
			}
		}
	}
	if moves == 0 {
		t.Error("nothing ever moved")
	}
}

// A fault of a node that neither owns an address nor stands by for it changes nothing about it; nor does its end.
func TestPropertyFaultsElsewhereMoveNothing(t *testing.T) {
	elsewhere := 0
	for seed := range uint64(rounds) {
		f, r := world(seed)
		l := newLAN()
		f.Segments = l
		before := f.settle(t)
		for _, n := range f.Nodes {
			if r.IntN(2) == 0 && !concerned(before, n.Name) {
				l.unfit[n.Name] = "broken"
				elsewhere++
			}
		}
		broken := f.settle(t)
		clear(l.unfit)
		after := f.settle(t)

		for _, out := range []Output{broken, after} {
			diff(t, fmt.Sprint("owners, seed ", seed), layer2(t, before), layer2(t, out))
			for id, digest := range digests(before) {
				if now := digests(out)[id]; digest != now && strings.Contains(id, "layer2/") && !wanting(before, id) {
					t.Errorf("seed %d: %s changed", seed, id)
				}
			}
		}
	}
	if elsewhere == 0 {
		t.Error("nothing ever broke")
	}
}
