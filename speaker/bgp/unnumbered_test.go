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

// unnumberedNeighbour returns the lines for a neighbour on eth0.
func unnumberedNeighbour(kind string, more ...string) []string {
	lines := neighbour("eth0", kind, more...)
	lines[0] = "neighbor eth0 interface remote-as " + kind
	return lines
}

// unnumberedLink is a node and a router with nothing but link-local addresses between them.
func unnumberedLink(t *testing.T, asn int, lines ...string) (netns.Namespace, *router) {
	t.Helper()
	node := netns.New(t, "node")
	r := &router{Namespace: netns.New(t, "r"), address4: "192.0.2.1"}
	netns.Cable(t, node, "eth1", nil, r.Namespace, "eth0", nil)
	r.serve(t, asn, lines...)
	return node, r
}

func over(device string) change {
	return func(s *ingotv1.BgpSession) { s.Address, s.Interface = "", device }
}

// forwards waits until the router's kernel sends a prefix to a link-local address over eth0.
func (r *router) forwards(t *testing.T, prefix, hop string) {
	t.Helper()
	family := "-4"
	if strings.Contains(prefix, ":") {
		family = "-6"
	}
	prefix, _, _ = strings.Cut(prefix, "/")
	netns.Eventually(t, patience, func() error {
		out := r.Run(t, "ip", family, "route", "show", prefix)
		if !strings.Contains(out, hop+" dev eth0") {
			return fmt.Errorf("routes to %s: %q; want one by %s", prefix, out, hop)
		}
		return nil
	})
}

// linkLocal returns an interface's link-local address, once it has one.
func linkLocal(t *testing.T, n netns.Namespace, device string) string {
	t.Helper()
	return n.LinkLocal(t, device).String()
}

func TestUnnumbered(t *testing.T) {
	for name, tt := range map[string]struct {
		kind string
		asn  int
		with change
		path string
	}{
		"eBGP":       {"external", routerASN, func(*ingotv1.BgpSession) {}, "64500"},
		"iBGP":       {"internal", nodeASN, func(s *ingotv1.BgpSession) { s.PeerAsn = nodeASN }, "Local"},
		"dynamicASN": {"64500", routerASN, func(s *ingotv1.BgpSession) { s.PeerAsn, s.DynamicAsn = 0, "external" }, "64500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node, r := unnumberedLink(t, tt.asn, unnumberedNeighbour(tt.kind)...)
			p := node.Start(t)
			p.Apply(t, external("tor", "", over("eth1"), tt.with), routeItem(marker, to("tor")), routeItem(marker6, to("tor")))

			own := linkLocal(t, node, "eth1")
			for _, prefix := range []string{marker, marker6} {
				got := r.eventuallyPath(t, prefix, "")
				if !slices.Contains(got.NextHops, own) || got.ASPath != tt.path {
					t.Errorf("%s: %+v; want next hop %s, AS path %s", prefix, got, own, tt.path)
				}
				r.forwards(t, prefix, own)
			}
			s := up(t, p, "tor")
			if want := linkLocal(t, r.Namespace, "eth0"); s.GetAddress() != want || s.GetLocalAddress() != own || s.GetInterface() != "eth1" || len(s.GetNotices()) > 0 {
				t.Errorf("report %v; want address %s, local address %s, interface eth1 and no notices", s, want, own)
			}
		})
	}
}

func TestUnnumberedWithAPassword(t *testing.T) {
	t.Parallel()
	node, r := unnumberedLink(t, routerASN, unnumberedNeighbour("external", "password right")...)
	p := node.Start(t)
	p.Apply(t, external("tor", "", over("eth1"), func(s *ingotv1.BgpSession) { s.Password = "right" }), routeItem(marker, to("tor")))
	r.eventuallyPath(t, marker, "")
}

