package rules

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
)

// TestEveryVerdictAgreesWithBruteForce makes random configurations of everything, change by change. Check, a Judge
// that remembers, and a second book that looks at the whole configuration with no cleverness must always agree.
func TestEveryVerdictAgreesWithBruteForce(t *testing.T) {
	accepted, refused := map[string]int{}, map[string]int{}
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 11))
		host := knownHost(racks[:rng.IntN(4)])
		judge := NewJudge(host)
		objects := map[string]runtime.Object{}
		for step := range 60 {
			key, obj := randomObject(rng)
			if rng.IntN(10) == 0 {
				obj = nil
			}
			if obj == nil && (objects[key] == nil || strings.HasPrefix(key, "profile")) { // those in use stay
				continue
			}
			after := map[string]runtime.Object{}
			for k, o := range objects {
				after[k] = o
			}
			if obj == nil {
				delete(after, key)
			} else {
				after[key] = obj
			}
			before := configurationOf(objects)
			want := bruteForce(configurationOf(after), host.Nodes())

			ch := Change{Resource: "tested", Old: objects[key], New: obj, Nodes: host.Nodes()}
			errs, _ := Check(before, ch)
			again, _ := judge.Check(before, Change{Resource: "tested", Old: objects[key], New: obj})

			if (len(errs) > 0) != (want != "") {
				t.Fatalf("seed %d step %d: %s after %s: Check says %v, brute force %q", seed, step, show1(obj), show1(objects[key]), errs, want)
			}
			if fmt.Sprint(errs) != fmt.Sprint(again) {
				t.Fatalf("seed %d step %d: Check says %v, the Judge %v", seed, step, errs, again)
			}
			if want == "" {
				objects = after
				accepted[fmt.Sprintf("%T", obj)]++
			} else {
				refused[want]++
			}
		}
	}
	for _, rule := range []string{"C1", "X1", "X2", "X3", "X4", "X5", "X6", "X7", "X10", "X11", "one name", "bgp only", "twice"} {
		if refused[rule] == 0 {
			t.Errorf("no change ever broke %s: %v", rule, refused)
		}
	}
	if len(accepted) != 8 { // seven kinds and deletion
		t.Errorf("accepted: %v", accepted)
	}
}

// TestWhoeverComesLastIsRefused: two objects that are right by themselves and not together are refused in either order.
func TestWhoeverComesLastIsRefused(t *testing.T) {
	refused := 0
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 13))
		nodes := racks[:rng.IntN(4)]
		objects := map[string]runtime.Object{}
		accepts := func(obj runtime.Object, beside ...runtime.Object) bool {
			c := configurationOf(objects)
			for _, o := range beside {
				add(c, o)
			}
			errs, _ := Check(c, Change{Resource: "tested", New: obj, Nodes: nodes})
			return len(errs) == 0
		}
		for range 12 {
			if key, obj := randomObject(rng); objects[key] == nil && accepts(obj) {
				objects[key] = obj
			}
		}
		for range 40 {
			k1, a := randomObject(rng)
			k2, b := randomObject(rng)
			if k1 == k2 || objects[k1] != nil || objects[k2] != nil || !accepts(a) || !accepts(b) {
				continue
			}
			after, before := accepts(b, a), accepts(a, b)
			if after != before {
				t.Fatalf("seed %d: %s, then %s: %v; in the other order: %v", seed, show1(a), show1(b), after, before)
			}
			if !after {
				refused++
			}
		}
	}
	if refused < 50 {
		t.Errorf("%d pairs were ever refused", refused)
	}
}

// knownHost knows Nodes and nothing else.
type knownHost []Node

func (h knownHost) Nodes() []Node   { return h }
func (knownHost) Holders() []Holder { return nil }
func (knownHost) Terminating() bool { return false }

func (knownHost) Secret(string) (*corev1.Secret, bool) { return nil, false }

