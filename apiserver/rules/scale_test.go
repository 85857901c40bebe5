package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// site is a configuration in which everything is there and nothing is alike: a node to a rack, each rack with its peer
// and its router ID, an advertisement to each peer with a preference of its own, and pools of both families, labelled.
func site(pools, racks int) (*metallb.Configuration, []Node) {
	c := poolsOf(pools)
	for i, p := range c.IPAddressPools {
		p.Labels = map[string]string{"tenant": fmt.Sprint(i), "tier": fmt.Sprint(i % 7)}
	}
	var nodes []Node
	for i := range racks {
		rack := fmt.Sprintf("rack-%04d", i)
		nodes = append(nodes, Node{Name: rack, Labels: map[string]string{"rack": rack, "os": "linux"}})
		c.BGPPeers = append(c.BGPPeers, peerNamed(rack, fmt.Sprintf("172.16.%d.%d", i/250, i%250), onNodes("rack", rack),
			withRouterID(fmt.Sprintf("192.168.%d.%d", i/250, i%250)), withBFD("profile")))
		ad := advNamed(rack, 32, int64(i), toPeers(rack), fromNodes("rack", rack), func(s *metallb.BGPAdvertisementSpec) { s.Communities = []string{fmt.Sprintf("alias-%d", i)} })
		switch i % 4 {
		case 0:
			forPools(fmt.Sprintf("pool-%05d", i%pools))(&ad.Spec)
		case 1:
			forLabels("tenant", fmt.Sprint(i%pools))(&ad.Spec)
		case 2: // and 3: all pools
			ad.Spec.Peers = nil
		}
		c.BGPAdvertisements = append(c.BGPAdvertisements, ad)
		c.Communities = append(c.Communities, newCommunity(rack, fmt.Sprintf("alias-%d", i), "1:1"))
	}
	c.BFDProfiles = append(c.BFDProfiles, profileNamed("profile", false))
	return c, nodes
}

// BenchmarkWriteInALargeSite changes one object of each kind back and forth, and tells what Judge takes for a write
// among 10,000 pools, 1,000 peers and 1,000 advertisements, and among 10 of each.
func BenchmarkWriteInALargeSite(b *testing.B) {
	type edit struct {
		name string
		of   func(c *metallb.Configuration) *[]runtime.Object // one object, and what becomes of it
	}
	pair := func(was, is runtime.Object) *[]runtime.Object { return &[]runtime.Object{was, is} }
	edits := []edit{
		{"pool", func(c *metallb.Configuration) *[]runtime.Object {
			was := c.IPAddressPools[5]
			is := was.DeepCopy()
			is.Spec.Addresses = append(is.Spec.Addresses, "10.250.0.0/24")
			return pair(was, is)
		}},
		{"labels", func(c *metallb.Configuration) *[]runtime.Object {
			was := c.IPAddressPools[5]
			return pair(was, labelled(was, "tenant", "nobody"))
		}},
		{"advertisement", func(c *metallb.Configuration) *[]runtime.Object {
			was := c.BGPAdvertisements[5]
			is := was.DeepCopy()
			is.Spec.LocalPref = 5000
			return pair(was, is)
		}},
		{"advertisement-of-all", func(c *metallb.Configuration) *[]runtime.Object {
			was := c.BGPAdvertisements[3]
			is := was.DeepCopy()
			is.Spec.LocalPref = 5000
			return pair(was, is)
		}},
		{"aggregation", func(c *metallb.Configuration) *[]runtime.Object {
			was := c.BGPAdvertisements[3]
			is := was.DeepCopy()
			is.Spec.AggregationLength = new(int32(25))
			return pair(was, is)
		}},
		{"peer", func(c *metallb.Configuration) *[]runtime.Object {
			was := c.BGPPeers[5]
			is := was.DeepCopy()
			is.Spec.Address = "172.31.0.1"
			return pair(was, is)
		}},
		{"profile", func(c *metallb.Configuration) *[]runtime.Object {
			return pair(c.BFDProfiles[0], profileNamed("profile", false))
		}},
		{"community", func(c *metallb.Configuration) *[]runtime.Object {
			return pair(c.Communities[5], newCommunity("rack-0005", "alias-5", "1:2"))
		}},
	}
	cost := func(e edit, pools, racks, writes int) time.Duration {
		c, nodes := site(pools, racks)
		judge := NewJudge(knownHost(nodes))
		objects := *e.of(c)
		var spent time.Duration
		for i := range writes + 2 {
			was, is := objects[i%2], objects[(i+1)%2]
			began := time.Now()
			if errs, _ := judge.Check(c, Change{Resource: "tested", Old: was, New: is}); len(errs) > 0 {
				b.Fatal(e.name, errs)
			}
			if i >= 2 { // the first ones work out what is remembered
				spent += time.Since(began)
			}
			c = exchanged(c, was, is)
		}
		return spent / time.Duration(writes)
	}
	for _, e := range edits {
		b.Run(e.name, func(b *testing.B) {
			for b.Loop() {
				few, many := cost(e, 10, 10, 200), cost(e, 10000, 1000, 200)
				b.ReportMetric(float64(few.Nanoseconds())/1e3, "µs/write-10")
				b.ReportMetric(float64(many.Nanoseconds())/1e3, "µs/write-10000")
				b.ReportMetric(float64(many)/float64(few), "ratio")
			}
		})
	}
}

