package bgp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-lb/ingot/test/frr"
	"github.com/ingot-lb/ingot/test/netns"
)

// router is a real FRR, zebra and bgpd, in a namespace of its own, cabled to the node under test.
type router struct {
	netns.Namespace
	frr *frr.Router
	// IPv4 and IPv6 addresses of both ends of the cable.
	address4, address6, node4, node6 string
}

// newRouter cables a router to the node, as the number-th, and starts FRR with the lines as "router bgp" section.
// In the lines, NODE4 and NODE6 stand for the node's addresses.
func newRouter(t *testing.T, node netns.Namespace, number int, asn int, lines ...string) *router {
	t.Helper()
	r := &router{
		Namespace: netns.New(t, fmt.Sprintf("r%d", number)),
		address4:  fmt.Sprintf("10.77.%d.1", number), node4: fmt.Sprintf("10.77.%d.11", number),
		address6: fmt.Sprintf("fd77:%d::1", number), node6: fmt.Sprintf("fd77:%d::11", number),
	}
	r.cable(t, node, fmt.Sprintf("eth%d", number))
	r.serve(t, asn, lines...)
	return r
}

// cable connects the router's eth0 to an interface of the node, with the addresses of both.
func (r *router) cable(t *testing.T, node netns.Namespace, name string) {
	t.Helper()
	netns.Cable(t,
		node, name, []string{r.node4 + "/24", r.node6 + "/64"},
		r.Namespace, "eth0", []string{r.address4 + "/24", r.address6 + "/64"})
}

// serve starts FRR with the lines as "router bgp" section.
func (r *router) serve(t *testing.T, asn int, lines ...string) {
	t.Helper()
	config := append([]string{
		fmt.Sprintf("router bgp %d", asn),
		"bgp router-id " + r.address4, "no bgp ebgp-requires-policy", "no bgp default ipv4-unicast", "no bgp network import-check",
	}, lines...)
	text := strings.NewReplacer("NODE4", r.node4, "NODE6", r.node6).Replace(strings.Join(config, "\n") + "\n")
	r.frr = frr.Start(t, r.Namespace, text, "bgpd")
}

// neighbour returns the lines for a neighbour with both families.
func neighbour(address string, asn string, more ...string) []string {
	lines := []string{"neighbor " + address + " remote-as " + asn, "neighbor " + address + " timers connect 1"}
	for _, m := range more {
		lines = append(lines, "neighbor "+address+" "+m)
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		lines = append(lines, "address-family "+family+" unicast", "neighbor "+address+" activate", "exit-address-family")
	}
	return lines
}

func (r *router) vtysh(commands ...string) (string, error) { return r.frr.Vtysh(commands...) }

// show runs a show command with JSON output.
func (r *router) show(into any, command string) error { return r.frr.Show(into, command) }

// seen is what FRR knows of a path.
type seen struct {
	NextHops    []string
	Communities string
	Large       string
	LocalPref   int
	MED         int // -1: none
	ASPath      string
	Valid       bool
}

// path returns the first path of a prefix, learned from the given neighbour.
func (r *router) path(prefix, from string) (seen, error) {
	family := "ipv4"
	if strings.Contains(prefix, ":") {
		family = "ipv6"
	}
	var table struct {
		Paths []struct {
			Valid     bool
			LocPrf    int
			Metric    *int
			ASPath    struct{ String string }
			Community struct{ String string }
			Large     struct{ String string } `json:"largeCommunity"`
			NextHops  []struct{ IP, Scope string }
			Peer      struct{ PeerID string }
		}
	}
	if err := r.show(&table, fmt.Sprintf("show bgp %s unicast %s json", family, prefix)); err != nil {
		return seen{}, err
	}
	for _, p := range table.Paths {
		if from != "" && p.Peer.PeerID != from {
			continue
		}
		s := seen{Communities: p.Community.String, Large: p.Large.String, LocalPref: p.LocPrf, ASPath: p.ASPath.String, Valid: p.Valid, MED: -1}
		if p.Metric != nil {
			s.MED = *p.Metric
		}
		for _, hop := range p.NextHops {
			s.NextHops = append(s.NextHops, hop.IP)
		}
		return s, nil
	}
	return seen{}, fmt.Errorf("no path to %s from %s", prefix, from)
}

// neighbourState is what FRR knows of a session.
type neighbourState struct {
	State       string `json:"bgpState"`
	Established int    `json:"connectionsEstablished"`
	LastReset   string `json:"lastResetDueTo"`
	Messages    struct {
		UpdatesReceived    int `json:"updatesRecv"`
		KeepalivesReceived int `json:"keepalivesRecv"`
	} `json:"messageStats"`
	RemoteAS       int    `json:"remoteAs"`
	RemoteRouterID string `json:"remoteRouterId"`
	HostForeign    string `json:"hostForeign"`
	Hold           int    `json:"bgpTimerHoldTimeMsecs"`
	Keepalive      int    `json:"bgpTimerKeepAliveIntervalMsecs"`
	LastError      string `json:"lastNotificationReason"`
	Capabilities   struct {
		Families map[string]struct{ Received, Advertised, AdvertisedAndReceived bool } `json:"multiprotocolExtensions"`
	} `json:"neighborCapabilities"`
	GracefulRestart struct {
		Mode   string `json:"remoteGrMode"`
		Timers struct {
			Received int `json:"receivedRestartTimer"`
		} `json:"timers"`
	} `json:"gracefulRestartInfo"`
}

func (r *router) neighbour(address string) (neighbourState, error) {
	var all map[string]neighbourState
	if err := r.show(&all, "show bgp neighbors "+address+" json"); err != nil {
		return neighbourState{}, err
	}
	return all[address], nil
}

// anyPath is path with whatever neighbour.
func (r *router) anyPath(prefix string) (seen, error) { return r.path(prefix, "") }

// mustNeighbour is neighbour for where FRR is known to answer.
func (r *router) mustNeighbour(t *testing.T, address string) neighbourState {
	t.Helper()
	n, err := r.neighbour(address)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// eventuallyPath waits for a path and returns it.
func (r *router) eventuallyPath(t *testing.T, prefix, from string) seen {
	t.Helper()
	var s seen
	netns.Eventually(t, patience, func() (err error) {
		s, err = r.path(prefix, from)
		return err
	})
	return s
}

// eventuallySees waits for a path that is as wanted: FRR finds a moment later than the path that its next hop is valid.
func (r *router) eventuallySees(t *testing.T, prefix, from string, want seen) {
	t.Helper()
	netns.Eventually(t, patience, func() error {
		got, err := r.path(prefix, from)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("%s from %s (-want +got):\n%s", prefix, from, diff)
		}
		return nil
	})
}

// eventuallyGone waits until there is no path.
func (r *router) eventuallyGone(t *testing.T, prefix, from string) {
	t.Helper()
	netns.Eventually(t, patience, func() error {
		if s, err := r.path(prefix, from); err == nil {
			return fmt.Errorf("still there: %+v", s)
		}
		return nil
	})
}