func show1(o runtime.Object) string {
	switch o := o.(type) {
	case *metallb.IPAddressPool:
		return fmt.Sprintf("%s %v %v", o.Name, o.Labels, o.Spec.Addresses)
	case *metallb.BGPAdvertisement:
		return fmt.Sprintf("%s %+v", o.Name, o.Spec)
	case *metallb.BGPPeer:
		return fmt.Sprintf("%s %+v", o.Name, o.Spec)
	}
	return "nothing"
}

func oneOf[T any](rng *rand.Rand, values ...T) T { return values[rng.IntN(len(values))] }

// randomObject is one of few, so that they meet.
func randomObject(rng *rand.Rand) (key string, obj runtime.Object) {
	switch rng.IntN(10) {
	case 0, 1:
		p := randomPool(rng, oneOf(rng, "p0", "p1", "p2"))
		if rng.IntN(2) == 0 {
			p.Labels = map[string]string{"zone": oneOf(rng, "x", "y")}
		}
		return "pool " + p.Name, p
	case 2, 3:
		a := advNamed(oneOf(rng, "a0", "a1", "a2"), oneOf[int32](rng, 32, 32, 30, 28), oneOf[int64](rng, 0, 100))
		a.Spec.MED, a.Spec.ASPathPrepend = oneOf(rng, nil, nil, nil, new(int64(0)), new(int64(7))), oneOf[int32](rng, 0, 0, 0, 2)
		a.Spec.AggregationLengthV6 = new(oneOf[int32](rng, 128, 128, 125))
		if rng.IntN(2) == 0 {
			a.Spec.IPAddressPools = []string{oneOf(rng, "p0", "p1", "p2")}
		}
		if rng.IntN(3) == 0 {
			a.Spec.IPAddressPoolSelectors = []metav1.LabelSelector{labels("zone", oneOf(rng, "x", "y"))}
		}
		if rng.IntN(3) == 0 {
			a.Spec.Peers = []string{oneOf(rng, "q0", "q1")}
		}
		if rng.IntN(3) == 0 {
			a.Spec.NodeSelectors = []metav1.LabelSelector{labels("rack", oneOf(rng, "a", "b"))}
		}
		if rng.IntN(6) == 0 {
			a.Spec.ServiceSelectors, a.Spec.AggregationLength, a.Spec.AggregationLengthV6 = []metav1.LabelSelector{labels("app", "web")}, nil, nil
		}
		return "adv " + a.Name, a
	case 4:
		p := profileNamed(oneOf(rng, "f0", "f1"), rng.IntN(2) == 0)
		return "profile " + p.Name, p
	case 5:
		c := newCommunity(oneOf(rng, "c0", "c1"), oneOf(rng, "one", "two", "three"), oneOf(rng, "1:1", "1:2", "1:2", "1:2:3"), "four"+oneOf(rng, "", "x"), "1:4")
		return "community " + c.Name, c
	case 6:
		a := l2Adv(metallb.L2AdvertisementSpec{IPAddressPools: []string{oneOf(rng, "p0", "p1")}, Interfaces: []string{"eth0"}})
		if rng.IntN(2) == 0 {
			a.Spec.ProbeAddresses = []string{"192.0.2.1", oneOf(rng, "10.0.0.", "::ffff:10.0.0.") + strconv.Itoa(rng.IntN(256))}
		}
		return "l2 " + a.Name, a
	case 7:
		p := legacyPool(oneOf(rng, "p2", "p3"), oneOf[metallb.AddressPoolProtocol](rng, "layer2", "bgp", "bgp", "bgp"), randomPool(rng, "").Spec.Addresses)
		p.Labels = map[string]string{"zone": oneOf(rng, "x", "y")}
		for range rng.IntN(3) {
			p.Spec.BGPAdvertisements = append(p.Spec.BGPAdvertisements,
				legacyAd(oneOf[int32](rng, 32, 32, 30, 28), oneOf[int32](rng, 128, 128, 125), oneOf[int64](rng, 0, 100)))
		}
		return "legacy " + p.Name, p
	}
	p := peerNamed(oneOf(rng, "q0", "q1", "q2"), oneOf(rng, "10.9.0.1", "10.9.0.2", "10.9.0.3"),
		inVRF(oneOf(rng, "", "", "red")), withASN(oneOf[int64](rng, 64512, 64512, 64513)), withRouterID(oneOf(rng, "", "", "1.1.1.1")))
	if rng.IntN(3) == 0 {
		onDevice(oneOf(rng, "eth0", "eth1"))(&p.Spec)
	}
	if rng.IntN(2) == 0 {
		onNodes("rack", oneOf(rng, "a", "b"))(&p.Spec)
	}
	if rng.IntN(2) == 0 {
		p.Spec.BFDProfile = oneOf(rng, "f0", "f1")
	}
	return "peer " + p.Name, p
}