// exchanged is a configuration with one object in place of another, as the store makes it.
func exchanged(c *metallb.Configuration, was, is runtime.Object) *metallb.Configuration {
	next := *c
	switch was := was.(type) {
	case *metallb.IPAddressPool:
		next.IPAddressPools = swap(c.IPAddressPools, was, is.(*metallb.IPAddressPool))
	case *metallb.BGPAdvertisement:
		next.BGPAdvertisements = swap(c.BGPAdvertisements, was, is.(*metallb.BGPAdvertisement))
	case *metallb.BGPPeer:
		next.BGPPeers = swap(c.BGPPeers, was, is.(*metallb.BGPPeer))
	case *metallb.BFDProfile:
		next.BFDProfiles = swap(c.BFDProfiles, was, is.(*metallb.BFDProfile))
	case *metallb.Community:
		next.Communities = swap(c.Communities, was, is.(*metallb.Community))
	}
	return &next
}

func swap[O comparable](list []O, was, is O) []O {
	next := append([]O(nil), list...)
	for i := range next {
		if next[i] == was {
			next[i] = is
		}
	}
	return next
}

// TestHugeObjectsGetShortAnswers: what is wrong in a hundred thousand places is judged in a moment and answered in few
// words. Were anything quadratic, this test would not end.
func TestHugeObjectsGetShortAnswers(t *testing.T) {
	const many = 100_000
	list := func(format string) (items []string) {
		for i := range many {
			items = append(items, fmt.Sprintf(format, i>>8, i&255))
		}
		return items
	}
	selectors := func(key string) (all []metav1.LabelSelector) {
		for i := range many {
			all = append(all, labels(key, fmt.Sprint(i/2)))
		}
		return all
	}
	right := newPool("huge", list("%d%d")...)
	for i := range right.Spec.Addresses {
		right.Spec.Addresses[i] = fmt.Sprintf("10.%d.%d.%d/32", i>>16, i>>8&255, i&255)
	}
	if errs, _ := Check(nil, Change{Resource: "ipaddresspools", New: right}); len(errs) > 0 {
		t.Errorf("a hundred thousand single addresses: %v", errs)
	}
	same := newPool("same", list("10.%[1]d.0.0/24")...)
	nodes := newPeer(func(s *metallb.BGPPeerSpec) { s.NodeSelectors = selectors("n") })
	community := &metallb.Community{ObjectMeta: named("c")}
	for i := range many {
		community.Spec.Communities = append(community.Spec.Communities, metallb.CommunityAlias{Name: fmt.Sprint(i / 2), Value: "x"})
	}
	beside := &metallb.Configuration{IPAddressPools: []*metallb.IPAddressPool{right}}
	for name, obj := range map[string]runtime.Object{
		"overlaps itself": same,
		"unreadable":      newPool("p", list("x%d.%d")...),
		"overlaps":        newPool("p", right.Spec.Addresses...),
		"covers":          newPool("p", "10.0.0.0/8", "10.0.0.0/9"),
		"long":            newPool("p", strings.Repeat("1", 1<<20)),
		"namespaces":      allocatedTo(metallb.ServiceAllocation{Namespaces: list("n%[1]d")}),
		"peers":           advNamed("a", 32, 0, toPeers(list("p%[1]d")...), forPools(list("p%d-%d")...)),
		"communities":     advNamed("a", 32, 0, func(s *metallb.BGPAdvertisementSpec) { s.Communities = list("%d:%d:1") }),
		"pool selectors":  advNamed("a", 32, 0, func(s *metallb.BGPAdvertisementSpec) { s.IPAddressPoolSelectors = selectors("p") }),
		"interfaces":      l2Adv(metallb.L2AdvertisementSpec{Interfaces: list("no interface %d %d")}),
		"node selectors":  nodes,
		"aliases":         community,
	} {
		errs, warnings := Check(beside, Change{Resource: "tested", New: obj})
		if len(errs) == 0 || len(errs) > maxErrors+1 || len(warnings) > 2*maxWarnings {
			t.Errorf("%s: %d errors, %d warnings", name, len(errs), len(warnings))
		}
		if n := len(fmt.Sprint(errs, warnings)); n > 32<<10 {
			t.Errorf("%s: an answer of %d bytes", name, n)
		}
	}
	missing := advNamed("a", 32, 0, toPeers(list("p%d-%d")...), forPools(list("p%d-%d")...))
	errs, warnings := Check(beside, Change{Resource: "tested", New: missing})
	if len(errs) > 0 || len(warnings) == 0 || len(warnings) > 2*maxWarnings {
		t.Errorf("names of nothing: %v, %d warnings", errs, len(warnings))
	}
}
