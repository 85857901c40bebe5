package bgp

import (
	"strings"
	"testing"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// TestRouteThatNoMessageCanCarryIsRefused: gobgp would panic.
func TestRouteThatNoMessageCanCarryIsRefused(t *testing.T) {
	with := func(standard, large int) *ingotv1.BgpRoute {
		ad := &ingotv1.BgpAdvertisement{Peers: []string{"tor1"}}
		for i := range standard {
			ad.Communities = append(ad.Communities, uint32(i))
		}
		for i := range large {
			ad.LargeCommunities = append(ad.LargeCommunities, &ingotv1.LargeCommunity{LocalData1: uint32(i)})
		}
		return &ingotv1.BgpRoute{Prefix: "192.0.2.1/32", Advertisements: []*ingotv1.BgpAdvertisement{ad}}
	}
	for _, r := range []*ingotv1.BgpRoute{with(950, 0), with(0, 316)} {
		if _, err := parseRoute(r); err != nil {
			t.Errorf("as many as there is room for: %v", err)
		}
	}
	for _, r := range []*ingotv1.BgpRoute{with(951, 0), with(0, 317), with(476, 159)} {
		if _, err := parseRoute(r); err == nil || !strings.Contains(err.Error(), "a message has room for 3800") {
			t.Errorf("more than there is room for: %v", err)
		}
	}
}
