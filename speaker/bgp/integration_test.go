package bgp

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/test/netns"
)

const (
	nodeASN   = 64500
	routerASN = 64512
)

// external is a session over eBGP with both families.
func external(peer, address string, with ...func(*ingotv1.BgpSession)) *ingotv1.Item {
	return sessionItem(peer, append([]func(*ingotv1.BgpSession){func(s *ingotv1.BgpSession) {
		s.Address, s.MyAsn, s.PeerAsn = address, nodeASN, routerASN
		s.HoldTimeMs = proto.Uint32(30_000)
		s.Families = []ingotv1.Family{ingotv1.Family_FAMILY_IPV4_UNICAST, ingotv1.Family_FAMILY_IPV6_UNICAST}
	}}, with...)...)
}

// up waits until the process reports a session as established.
func up(t *testing.T, p *netns.Process, peer string) *ingotv1.SessionReport {
	t.Helper()
	return reported(t, p, peer, func(s *ingotv1.SessionReport) bool { return s.GetState() == "Established" })
}

func reported(t *testing.T, p *netns.Process, peer string, is func(*ingotv1.SessionReport) bool) *ingotv1.SessionReport {
	t.Helper()
	var found *ingotv1.SessionReport
	netns.Eventually(t, patience, func() error {
		for _, s := range p.Report().GetSessions() {
			if s.GetPeer() == peer && is(s) {
				found = s
				return nil
			}
		}
		return fmt.Errorf("session with %s: %v", peer, p.Report().GetSessions())
	})
	return found
}

func TestBothFamiliesReachTheRouterOverBothFamilies(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, slices.Concat(neighbour("NODE4", "64500"), neighbour("NODE6", "64500"))...)
	p := node.Start(t)

	p.Apply(t, external("v4", r.address4), external("v6", r.address6),
		routeItem("198.51.100.1/32", to("v4", "v6")), routeItem("2001:db8:1::1/128", to("v4", "v6")))

	for _, tt := range []struct{ prefix, from, hop string }{
		{"198.51.100.1/32", r.node4, r.node4},
		{"198.51.100.1/32", r.node6, r.node4},
		{"2001:db8:1::1/128", r.node4, r.node6},
		{"2001:db8:1::1/128", r.node6, r.node6},
	} {
		got := r.eventuallyPath(t, tt.prefix, tt.from)
		if !slices.Contains(got.NextHops, tt.hop) || got.ASPath != "64500" {
			t.Errorf("%s from %s: %+v; want next hop %s, AS path 64500", tt.prefix, tt.from, got, tt.hop)
		}
	}
	netns.Eventually(t, patience, func() error {
		for prefix, from := range map[string]string{"198.51.100.1/32": r.node6, "2001:db8:1::1/128": r.node4} {
			if s, err := r.path(prefix, from); err != nil || !s.Valid {
				return fmt.Errorf("%s from %s: %+v, %v; want it valid", prefix, from, s, err)
			}
		}
		return nil
	})
	if s := up(t, p, "v4"); s.GetAdvertised() != 2 {
		t.Errorf("advertised %d, want 2", s.GetAdvertised())
	}
}

