package bgp

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/test/netns"
)

// TestEveryAttributeReachesTheRouter: over an external and an internal session, one route for each attribute.
func TestEveryAttributeReachesTheRouter(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	out := newRouter(t, node, 1, routerASN, neighbour("NODE4", "64500")...)
	in := newRouter(t, node, 2, nodeASN, neighbour("NODE4", "64500")...)
	p := node.Start(t)

	tests := []struct {
		name     string
		ad       ingotv1.BgpAdvertisement
		out, in  seen
		prefixes []string
	}{
		{name: "nothing", out: seen{ASPath: "64500", MED: -1}, in: seen{ASPath: "Local", LocalPref: 100, MED: -1}},
		{name: "localPref", ad: ingotv1.BgpAdvertisement{LocalPref: 4294967295},
			out: seen{ASPath: "64500", MED: -1}, in: seen{ASPath: "Local", LocalPref: 4294967295, MED: -1}},
		{name: "med", ad: ingotv1.BgpAdvertisement{Med: new(uint32(4294967295))},
			out: seen{ASPath: "64500", MED: 4294967295}, in: seen{ASPath: "Local", LocalPref: 100, MED: 4294967295}},
		{name: "med of 0", ad: ingotv1.BgpAdvertisement{Med: new(uint32)},
			out: seen{ASPath: "64500"}, in: seen{ASPath: "Local", LocalPref: 100}},
		{name: "asPathPrepend", ad: ingotv1.BgpAdvertisement{AsPathPrepend: 10},
			out: seen{ASPath: strings.Repeat("64500 ", 10) + "64500", MED: -1}, in: seen{ASPath: "Local", LocalPref: 100, MED: -1}},
		{name: "communities", ad: ingotv1.BgpAdvertisement{Communities: []uint32{64500<<16 | 1, 0xffffff04}},
			out: seen{ASPath: "64500", MED: -1, Communities: "64500:1 no-peer"}, in: seen{ASPath: "Local", LocalPref: 100, MED: -1, Communities: "64500:1 no-peer"}},
		{name: "large communities", ad: ingotv1.BgpAdvertisement{LargeCommunities: []*ingotv1.LargeCommunity{{GlobalAdministrator: 4294967295, LocalData1: 1, LocalData2: 2}}},
			out: seen{ASPath: "64500", MED: -1, Large: "4294967295:1:2"}, in: seen{ASPath: "Local", LocalPref: 100, MED: -1, Large: "4294967295:1:2"}},
	}
	items := []*ingotv1.Item{external("out", out.address4), external("in", in.address4, func(s *ingotv1.BgpSession) { s.PeerAsn = nodeASN })}
	for i := range tests {
		tt := &tests[i]
		tt.ad.Peers = []string{"out", "in"}
		tt.prefixes = []string{fmt.Sprintf("198.51.100.%d/32", i), fmt.Sprintf("2001:db8:1::%d/128", i)}
		for _, prefix := range tt.prefixes {
			items = append(items, routeItem(prefix, &tt.ad))
		}
	}
	p.Apply(t, items...)
	for i := range tests {
		tt := &tests[i]
		for _, prefix := range tt.prefixes {
			for _, side := range []struct {
				r    *router
				want seen
			}{{out, tt.out}, {in, tt.in}} {
				got := side.r.eventuallyPath(t, prefix, side.r.node4)
				got.NextHops, got.Valid = nil, false
				if diff := cmp.Diff(side.want, got); diff != "" {
					t.Errorf("%s: %s at %s (-want +got):\n%s", tt.name, prefix, side.r.address4, diff)
				}
			}
		}
	}

	// What one of the neighbours is not shown is no reason to tell it anything.
	before := []int{out.mustNeighbour(t, out.node4).Messages.UpdatesReceived, in.mustNeighbour(t, in.node4).Messages.UpdatesReceived}
	items[2] = routeItem(tests[0].prefixes[0], &ingotv1.BgpAdvertisement{Peers: []string{"out", "in"}, LocalPref: 7})
	items[4] = routeItem(tests[1].prefixes[0], &ingotv1.BgpAdvertisement{Peers: []string{"out", "in"}, LocalPref: 4294967295, AsPathPrepend: 1})
	p.Apply(t, items...)
	netns.Eventually(t, patience, func() error {
		a, err := in.path(tests[0].prefixes[0], in.node4)
		if err != nil || a.LocalPref != 7 {
			return fmt.Errorf("inside: %+v, %v", a, err)
		}
		b, err := out.path(tests[1].prefixes[0], out.node4)
		if err != nil || b.ASPath != "64500 64500" {
			return fmt.Errorf("outside: %+v, %v", b, err)
		}
		return nil
	})
	after := []int{out.mustNeighbour(t, out.node4).Messages.UpdatesReceived, in.mustNeighbour(t, in.node4).Messages.UpdatesReceived}
	if got := []int{after[0] - before[0], after[1] - before[1]}; !slices.Equal(got, []int{1, 1}) {
		t.Errorf("UPDATEs received outside and inside: %v, want one each", got)
	}
}