func TestUnnumberedRecoversByItself(t *testing.T) {
	t.Parallel()
	node, r := unnumberedLink(t, routerASN, unnumberedNeighbour("external")...)
	p := node.Start(t)
	// A router whose own address goes away learns by the hold time that the session is over.
	short := func(s *ingotv1.BgpSession) { s.HoldTimeMs = proto.Uint32(9000) }

	// The interface comes later.
	p.Apply(t, external("tor", "", over("later"), short), routeItem(marker, to("tor")))
	says(t, p, "tor", `the node has no interface "later"`)
	if got := p.Result("bgp-session/tor"); got.GetStatus() != ingotv1.ItemResult_STATUS_PENDING {
		t.Errorf("result %v, want it pending", got)
	}
	node.Run(t, "ip", "link", "set", "eth1", "name", "later")
	up(t, p, "tor")
	r.forwards(t, marker, linkLocal(t, node, "later"))

	// It is renamed, and gets its name back.
	node.Run(t, "ip", "link", "set", "later", "name", "other")
	says(t, p, "tor", `the node has no interface "later"`)
	node.Run(t, "ip", "link", "set", "other", "name", "later")
	up(t, p, "tor")
	r.forwards(t, marker, linkLocal(t, node, "later"))

	// The link goes down and comes up, at both ends.
	for _, end := range []struct {
		of   netns.Namespace
		name string
	}{{r.Namespace, "eth0"}, {node, "later"}} {
		end.of.Run(t, "ip", "link", "set", end.name, "down")
		says(t, p, "tor", "interface later is down")
		end.of.Run(t, "ip", "link", "set", end.name, "up")
		up(t, p, "tor")
		r.forwards(t, marker, linkLocal(t, node, "later"))
	}

	// The router's address changes, while the link stays up.
	old := linkLocal(t, r.Namespace, "eth0")
	r.Run(t, "ip", "addr", "add", "fe80::1234/64", "dev", "eth0", "nodad")
	r.Run(t, "ip", "addr", "del", old+"/64", "dev", "eth0")
	reported(t, p, "tor", func(s *ingotv1.SessionReport) bool {
		return s.GetState() == "Established" && s.GetAddress() == "fe80::1234"
	})
	r.forwards(t, marker, linkLocal(t, node, "later"))

	// The whole link is replaced.
	node.Run(t, "ip", "link", "del", "later")
	says(t, p, "tor", `the node has no interface "later"`)
	netns.Cable(t, node, "later", nil, r.Namespace, "eth0", nil)
	up(t, p, "tor")
	r.forwards(t, marker, linkLocal(t, node, "later"))
}

func TestALinkLocalPeerAddress(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	var routers []*router
	for i := range 2 {
		r := &router{Namespace: netns.New(t, "r"), address4: fmt.Sprintf("192.0.2.%d", i+1)}
		device := fmt.Sprintf("eth%d", i+1)
		netns.Cable(t, node, device, nil, r.Namespace, "eth0", []string{fmt.Sprintf("fe80::%d/64", i+1)})
		own := linkLocal(t, node, device)
		r.serve(t, routerASN, neighbour(own, "64500", "interface eth0", "capability extended-nexthop")...)
		routers = append(routers, r)
	}
	p := node.Start(t)
	p.Apply(t, external("one", "fe80::1"), external("two", "fe80::2"),
		routeItem("198.51.100.1/32", to("one")), routeItem("198.51.100.2/32", to("two")), routeItem("2001:db8:1::1/128", to("one")))
	routers[0].forwards(t, "198.51.100.1/32", linkLocal(t, node, "eth1"))
	routers[0].forwards(t, "2001:db8:1::1/128", linkLocal(t, node, "eth1"))
	routers[1].forwards(t, "198.51.100.2/32", linkLocal(t, node, "eth2"))

	for peer, device := range map[string]string{"one": "eth1", "two": "eth2"} {
		if got := up(t, p, peer).GetInterface(); got != device {
			t.Errorf("peer %s is reported on %q, want %s", peer, got, device)
		}
	}

	// Both have one address: it does not say who is meant.
	routers[1].Run(t, "ip", "addr", "add", "fe80::1/64", "dev", "eth0", "nodad")
	node.Run(t, "ip", "neigh", "replace", "fe80::1", "dev", "eth2", "lladdr", strings.TrimSpace(routers[1].Run(t, "cat", "/sys/class/net/eth0/address")), "nud", "permanent")
	p.Apply(t, external("three", "fe80::1", func(s *ingotv1.BgpSession) { s.MyAsn = nodeASN }))
	says(t, p, "three", "link-local address fe80::1 answers on eth1, eth2: name the interface instead of it, or give a sourceAddress")
}