func TestEachPeerSeesItsOwnAttributes(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r1 := newRouter(t, node, 1, routerASN, neighbour("NODE4", "64500")...)
	r2 := newRouter(t, node, 2, nodeASN, neighbour("NODE4", "64500")...)
	p := node.Start(t)

	inside := external("inside", r2.address4, func(s *ingotv1.BgpSession) { s.PeerAsn = nodeASN })
	p.Apply(t, external("outside", r1.address4), inside, routeItem("198.51.100.1/32",
		&ingotv1.BgpAdvertisement{Peers: []string{"outside"}, LocalPref: 200, Communities: []uint32{64500<<16 | 1},
			LargeCommunities: []*ingotv1.LargeCommunity{{GlobalAdministrator: 64500, LocalData1: 1, LocalData2: 2}}},
		&ingotv1.BgpAdvertisement{Peers: []string{"inside"}, LocalPref: 150, Communities: []uint32{64500<<16 | 2}}),
		routeItem("198.51.100.2/32", to("inside")))

	want1 := seen{NextHops: []string{r1.node4}, Communities: "64500:1", Large: "64500:1:2", ASPath: "64500", Valid: true, MED: -1}
	r1.eventuallySees(t, "198.51.100.1/32", r1.node4, want1)
	want2 := seen{NextHops: []string{r2.node4}, Communities: "64500:2", LocalPref: 150, ASPath: "Local", Valid: true, MED: -1}
	r2.eventuallySees(t, "198.51.100.1/32", r2.node4, want2)
	want3 := seen{NextHops: []string{r2.node4}, LocalPref: 100, ASPath: "Local", Valid: true, MED: -1}
	r2.eventuallySees(t, "198.51.100.2/32", r2.node4, want3) // without a local preference
	if s, err := r1.path("198.51.100.2/32", r1.node4); err == nil {
		t.Errorf("the other peer sees it too: %+v", s)
	}
}

func TestMD5(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, slices.Concat(
		neighbour("NODE4", "64500", "password right"), neighbour("NODE6", "64500", "password right"))...)
	p := node.Start(t)
	password := func(s string) func(*ingotv1.BgpSession) {
		return func(b *ingotv1.BgpSession) { b.Password = s }
	}

	p.Apply(t, external("v4", r.address4, password("wrong")), external("v6", r.address6, password("right")))
	up(t, p, "v6")
	says(t, p, "v4", "a peer with another password")

	p.Apply(t, external("v4", r.address4, password("right")), external("v6", r.address6, password("right")))
	up(t, p, "v4")
	if n := r.mustNeighbour(t, r.node6); n.Established != 1 {
		t.Errorf("the other session was established %d times, want once", n.Established)
	}
}

func TestOnlyDifferencesAreSent(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, neighbour("NODE4", "64500")...)
	p := node.Start(t)
	items := []*ingotv1.Item{external("tor", r.address4)}
	for i := range 20 {
		items = append(items, routeItem(fmt.Sprintf("198.51.100.%d/32", i), to("tor")))
	}
	p.Apply(t, items...)
	for i := range 20 {
		r.eventuallyPath(t, fmt.Sprintf("198.51.100.%d/32", i), r.node4)
	}
	before := r.mustNeighbour(t, r.node4).Messages.UpdatesReceived

	// The same again, thrice, and then one more: it is the only UPDATE that the router gets.
	for range 3 {
		p.Apply(t, items...)
	}
	p.Apply(t, append(items, routeItem("203.0.113.1/32", to("tor")))...)
	r.eventuallyPath(t, "203.0.113.1/32", r.node4)

	after := r.mustNeighbour(t, r.node4)
	if got := after.Messages.UpdatesReceived - before; got != 1 || after.Established != 1 {
		t.Errorf("%d UPDATEs, %d sessions; want 1, 1", got, after.Established)
	}
}

func TestARemovedSessionIsClosedWithCease(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, slices.Concat(neighbour("NODE4", "64500"), neighbour("NODE6", "64500"))...)
	p := node.Start(t)
	p.Apply(t, external("v4", r.address4), external("v6", r.address6), routeItem("198.51.100.1/32", to("v4", "v6")))
	r.eventuallyPath(t, "198.51.100.1/32", r.node4)
	r.eventuallyPath(t, "198.51.100.1/32", r.node6)

	p.Apply(t, external("v6", r.address6), routeItem("198.51.100.1/32", to("v6")))

	r.eventuallyGone(t, "198.51.100.1/32", r.node4)
	netns.Eventually(t, patience, func() error {
		out, err := r.vtysh("show bgp neighbors " + r.node4)
		if err == nil && !strings.Contains(out, "Cease/Peer De-configured") {
			err = fmt.Errorf("no CEASE in %s", out)
		}
		return err
	})
	if n := r.mustNeighbour(t, r.node6); n.Established != 1 || n.State != "Established" {
		t.Errorf("the other session: %+v", n)
	}
}

