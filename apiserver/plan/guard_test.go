package plan

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

func guardOf(out Output, node string) *ingotv1.BgpGuard {
	return out.Nodes[node].Items[ingotv1.Lane_LANE_ROUTING][GuardID].GetBgpGuard()
}

func TestGuard(t *testing.T) {
	f := newFixture("node-a", "node-b")
	f.peer("tor", "192.0.2.1", func(s *metallb.BGPPeerSpec) { s.NodeSelectors = onNodes("node-a") })
	f.pool("web", "10.0.0.0/25", "10.0.0.128/25", "2001:db8::/64")
	f.pool("uneven", "10.1.0.1-10.1.0.100")
	f.pool("layer2-only", "10.2.0.0/24")
	f.bgp("ad", func(s *metallb.BGPAdvertisementSpec) { s.IPAddressPools = []string{"web", "uneven"} })
	f.bgp("aggregate", lengths(27, 128), func(s *metallb.BGPAdvertisementSpec) { s.IPAddressPools = []string{"uneven"} })
	f.l2("l2", func(s *metallb.L2AdvertisementSpec) { s.IPAddressPools = []string{"layer2-only"} })
	for i := range 3 {
		f.service(fmt.Sprintf("s%d", i), fmt.Sprintf("10.0.0.%d", i))
	}
	f.service("other", "10.1.0.1") // a route of its own, and an aggregate that begins outside of the pool
	out := Plan(f.Input)
	want := []string{"10.0.0.0/24", "10.1.0.0/25", "2001:db8::/64"}
	g := guardOf(out, "node-a")
	if diff := cmp.Diff(want, g.GetRanges()); diff != "" {
		t.Errorf("ranges (-want +got):\n%s", diff)
	}
	if g.GetRoutes() != 5 {
		t.Errorf("%d routes, want 5", g.GetRoutes())
	}
	if guardOf(out, "node-b") != nil {
		t.Error("a node without sessions has a guard")
	}
}

// TestGuardOfManyRangesStaysSmall: at the price of being wider.
func TestGuardOfManyRangesStaysSmall(t *testing.T) {
	f := newFixture("node-a")
	f.peer("tor", "192.0.2.1")
	f.bgp("ad")
	for i := range maxGuardRanges + 500 {
		f.pool(fmt.Sprintf("p%d", i), fmt.Sprintf("10.%d.%d.%d/32", i>>14, i>>6&255, i<<2&255))
	}
	g := guardOf(Plan(f.Input), "node-a")
	if n := len(g.GetRanges()); n == 0 || n > maxGuardRanges {
		t.Errorf("%d ranges", n)
	}
}
