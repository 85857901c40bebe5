package bgp

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/test/netns"
)

func TestWhatMeansNothingOnTheWireResetsNothing(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, neighbour("NODE4", "64500")...)
	p := node.Start(t)
	unset := func(s *ingotv1.BgpSession) { s.HoldTimeMs = nil }
	p.Apply(t, external("tor", r.address4, unset))
	r.established(t, r.node4, 1)

	for i, tt := range []struct {
		name string
		with change
	}{
		{"the default port", func(s *ingotv1.BgpSession) { s.Port = 179 }},
		{"the default hold time", func(s *ingotv1.BgpSession) { s.HoldTimeMs = proto.Uint32(90_000) }},
		{"the default keepalive time", func(s *ingotv1.BgpSession) {
			s.HoldTimeMs, s.KeepaliveTimeMs = proto.Uint32(90_000), proto.Uint32(30_000)
		}},
		{"the connect time", func(s *ingotv1.BgpSession) { s.ConnectTimeMs = proto.Uint32(7000) }},
		{"the router ID in use", func(s *ingotv1.BgpSession) { s.RouterId = r.node4 }},
		{"the order of families", func(s *ingotv1.BgpSession) { slices.Reverse(s.Families) }},
		{"nothing", func(*ingotv1.BgpSession) {}},
	} {
		prefix := fmt.Sprintf("198.51.100.%d/32", i)
		p.Apply(t, external("tor", r.address4, unset, tt.with), routeItem(prefix, to("tor")))
		r.eventuallyPath(t, prefix, r.node4)
		if n := r.mustNeighbour(t, r.node4); n.Established != 1 {
			t.Errorf("%s: established %d times, want once", tt.name, n.Established)
		}
	}
}

func TestAParameterResetsItsSessionAlone(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, slices.Concat(neighbour("NODE4", "64500"), neighbour("NODE6", "64500"))...)
	p := node.Start(t)
	apply := func(with change) { p.Apply(t, external("changed", r.address4, with), external("other", r.address6)) }
	apply(func(*ingotv1.BgpSession) {})
	r.established(t, r.node4, 1)
	r.established(t, r.node6, 1)

	for i, tt := range []struct {
		name string
		with change
	}{
		{"holdTime", func(s *ingotv1.BgpSession) { s.HoldTimeMs = proto.Uint32(12_000) }},
		{"keepaliveTime", func(s *ingotv1.BgpSession) { s.KeepaliveTimeMs = proto.Uint32(2000) }},
		{"routerID", func(s *ingotv1.BgpSession) { s.RouterId = "192.0.2.200" }},
		{"enableGracefulRestart", func(s *ingotv1.BgpSession) { s.GracefulRestart = true }},
		{"ebgpMultiHop", func(s *ingotv1.BgpSession) { s.EbgpMultiHop = true }},
		{"sourceAddress", func(s *ingotv1.BgpSession) { s.SourceAddress = r.node4 }},
		{"dynamicASN", func(s *ingotv1.BgpSession) { s.PeerAsn, s.DynamicAsn = 0, "external" }},
		{"families", func(s *ingotv1.BgpSession) { s.Families = s.Families[:1] }},
		{"vrf", func(s *ingotv1.BgpSession) { s.Vrf = "eth1" }},
	} {
		apply(tt.with)
		r.established(t, r.node4, i+2)
		if n := r.mustNeighbour(t, r.node6); n.Established != 1 || n.State != "Established" {
			t.Errorf("%s: the other session: %+v", tt.name, n)
		}
	}
}

func TestANewPasswordResetsItsSessionAlone(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, slices.Concat(neighbour("NODE4", "64500", "password old"), neighbour("NODE6", "64500", "password other"))...)
	p := node.Start(t)
	password := func(s string) change { return func(b *ingotv1.BgpSession) { b.Password = s } }
	p.Apply(t, external("rotated", r.address4, password("old")), external("other", r.address6, password("other")))
	r.established(t, r.node4, 1)
	r.established(t, r.node6, 1)

	if out, err := r.vtysh("configure terminal", fmt.Sprintf("router bgp %d", routerASN), "neighbor "+r.node4+" password new"); err != nil {
		t.Fatal(out, err)
	}
	p.Apply(t, external("rotated", r.address4, password("new")), external("other", r.address6, password("other")))
	r.established(t, r.node4, 2)
	if n := r.mustNeighbour(t, r.node6); n.Established != 1 || n.State != "Established" {
		t.Errorf("the other session: %+v", n)
	}
}
