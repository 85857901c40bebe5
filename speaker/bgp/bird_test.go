package bgp

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/bird"
	"github.com/ingot-lb/ingot/test/netns"
)

// birdRouter cables a BIRD of AS 64512 to the node, with one session with a neighbour, which the options are for. What comes
// before is up to the caller.
func birdRouter(t *testing.T, neighbour, options, exports, before string) (node netns.Namespace, b *bird.Router) {
	t.Helper()
	node = netns.New(t, "node")
	r := netns.New(t, "bird")
	netns.Cable(t, node, "eth1", []string{"10.77.1.11/24", "fd77:1::11/64"}, r, "eth0", []string{"10.77.1.1/24", "fd77:1::1/64"})
	return node, bird.Start(t, r, fmt.Sprintf(`
router id 192.0.2.1;
protocol device { }
%s
protocol bgp node {
	local as 64512;
	neighbor %s;
	connect delay time 1; error wait time 1, 2;
	%s
	ipv4 { import all; export %s; };
	ipv6 { import all; export %s; };
}
`, before, neighbour, options, exports, exports))
}

// shows waits until BIRD prints all of the words on a command.
func shows(t *testing.T, b *bird.Router, command string, words ...string) {
	t.Helper()
	await.Success(t, "BIRD shows it", func() error {
		out, err := b.Ask(strings.Fields(command)...)
		if err != nil {
			return err
		}
		for _, w := range words {
			if !strings.Contains(out, w) {
				return fmt.Errorf("%s: no %q in\n%s", command, w, out)
			}
		}
		return nil
	})
}

func secret(s *ingotv1.BgpSession) {
	s.MyAsn, s.PeerAsn, s.Password, s.HoldTimeMs = 4200000001, 64512, "right", proto.Uint32(90000)
}

// TestBIRD: both families over either, a password, a number of 4 bytes, every attribute, the smaller hold time, a route
// refresh, and a withdrawal.
func TestBIRD(t *testing.T) {
	for name, tt := range map[string]struct{ ours, theirs string }{
		"over IPv4": {"10.77.1.11", "10.77.1.1"},
		"over IPv6": {"fd77:1::11", "fd77:1::1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node, b := birdRouter(t, tt.ours+" as 4200000001", `password "right"; hold time 30; graceful restart on;`, "none", "")
			p := node.Start(t)
			session := external("tor", tt.theirs, secret)
			v6 := routeItem("2001:db8:1::1/128", to("tor"))
			p.Apply(t, session, v6, routeItem("198.51.100.0/24", &ingotv1.BgpAdvertisement{
				Peers: []string{"tor"}, Med: proto.Uint32(7), AsPathPrepend: 1, Communities: []uint32{0xffffff01, 64500<<16 | 1},
				LargeCommunities: []*ingotv1.LargeCommunity{{GlobalAdministrator: 64500, LocalData1: 1, LocalData2: 2}},
			}))
			shows(t, b, "show route all 198.51.100.0/24", "BGP.next_hop: 10.77.1.11\n", "BGP.as_path: 4200000001 4200000001\n", "BGP.med: 7\n",
				"BGP.community: (64500,1) (65535,65281)\n", "BGP.large_community: (64500, 1, 2)\n")
			shows(t, b, "show route all 2001:db8:1::1/128", "BGP.next_hop: fd77:1::11", "BGP.as_path: 4200000001\n")
			if s := up(t, p, "tor"); s.GetHoldTimeMs() != 30_000 || s.GetKeepaliveTimeMs() != 10_000 {
				t.Errorf("the session is %v; want a hold time of 30 s", s)
			}
			if _, err := b.Ask("reload", "in", "node"); err != nil {
				t.Fatal(err)
			}
			shows(t, b, "show protocols all node", "Import updates:              2          0          0          1          1")
			p.Apply(t, session, v6)
			await.Success(t, "the route is withdrawn", func() error {
				out, err := b.Ask("show", "route")
				if err == nil && (strings.Contains(out, "198.51.100.0/24") || !strings.Contains(out, "2001:db8:1::1/128")) {
					err = fmt.Errorf("BIRD has\n%s", out)
				}
				return err
			})
			if s := up(t, p, "tor"); s.GetCounters().GetEstablished() != 1 {
				t.Errorf("the session was not kept: %v", s)
			}
		})
	}
}

// TestBIRDIsToldOfItsPrefixes: it is still sending when it is told that it sends too much, and hears that.
func TestBIRDIsToldOfItsPrefixes(t *testing.T) {
	t.Parallel()
	var routes strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&routes, "route 11.%d.%d.%d/32 blackhole;\n", i>>16, i>>8&255, i&255)
	}
	node, b := birdRouter(t, "10.77.1.11 as 64500", "passive on;", "all", "protocol static { ipv4;\n"+routes.String()+"}")
	p := node.Start(t)
	p.Apply(t, external("tor", "10.77.1.1"))
	reported(t, p, "tor", func(s *ingotv1.SessionReport) bool { return s.GetLastErrorCode() == 6 && s.GetLastErrorSubcode() == 1 })
	shows(t, b, "show protocols all node", "Received: Maximum number of prefixes reached")
}

// TestBIRDUnnumbered: any neighbour on the link, found by router advertisements in both directions.
func TestBIRDUnnumbered(t *testing.T) {
	t.Parallel()
	node, b := birdRouter(t, "range fe80::/64 external", `interface "eth0";`, "none", `protocol radv { interface "eth0" { min ra interval 3; max ra interval 4; }; }`)
	p := node.Start(t)
	p.Apply(t, external("tor", "", over("eth1")), routeItem(marker, to("tor")), routeItem(marker6, to("tor")))
	own := linkLocal(t, node, "eth1")
	shows(t, b, "show route", "via 10.77.1.11 on eth0", "via "+own+" on eth0")
	if s := up(t, p, "tor"); s.GetLocalAddress() != own {
		t.Errorf("%v; want the local address %s", s, own)
	}
}
