package plan

import (
	"fmt"
	"testing"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// benchmark plans 2,000 Services on 50 nodes from nothing but the decisions.
func benchmark(b *testing.B, arrange func(f *fixture, i int, ip string)) {
	f := newFixture()
	for i := range 50 {
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
	f.settle(b)
	b.ReportAllocs()
	for b.Loop() {
		Plan(f.Input)
	}
}

func BenchmarkPlanCluster(b *testing.B) {
	benchmark(b, func(f *fixture, i int, ip string) { f.service(fmt.Sprint("svc-", i), ip) })
}

func BenchmarkPlanLocal(b *testing.B) {
	benchmark(b, func(f *fixture, i int, ip string) {
		f.localService(fmt.Sprint("svc-", i), ip, fmt.Sprint("node-", i%50), fmt.Sprint("node-", i*7%50), fmt.Sprint("node-", i*13%50))
	})
}
