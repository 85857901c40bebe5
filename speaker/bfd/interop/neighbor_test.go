package interop

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/speaker/bfd/wire"
	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/frr"
	"github.com/ingot-lb/ingot/test/netns"
)

func TestMain(m *testing.M) { netns.Inside(m) }

// Addresses of the node that the tests run on, of FRR at the other end of its cable, and of FRR's loopback interface,
// which is one hop farther for TTLs' sake.
var (
	node4, frr4 = netip.MustParseAddr("10.66.0.1"), netip.MustParseAddr("10.66.0.2")
	node6, frr6 = netip.MustParseAddr("fd66::1"), netip.MustParseAddr("fd66::2")
	far4, far6  = netip.MustParseAddr("10.67.0.9"), netip.MustParseAddr("fd67::9")
)

// neighbor is FRR, directly connected or, with a router between, two hops away.
type neighbor struct {
	netns.Namespace
	*frr.Router
	// Has the near end of the cable to FRR.
	cable netns.Namespace
	port  string
}

// connected starts FRR's bfdd at the other end of a cable, with the lines as its "bfd" section.
func connected(t *testing.T, lines ...string) *neighbor {
	t.Helper()
	n := &neighbor{Namespace: netns.New(t, "frr"), cable: netns.Here(t), port: "eth1"}
	netns.Cable(t, n.cable, n.port, []string{node4.String() + "/24", node6.String() + "/64"},
		n.Namespace, "eth0", []string{frr4.String() + "/24", frr6.String() + "/64"})
	t.Cleanup(func() { n.cable.Run(t, "ip", "link", "del", n.port) })
	n.start(t, lines)
	return n
}

// distant is connected with a router between.
func distant(t *testing.T, lines ...string) *neighbor {
	t.Helper()
	n := &neighbor{Namespace: netns.New(t, "frr"), cable: netns.New(t, "between"), port: "eth1"}
	here := netns.Here(t)
	netns.Cable(t, here, "eth1", []string{node4.String() + "/24", node6.String() + "/64"},
		n.cable, "eth0", []string{"10.66.0.254/24", "fd66::254/64"})
	t.Cleanup(func() { here.Run(t, "ip", "link", "del", "eth1") })
	netns.Cable(t, n.cable, n.port, []string{"10.67.0.254/24", "fd67::254/64"},
		n.Namespace, "eth0", []string{far4.String() + "/24", far6.String() + "/64"})
	n.cable.Run(t, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	here.Run(t, "ip", "route", "add", "10.67.0.0/24", "via", "10.66.0.254")
	here.Run(t, "ip", "route", "add", "fd67::/64", "via", "fd66::254")
	n.Run(t, "ip", "route", "add", "10.66.0.0/24", "via", "10.67.0.254")
	n.Run(t, "ip", "route", "add", "fd66::/64", "via", "fd67::254")
	n.start(t, lines)
	return n
}

func (n *neighbor) start(t *testing.T, lines []string) {
	t.Helper()
	n.Router = frr.Start(t, n.Namespace, "bfd\n"+strings.Join(lines, "\n")+"\n", "bfdd")
	n.Hasten(t)
}

// cut pulls the cable to FRR.
func (n *neighbor) cut(t *testing.T) { n.cable.Run(t, "ip", "link", "set", n.port, "down") }

// peer is what FRR shows of a session.
type peer struct {
	Peer             string
	ID               uint32
	RemoteID         uint32 `json:"remote-id"`
	Status           string
	Passive          bool `json:"passive-mode"`
	MinimumTTL       int  `json:"minimum-ttl"`
	Diagnostic       string
	RemoteDiagnostic string `json:"remote-diagnostic"`
	Receive          int    `json:"receive-interval"`
	Transmit         int    `json:"transmit-interval"`
	Echo             int    `json:"echo-receive-interval"`
	DetectMultiplier int    `json:"detect-multiplier"`
	RemoteReceive    int    `json:"remote-receive-interval"`
	RemoteTransmit   int    `json:"remote-transmit-interval"`
	RemoteEcho       int    `json:"remote-echo-receive-interval"`
	RemoteMultiplier int    `json:"remote-detect-multiplier"`
}

// peer returns what FRR shows of its session with an address of the node.
func (n *neighbor) peer(address netip.Addr) (peer, error) {
	var all []peer
	if err := n.Show(&all, "show bfd peers json"); err != nil {
		return peer{}, err
	}
	for _, p := range all {
		if p.Peer == address.String() {
			return p, nil
		}
	}
	return peer{}, fmt.Errorf("FRR has no session with %s", address)
}

// shows waits until FRR shows a session as wanted.
func (n *neighbor) shows(t *testing.T, address netip.Addr, what string, ok func(peer) bool) {
	t.Helper()
	await.Success(t, "FRR shows "+what, func() error {
		p, err := n.peer(address)
		if err == nil && !ok(p) {
			err = fmt.Errorf("FRR shows %+v", p)
		}
		return err
	})
}

// counters are what FRR counts of a session.
type counters struct {
	Peer       string
	Ups        int `json:"session-up"`
	Downs      int `json:"session-down"`
	EchoInput  int `json:"echo-packet-input"`
	EchoOutput int `json:"echo-packet-output"`
}

// counters returns what FRR has counted of its session with an address.
func (n *neighbor) counters(t *testing.T, address netip.Addr) counters {
	t.Helper()
	var all []counters
	if err := n.Show(&all, "show bfd peers counters json"); err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.Peer == address.String() {
			return c
		}
	}
	t.Fatalf("FRR has no session with %s", address)
	return counters{}
}

// session is ours, with every status that its owner was told.
type session struct {
	*bfd.Session
	engine *bfd.Engine

	mu   sync.Mutex
	told []bfd.Status
}

// open opens a session by an engine of its own.
func open(t *testing.T, k bfd.Key, p bfd.Parameters) *session {
	t.Helper()
	transport := wire.New(slog.New(slog.DiscardHandler))
	t.Cleanup(transport.Close)
	s := &session{engine: bfd.New(bfd.Options{Transport: transport})}
	t.Cleanup(s.engine.Close)
	var err error
	s.Session, err = s.engine.Open(k, p, func(st bfd.Status) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.told = append(s.told, st)
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// becomes waits until our session is as wanted, and returns it.
func (s *session) becomes(t *testing.T, what string, ok func(bfd.Status) bool) bfd.Status {
	t.Helper()
	var got bfd.Status
	await.Success(t, what, func() error {
		if got = s.Status(); !ok(got) {
			return fmt.Errorf("session is %+v", got)
		}
		return nil
	})
	return got
}

func isUp(s bfd.Status) bool { return s.State == bfd.Up && s.RemoteState == bfd.Up }

// first returns the first status told, from the skip-th on, that is as wanted.
func (s *session) first(skip int, ok func(bfd.Status) bool) (bfd.Status, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.told[skip:] {
		if ok(st) {
			return st, true
		}
	}
	return bfd.Status{}, false
}

func (s *session) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.told)
}
