package bgp

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/test/netns"
)

const (
	marker   = "198.51.100.1/32"
	marker6  = "2001:db8:1::1/128"
	patience = time.Minute // far above what anything takes
)

type change = func(*ingotv1.BgpSession)

// established waits until FRR has had a number of sessions with the neighbour, and has one now.
func (r *router) established(t *testing.T, neighbour string, times int) neighbourState {
	t.Helper()
	var n neighbourState
	netns.Eventually(t, patience, func() (err error) {
		if n, err = r.neighbour(neighbour); err == nil && (n.State != "Established" || n.Established != times) {
			err = fmt.Errorf("FRR's neighbour %s: %+v; want Established, %d times", neighbour, n, times)
		}
		return err
	})
	return n
}

// says waits until a session that is not up says something.
func says(t *testing.T, p *netns.Process, peer, words string) *ingotv1.SessionReport {
	t.Helper()
	var last *ingotv1.SessionReport
	netns.Eventually(t, patience, func() error {
		for _, s := range p.Report().GetSessions() {
			if s.GetPeer() == peer {
				last = s
			}
		}
		if last.GetState() == "Established" || !strings.Contains(last.GetLastError(), words) {
			return fmt.Errorf("session %v; want one that is down, with %q", last, words)
		}
		return nil
	})
	return last
}

func TestASNumbers(t *testing.T) {
	tests := map[string]struct {
		router  int    // AS number of the router
		expects string // whom the router expects
		with    change
		path    string // what it sees
	}{
		"myASN and peerASN": {routerASN, "64500", func(*ingotv1.BgpSession) {}, "64500"},
		"myASN and peerASN of 4 bytes": {4200000001, "4200000002", func(s *ingotv1.BgpSession) {
			s.MyAsn, s.PeerAsn = 4200000002, 4200000001
		}, "4200000002"},
		"iBGP":                         {nodeASN, "64500", func(s *ingotv1.BgpSession) { s.PeerAsn = nodeASN }, "Local"},
		"localASN":                     {routerASN, "64999", func(s *ingotv1.BgpSession) { s.LocalAsn = 64999 }, "64999"},
		"localASN of 4 bytes":          {routerASN, "4200000002", func(s *ingotv1.BgpSession) { s.LocalAsn = 4200000002 }, "4200000002"},
		"localASN that makes it iBGP":  {routerASN, "64512", func(s *ingotv1.BgpSession) { s.LocalAsn = routerASN }, "Local"},
		"dynamicASN external":          {routerASN, "64500", func(s *ingotv1.BgpSession) { s.PeerAsn, s.DynamicAsn = 0, "external" }, "64500"},
		"dynamicASN internal":          {nodeASN, "64500", func(s *ingotv1.BgpSession) { s.PeerAsn, s.DynamicAsn = 0, "internal" }, "Local"},
		"dynamicASN beside a localASN": {routerASN, "64999", func(s *ingotv1.BgpSession) { s.PeerAsn, s.DynamicAsn, s.LocalAsn = 0, "external", 64999 }, "64999"},
		"dynamicASN within a localASN": {routerASN, "64512", func(s *ingotv1.BgpSession) { s.PeerAsn, s.DynamicAsn, s.LocalAsn = 0, "internal", routerASN }, "Local"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := netns.New(t, "node")
			r := newRouter(t, node, 1, tt.router, neighbour("NODE4", tt.expects)...)
			p := node.Start(t)
			p.Apply(t, external("tor", r.address4, tt.with), routeItem(marker, to("tor")))

			netns.Eventually(t, patience, func() error {
				if got, err := r.path(marker, r.node4); err != nil || got.ASPath != tt.path || !got.Valid {
					return fmt.Errorf("path %+v, %v; want a valid one, AS path %s", got, err, tt.path)
				}
				return nil
			})
			if n := r.established(t, r.node4, 1); fmt.Sprint(n.RemoteAS) != tt.expects {
				t.Errorf("FRR has neighbour AS %d, want %s", n.RemoteAS, tt.expects)
			}
		})
	}
}

func TestADynamicASNumberOfTheWrongKindIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		wrong, right int
		says         string
	}{
		"internal": {routerASN, nodeASN, "the peer's AS number 64512 makes the session external, but dynamicASN is internal"},
		"external": {nodeASN, routerASN, "the peer's AS number 64500 makes the session internal, but dynamicASN is external"},
	}
	for kind, tt := range tests {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			node := netns.New(t, "node")
			r := newRouter(t, node, 1, tt.wrong, neighbour("NODE4", "64500")...)
			p := node.Start(t)
			p.Apply(t, external("tor", r.address4, func(s *ingotv1.BgpSession) { s.PeerAsn, s.DynamicAsn = 0, kind }), routeItem(marker, to("tor")))

			got := says(t, p, "tor", tt.says+": OPEN message error: bad peer AS (code 2, subcode 2)")
			if got.GetLastErrorCode() != 2 || got.GetLastErrorSubcode() != 2 || got.GetLastErrorReceived() {
				t.Errorf("report %v; want NOTIFICATION 2/2, sent by us", got)
			}

			// The router gets another number, which will do.
			lines := []string{"configure terminal", fmt.Sprintf("no router bgp %d", tt.wrong), fmt.Sprintf("router bgp %d", tt.right), "no bgp ebgp-requires-policy", "no bgp default ipv4-unicast"}
			lines = append(lines, neighbour(r.node4, "64500")...)
			if out, err := r.vtysh(lines...); err != nil {
				t.Fatal(out, err)
			}
			up(t, p, "tor")
			r.eventuallyPath(t, marker, r.node4)
		})
	}
}

func TestTheSourceAddress(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, slices.Concat(neighbour("10.77.1.99", "64500"), neighbour("fd77:1::99", "64500"))...)
	p := node.Start(t)
	source := func(a string) change { return func(s *ingotv1.BgpSession) { s.SourceAddress = a } }
	p.Apply(t, external("v4", r.address4, source("10.77.1.99")), external("v6", r.address6, source("fd77:1::99")), routeItem(marker, to("v4")), routeItem(marker6, to("v6")))

	says(t, p, "v4", "source address 10.77.1.99: it is on no interface of this node")
	says(t, p, "v6", "source address fd77:1::99: it is on no interface of this node")
	if got := p.Result("bgp-session/v4"); got.GetStatus() != ingotv1.ItemResult_STATUS_PENDING {
		t.Errorf("result %v, want it pending", got)
	}

	node.Configure(t, "eth1", "10.77.1.99/24", "fd77:1::99/64")
	for prefix, from := range map[string]string{marker: "10.77.1.99", marker6: "fd77:1::99"} {
		if got := r.eventuallyPath(t, prefix, from); !slices.Contains(got.NextHops, from) {
			t.Errorf("path %+v; want next hop %s", got, from)
		}
		if n := r.established(t, from, 1); n.HostForeign != from {
			t.Errorf("FRR is talking to %s, want %s", n.HostForeign, from)
		}
	}
}

func TestThePeerPort(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, neighbour("NODE4", "64500", "passive")...)
	r.Run(t, "nft", "add table ip t; add chain ip t port { type nat hook prerouting priority -100 ; }; add rule ip t port tcp dport 179 redirect to :1; add rule ip t port tcp dport 1790 redirect to :179")
	p := node.Start(t)

	p.Apply(t, external("tor", r.address4))
	says(t, p, "tor", "connection refused")
	p.Apply(t, external("tor", r.address4, func(s *ingotv1.BgpSession) { s.Port = 1790 }))
	r.established(t, r.node4, 1)
}