// configurationOf sorts by key, as the store does.
func configurationOf(objects map[string]runtime.Object) *metallb.Configuration {
	c := &metallb.Configuration{}
	var keys []string
	for k := range objects {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		add(c, objects[k])
	}
	return c
}

// bruteForce names a rule that the configuration breaks; it knows matchLabels only.
func bruteForce(c *metallb.Configuration, nodes []Node) string {
	pools, problem := announced(c)
	if problem != "" {
		return problem
	}
	var all []addrrange.Range
	for _, p := range pools {
		for _, text := range p.Spec.Addresses {
			r, err := addrrange.Parse(text)
			if err != nil {
				return "unparsable"
			}
			if slices.ContainsFunc(all, r.Overlaps) {
				return "X1"
			}
			all = append(all, r)
			for _, a := range p.by {
				length, shortest := 32, 128
				set := a.Spec.AggregationLength
				if !r.Is4() {
					length, set = 128, a.Spec.AggregationLengthV6
				}
				if set != nil {
					length = int(*set)
				}
				for _, prefix := range r.Prefixes() {
					shortest = min(shortest, prefix.Bits())
				}
				if length < shortest {
					return "X2"
				}
			}
		}
		for _, a := range p.by {
			for _, b := range p.by {
				if a != b && unlike(a, b, p.IPAddressPool, nodes) {
					return "X3"
				}
			}
		}
	}
	for _, a := range c.L2Advertisements {
		for _, text := range a.Spec.ProbeAddresses {
			if slices.ContainsFunc(all, func(r addrrange.Range) bool { return r.Contains(netip.MustParseAddr(text).Unmap()) }) {
				return "X11"
			}
		}
	}
	used := map[string]bool{}
	for _, definer := range c.Communities {
		for _, alias := range definer.Spec.Communities {
			if used[alias.Name] {
				return "X4"
			}
			if used[alias.Name] = true; alias.Value == "1:2:3" {
				return "C1"
			}
		}
	}
	for _, p := range c.BGPPeers {
		for _, profile := range c.BFDProfiles {
			for _, of := range pools {
				for _, a := range of.by {
					if p.Spec.BFDProfile == profile.Name && *profile.Spec.EchoMode &&
						(a.Spec.Peers == nil || slices.Contains(a.Spec.Peers, p.Name)) && together(a.Spec.NodeSelectors, p.Spec.NodeSelectors, nodes) &&
						slices.ContainsFunc(of.Spec.Addresses, func(text string) bool { return strings.Contains(text, ":") }) {
						return "X10"
					}
				}
			}
		}
		for _, q := range c.BGPPeers {
			if p == q || !together(p.Spec.NodeSelectors, q.Spec.NodeSelectors, nodes) {
				continue
			}
			s, o := p.Spec, q.Spec
			switch {
			case s.RouterID != o.RouterID:
				return "X5"
			case s.VRFName != o.VRFName:
			case s.Address == o.Address && s.Interface == o.Interface:
				return "X6"
			case s.MyASN != o.MyASN:
				return "X7"
			}
		}
	}
	return ""
}