func TestTheRouterForgetsTheRoutesOfAKilledSpeaker(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, neighbour("NODE4", "64500")...)
	items := []*ingotv1.Item{external("tor", r.address4), routeItem("198.51.100.1/32", to("tor"))}
	p := node.Start(t)
	p.Apply(t, items...)
	r.eventuallyPath(t, "198.51.100.1/32", r.node4)

	p.Kill()
	r.eventuallyGone(t, "198.51.100.1/32", r.node4)

	node.Start(t).Restore(t, items...)
	r.eventuallyPath(t, "198.51.100.1/32", r.node4)
}

func TestGracefulRestartKeepsTheRoutesOfAKilledSpeaker(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, append([]string{"bgp graceful-restart"}, neighbour("NODE4", "64500")...)...)
	graceful := func(s *ingotv1.BgpSession) { s.GracefulRestart = true }
	items := []*ingotv1.Item{external("tor", r.address4, graceful), routeItem("198.51.100.1/32", to("tor"))}
	p := node.Start(t)
	p.Apply(t, items...)
	r.eventuallyPath(t, "198.51.100.1/32", r.node4)
	netns.Eventually(t, patience, func() error {
		out, err := r.vtysh("show bgp neighbors " + r.node4)
		if err == nil && !strings.Contains(out, "Remote GR Mode: Restart") {
			err = fmt.Errorf("graceful restart was not negotiated: %s", out)
		}
		return err
	})

	// The route must be there whenever one looks, from the kill to the new session.
	p.Kill()
	q := node.Start(t)
	q.Restore(t, items...)
	netns.Eventually(t, patience, func() error {
		if _, err := r.path("198.51.100.1/32", r.node4); err != nil {
			t.Fatalf("the router dropped the route: %v", err)
		}
		if n := r.mustNeighbour(t, r.node4); n.Established != 2 || n.State != "Established" {
			return fmt.Errorf("session: %+v", n)
		}
		return nil
	})
	up(t, q, "tor")
	r.eventuallyPath(t, "198.51.100.1/32", r.node4)
}

func TestALostSessionComesBackAndSaysWhyItWasLost(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, neighbour("NODE4", "64500")...)
	p := node.Start(t)
	p.Apply(t, external("tor", r.address4), routeItem("198.51.100.1/32", to("tor")))
	r.eventuallyPath(t, "198.51.100.1/32", r.node4)

	if _, err := r.vtysh("clear bgp " + r.node4); err != nil {
		t.Fatal(err)
	}

	// At once: should FRR not take us back at the first attempt, that is the last error then.
	want := "the peer closed the session: cease: administrative reset (code 6, subcode 4)"
	reported(t, p, "tor", func(s *ingotv1.SessionReport) bool { return s.GetLastError() == want })
	r.established(t, r.node4, 2)
	r.eventuallyPath(t, "198.51.100.1/32", r.node4)
}

func TestTheWrongASNumberIsReported(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, neighbour("NODE4", "64500")...)
	p := node.Start(t)
	dynamic := func(s *ingotv1.BgpSession) { s.PeerAsn, s.DynamicAsn = 0, "internal" }
	p.Apply(t, external("tor", r.address4, func(s *ingotv1.BgpSession) { s.PeerAsn = 64999 }))
	reported(t, p, "tor", func(s *ingotv1.SessionReport) bool {
		return strings.Contains(s.GetLastError(), "bad peer AS (code 2, subcode 2)")
	})

	p.Apply(t, external("tor", r.address4, dynamic))
	reported(t, p, "tor", func(s *ingotv1.SessionReport) bool {
		return strings.Contains(s.GetLastError(), "makes the session external, but dynamicASN is internal")
	})

	p.Apply(t, external("tor", r.address4, dynamic, func(s *ingotv1.BgpSession) { s.DynamicAsn = "external" }))
	up(t, p, "tor")
}