func TestTimers(t *testing.T) {
	tests := map[string]struct {
		with            change
		hold, keepalive int // FRR's, in milliseconds
		notice          string
	}{
		"default":  {func(s *ingotv1.BgpSession) { s.HoldTimeMs = nil }, 90_000, 30_000, ""},
		"holdTime": {func(s *ingotv1.BgpSession) { s.HoldTimeMs = proto.Uint32(12_000) }, 12_000, 4000, ""},
		"longer than the router's": {func(s *ingotv1.BgpSession) {
			s.HoldTimeMs, s.KeepaliveTimeMs = proto.Uint32(300_000), proto.Uint32(50_000)
		}, 180_000, 60_000, "the peer's hold time is 3m0s, so keepalives are sent every 1m0s instead of 50s"},
		"holdTime 0": {func(s *ingotv1.BgpSession) { s.HoldTimeMs, s.KeepaliveTimeMs = proto.Uint32(0), proto.Uint32(0) }, 180_000, 60_000,
			"a hold time of 0 cannot be sent: it is 18h12m15s, the longest there is, so the peer's own hold time is in force"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := netns.New(t, "node")
			r := newRouter(t, node, 1, routerASN, neighbour("NODE4", "64500")...)
			p := node.Start(t)
			p.Apply(t, external("tor", r.address4, tt.with))

			if n := r.established(t, r.node4, 1); n.Hold != tt.hold || n.Keepalive != tt.keepalive {
				t.Errorf("FRR: hold %d, keepalive %d; want %d, %d", n.Hold, n.Keepalive, tt.hold, tt.keepalive)
			}
			if s := up(t, p, "tor"); tt.notice == "" && len(s.GetNotices()) > 0 || tt.notice != "" && !slices.Contains(s.GetNotices(), tt.notice) {
				t.Errorf("notices %q, want %q", s.GetNotices(), tt.notice)
			}
		})
	}
	t.Run("keepaliveTime", func(t *testing.T) {
		t.Parallel()
		node := netns.New(t, "node")
		r := newRouter(t, node, 1, routerASN, neighbour("NODE4", "64500")...)
		node.Start(t).Apply(t, external("tor", r.address4, func(s *ingotv1.BgpSession) {
			s.HoldTimeMs, s.KeepaliveTimeMs = proto.Uint32(90_000), proto.Uint32(1000)
		}))
		before := r.established(t, r.node4, 1).Messages.KeepalivesReceived
		// With a third of the hold time there would be none for 30 s.
		netns.Eventually(t, 20*time.Second, func() error {
			if n := r.mustNeighbour(t, r.node4); n.Messages.KeepalivesReceived < before+4 {
				return fmt.Errorf("FRR got %d keepalives, want %d", n.Messages.KeepalivesReceived, before+4)
			}
			return nil
		})
	})
}

func TestAPeerWithoutHoldTimeIsShutUntilItHasOne(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, neighbour("NODE4", "64500", "timers 0 0")...)
	p := node.Start(t)
	p.Apply(t, external("tor", r.address4), routeItem(marker, to("tor")))
	says(t, p, "tor", "the peer wants no hold time (it sent 0)")

	if out, err := r.vtysh("configure terminal", fmt.Sprintf("router bgp %d", routerASN), "neighbor "+r.node4+" timers 3 9"); err != nil {
		t.Fatal(out, err)
	}
	r.eventuallyPath(t, marker, r.node4)
	up(t, p, "tor")
}

func TestTheRouterID(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, slices.Concat(neighbour("NODE4", "64500"), neighbour("NODE6", "64500"))...)
	p := node.Start(t)
	given := external("v4", r.address4, func(s *ingotv1.BgpSession) { s.RouterId = "192.0.2.200" })
	p.Apply(t, given, external("v6", r.address6))

	for from, want := range map[string]string{r.node4: "192.0.2.200", r.node6: r.node4} {
		if n := r.established(t, from, 1); n.RemoteRouterID != want {
			t.Errorf("router ID %s from %s, want %s", n.RemoteRouterID, from, want)
		}
	}
	// The same after a restart.
	p.Kill()
	node.Start(t).Apply(t, given, external("v6", r.address6))
	if n := r.established(t, r.node6, 2); n.RemoteRouterID != r.node4 {
		t.Errorf("router ID %s after a restart, want %s", n.RemoteRouterID, r.node4)
	}
}

