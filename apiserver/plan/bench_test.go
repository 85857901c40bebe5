package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/segment"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// benchmark plans 2,000 Services on so many nodes from nothing but the decisions.
func benchmark(b *testing.B, nodes int, segments bool, arrange func(f *fixture, i int, ip string)) {
	f := newFixture()
	for i := range nodes {
		f.node(fmt.Sprintf("node-%d", i))
	}
	f.pool("bgp", "10.0.0.0/17")
	f.pool("l2", "10.0.128.0/17")
	f.peer("tor1", "172.20.0.1")
	f.peer("tor2", "172.20.0.2")
	f.bgp("bgp", func(s *metallb.BGPAdvertisementSpec) { s.IPAddressPools = []string{"bgp"} })
	f.l2("l2", func(s *metallb.L2AdvertisementSpec) { s.IPAddressPools = []string{"l2"} })
	for i := range 2000 {
		arrange(f, i, fmt.Sprintf("10.0.%d.%d", i/200+128*(i%2), i%200))
	}
	if segments {
		f.Segments = watching(f, true)
	}
	f.settle(b)
	b.ReportAllocs()
	for b.Loop() {
		Plan(f.Input)
	}
}

func BenchmarkPlanCluster(b *testing.B) {
	benchmark(b, 50, false, func(f *fixture, i int, ip string) { f.service(fmt.Sprint("svc-", i), ip) })
}

func BenchmarkPlanLocal(b *testing.B) {
	benchmark(b, 50, false, func(f *fixture, i int, ip string) {
		f.localService(fmt.Sprint("svc-", i), ip, fmt.Sprint("node-", i%50), fmt.Sprint("node-", i*7%50), fmt.Sprint("node-", i*13%50))
	})
}

// BenchmarkPlanWatched is BenchmarkPlanCluster with verdicts on real reports, and for many nodes.
func BenchmarkPlanWatched(b *testing.B) {
	for _, nodes := range []int{50, 250, 1000} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			benchmark(b, nodes, true, func(f *fixture, i int, ip string) { f.service(fmt.Sprint("svc-", i), ip) })
		})
	}
}

// BenchmarkPlanPreferred has an advertisement that prefers a node, and BenchmarkPlanUnreached a network that no node reaches
// any more: nobody is fit, and everybody stays where it is.
func BenchmarkPlanPreferred(b *testing.B) {
	manyNodes(b, func(f *fixture) {
		f.Config.L2Advertisements[0].Spec.PreferredNodeSelectors = []metallb.PreferredNodeSelector{{Weight: 10, Preference: selector("kubernetes.io/hostname", "node-7")}}
		f.Segments = watching(f, true)
	}, func(*fixture) {})
}

func BenchmarkPlanUnreached(b *testing.B) {
	manyNodes(b, func(f *fixture) { f.Segments = watching(f, true) }, func(f *fixture) { f.Segments = watching(f, false) })
}

// manyNodes plans 1,000 Services of layer 2 on so many nodes, after a change of a plan that was made with arrange.
func manyNodes(b *testing.B, arrange, change func(f *fixture)) {
	for _, nodes := range []int{50, 1000} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			f := newFixture()
			for i := range nodes {
				f.node(fmt.Sprintf("node-%d", i))
			}
			f.pool("l2", "10.0.128.0/17")
			f.l2("l2", func(s *metallb.L2AdvertisementSpec) { s.IPAddressPools = []string{"l2"} })
			for i := range 1000 {
				f.service(fmt.Sprint("svc-", i), fmt.Sprintf("10.0.%d.%d", 128+i/200, i%200))
			}
			arrange(f)
			f.settle(b)
			change(f)
			b.ReportAllocs()
			for b.Loop() {
				Plan(f.Input)
			}
		})
	}
}

// watching judges nodes with an interface in the network of the addresses, where all is well, or all of those are down.
func watching(f *fixture, up bool) *segment.Verdicts {
	var all []segment.Node
	for i, n := range f.Nodes {
		all = append(all, segment.Node{Name: n.Name, Connected: true, Links: []*ingotv1.LinkReport{
			{Name: "eth0", Mac: fmt.Sprintf("02:00:00:00:%02x:%02x", i/256, i%256), Up: true, Enabled: true, Carrier: true, Addresses: []string{fmt.Sprintf("172.16.%d.%d/16", i/256, i%256)}},
			{Name: "eth1", Mac: fmt.Sprintf("02:00:00:01:%02x:%02x", i/256, i%256), Up: up, Enabled: true, Carrier: up, Addresses: []string{fmt.Sprintf("10.0.%d.%d/16", 240+i/256, i%256)}},
		}})
	}
	var m segment.Memory
	v, _ := m.Judge(time.Unix(0, 0), all)
	return v
}