// announcedPool is a pool with the advertisements that are for it.
type announcedPool struct {
	*metallb.IPAddressPool
	by []*metallb.BGPAdvertisement
}

// announced writes out what AddressPools stand for, or says which of their own rules one breaks.
func announced(c *metallb.Configuration) (pools []announcedPool, problem string) {
	for _, p := range c.IPAddressPools {
		of := announcedPool{IPAddressPool: p}
		for _, a := range c.BGPAdvertisements {
			if means(a, p) {
				of.by = append(of.by, a)
			}
		}
		pools = append(pools, of)
	}
	for _, p := range c.AddressPools {
		if slices.ContainsFunc(c.IPAddressPools, func(o *metallb.IPAddressPool) bool { return o.Name == p.Name }) {
			return nil, "one name"
		}
		of := announcedPool{IPAddressPool: newPool(p.Name, p.Spec.Addresses...)}
		if p.Spec.Protocol == "bgp" && len(p.Spec.BGPAdvertisements) == 0 {
			of.by = append(of.by, advNamed("implicit", 32, 0))
		}
		for i, a := range p.Spec.BGPAdvertisements {
			if p.Spec.Protocol != "bgp" {
				return nil, "bgp only"
			}
			for _, b := range p.Spec.BGPAdvertisements[:i] {
				if *a.AggregationLength == *b.AggregationLength && *a.AggregationLengthV6 == *b.AggregationLengthV6 && a.LocalPref == b.LocalPref {
					return nil, "twice"
				}
			}
			ad := advNamed("listed", *a.AggregationLength, a.LocalPref)
			ad.Spec.AggregationLengthV6 = a.AggregationLengthV6
			of.by = append(of.by, ad)
		}
		pools = append(pools, of)
	}
	return pools, ""
}

func matches(list []metav1.LabelSelector, of map[string]string) bool {
	return slices.ContainsFunc(list, func(s metav1.LabelSelector) bool {
		for k, v := range s.MatchLabels {
			if of[k] != v {
				return false
			}
		}
		return true
	})
}

func means(a *metallb.BGPAdvertisement, p *metallb.IPAddressPool) bool {
	s := a.Spec
	if s.IPAddressPools == nil && s.IPAddressPoolSelectors == nil {
		return true
	}
	return slices.Contains(s.IPAddressPools, p.Name) || matches(s.IPAddressPoolSelectors, p.Labels)
}

func together(a, b []metav1.LabelSelector, nodes []Node) bool {
	if len(nodes) == 0 {
		return true
	}
	return slices.ContainsFunc(nodes, func(n Node) bool {
		return (a == nil || matches(a, n.Labels)) && (b == nil || matches(b, n.Labels))
	})
}

// unlike is X3 as the specification words it.
func unlike(a, b *metallb.BGPAdvertisement, p *metallb.IPAddressPool, nodes []Node) bool {
	s, o := a.Spec, b.Spec
	sameMED := s.MED == nil && o.MED == nil || s.MED != nil && o.MED != nil && *s.MED == *o.MED
	if s.LocalPref == o.LocalPref && sameMED && s.ASPathPrepend == o.ASPathPrepend || s.ServiceSelectors != nil || o.ServiceSelectors != nil {
		return false
	}
	var has4, has6 bool
	for _, text := range p.Spec.Addresses {
		r, _ := addrrange.Parse(text)
		has4, has6 = has4 || r.Is4(), has6 || !r.Is4()
	}
	differ4, differ6 := *s.AggregationLength != *o.AggregationLength, *s.AggregationLengthV6 != *o.AggregationLengthV6
	switch {
	case has4 && has6 && differ4 && differ6, has4 && !has6 && differ4, has6 && !has4 && differ6:
		return false
	case s.Peers != nil && o.Peers != nil && s.Peers[0] != o.Peers[0]:
		return false
	}
	return together(s.NodeSelectors, o.NodeSelectors, nodes)
}