func TestEBGPMultiHop(t *testing.T) {
	t.Parallel()
	node, middle := netns.New(t, "node"), netns.New(t, "middle")
	r := &router{Namespace: netns.New(t, "r"), address4: "10.78.0.2", address6: "fd78::2", node4: "10.77.0.11", node6: "fd77::11"}
	netns.Cable(t, node, "eth0", []string{"10.77.0.11/24", "fd77::11/64"}, middle, "eth0", []string{"10.77.0.1/24", "fd77::1/64"})
	netns.Cable(t, middle, "eth1", []string{"10.78.0.1/24", "fd78::1/64"}, r.Namespace, "eth0", []string{"10.78.0.2/24", "fd78::2/64"})
	middle.Run(t, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	for _, n := range []struct {
		namespace netns.Namespace
		v4, v6    string
	}{{node, "10.77.0.1", "fd77::1"}, {r.Namespace, "10.78.0.1", "fd78::1"}} {
		n.namespace.Run(t, "ip", "route", "add", "default", "via", n.v4)
		n.namespace.Run(t, "ip", "route", "add", "default", "via", n.v6)
	}
	r.serve(t, routerASN, slices.Concat(neighbour("NODE4", "64500", "ebgp-multihop"), neighbour("NODE6", "64500", "ebgp-multihop"))...)
	p := node.Start(t)
	dynamic := func(s *ingotv1.BgpSession) { s.PeerAsn, s.DynamicAsn = 0, "external" }
	items := func(with ...change) []*ingotv1.Item {
		return []*ingotv1.Item{external("v4", r.address4, with...), external("v6", r.address6, with...), routeItem(marker, to("v4")), routeItem(marker6, to("v6"))}
	}

	for name, with := range map[string][]change{"peerASN": nil, "dynamicASN": {dynamic}} {
		p.Apply(t, items(with...)...)
		for peer, gateway := range map[string]string{"v4": "10.77.0.1", "v6": "fd77::1"} {
			want := fmt.Sprintf("(the peer is behind %s: an external peer more than one hop away needs ebgpMultiHop)", gateway)
			if s := says(t, p, peer, want); s.GetState() == "Established" {
				t.Errorf("%s: established over two hops: %v", name, s)
			}
		}
	}

	p.Apply(t, items(func(s *ingotv1.BgpSession) { s.EbgpMultiHop = true })...)
	r.eventuallyPath(t, marker, r.node4)
	r.eventuallyPath(t, marker6, r.node6)
}

func TestGracefulRestartIsNegotiated(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, slices.Concat(neighbour("NODE4", "64500"), neighbour("NODE6", "64500"))...)
	p := node.Start(t)
	p.Apply(t, external("with", r.address4, func(s *ingotv1.BgpSession) { s.GracefulRestart = true }), external("without", r.address6))

	r.established(t, r.node4, 1)
	r.established(t, r.node6, 1)
	netns.Eventually(t, patience, func() error {
		with, without := r.mustNeighbour(t, r.node4).GracefulRestart, r.mustNeighbour(t, r.node6).GracefulRestart
		if with.Mode != "Restart" || with.Timers.Received != restartSeconds || without.Mode == "Restart" {
			return fmt.Errorf("with %+v, without %+v", with, without)
		}
		return nil
	})
}

func TestVRFsAreBoundToTheirDevice(t *testing.T) {
	t.Parallel()
	// Ordinary devices stand in for those of VRFs, which not every kernel has: binding to them is the same.
	node := netns.New(t, "node")
	var routers []*router
	for i, device := range []string{"eth1", "eth2"} {
		r := &router{Namespace: netns.New(t, device), address4: "10.77.1.1", address6: "fd77:1::1",
			node4: fmt.Sprintf("10.77.1.%d", 11+i), node6: fmt.Sprintf("fd77:1::%d", 11+i)}
		r.cable(t, node, device)
		r.serve(t, routerASN+i, neighbour("NODE4", "64500")...)
		routers = append(routers, r)
	}
	in := func(vrf string, asn uint32) change {
		return func(s *ingotv1.BgpSession) { s.Vrf, s.PeerAsn = vrf, asn }
	}
	p := node.Start(t)
	// One address, two routers; and the device of the second one is not there yet.
	p.Apply(t, external("one", "10.77.1.1", in("eth1", routerASN)), external("two", "10.77.1.1", in("red", routerASN+1)),
		routeItem("198.51.100.1/32", to("one")), routeItem("198.51.100.2/32", to("two")))
	routers[0].eventuallyPath(t, "198.51.100.1/32", "10.77.1.11")
	says(t, p, "two", `the node has no device "red" for the VRF`)
	if got := p.Result("bgp-session/two"); got.GetStatus() != ingotv1.ItemResult_STATUS_PENDING {
		t.Errorf("result %v, want it pending", got)
	}

	node.Run(t, "ip", "link", "set", "eth2", "name", "red")
	routers[1].eventuallyPath(t, "198.51.100.2/32", "10.77.1.12")
	for i, prefix := range []string{"198.51.100.2/32", "198.51.100.1/32"} {
		if s, err := routers[i].anyPath(prefix); err == nil {
			t.Errorf("router %d has the other's route: %+v", i+1, s)
		}
	}
	routers[0].established(t, "10.77.1.11", 1)
}

func TestDualStackAddressFamily(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, slices.Concat(neighbour("NODE4", "64500"), neighbour("NODE6", "64500"))...)
	p := node.Start(t)
	single := func(f ingotv1.Family) change {
		return func(s *ingotv1.BgpSession) { s.Families = []ingotv1.Family{f} }
	}
	routes := []*ingotv1.Item{routeItem(marker, to("v4", "v6")), routeItem(marker6, to("v4", "v6"))}
	p.Apply(t, append(routes, external("v4", r.address4, single(ingotv1.Family_FAMILY_IPV4_UNICAST)), external("v6", r.address6, single(ingotv1.Family_FAMILY_IPV6_UNICAST)))...)
	r.eventuallyPath(t, marker, r.node4)
	r.eventuallyPath(t, marker6, r.node6)
	for from, family := range map[string]string{r.node4: "ipv6Unicast", r.node6: "ipv4Unicast"} {
		if f := r.established(t, from, 1).Capabilities.Families[family]; f.Received || f.AdvertisedAndReceived {
			t.Errorf("%s is carried with %s, which it should not be", family, from)
		}
	}
	for prefix, from := range map[string]string{marker: r.node6, marker6: r.node4} {
		if s, err := r.path(prefix, from); err == nil {
			t.Errorf("%s over the other family's session: %+v", prefix, s)
		}
	}

	p.Apply(t, append(routes, external("v4", r.address4), external("v6", r.address6))...)
	for _, tt := range []struct{ prefix, from, hop string }{{marker6, r.node4, r.node6}, {marker, r.node6, r.node4}} {
		if got := r.eventuallyPath(t, tt.prefix, tt.from); !slices.Contains(got.NextHops, tt.hop) {
			t.Errorf("%s from %s: %+v; want next hop %s", tt.prefix, tt.from, got, tt.hop)
		}
	}
}

func TestIPv4OverIPv6WithoutAnIPv4Address(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, neighbour("NODE6", "64500", "capability extended-nexthop")...)
	node.Run(t, "ip", "addr", "del", r.node4+"/24", "dev", "eth1")
	// With the capability FRR advertises its prefix, too: the node shall not make itself another address of that.
	node.Run(t, "sysctl", "-qw", "net.ipv6.conf.eth1.accept_ra=0")
	node.Run(t, "ip", "addr", "flush", "dev", "eth1", "scope", "global", "dynamic")
	p := node.Start(t)
	p.Apply(t, external("tor", r.address6), routeItem(marker, to("tor")))
	if got := r.eventuallyPath(t, marker, r.node6); !slices.Contains(got.NextHops, r.node6) {
		t.Errorf("path %+v; want next hop %s (RFC 8950)", got, r.node6)
	}
}
