package bgp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/test/netns"
)

// script records what wires were asked to do, in order, for one peer after the other.
type script struct {
	mu    sync.Mutex
	lines map[string][]string
	wires map[string]*fakeWire
}

func newScript() *script {
	return &script{lines: make(map[string][]string), wires: make(map[string]*fakeWire)}
}

func (s *script) note(peer, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines[peer] = append(s.lines[peer], fmt.Sprintf(format, args...))
}

// take returns what was asked since it was last called.
func (s *script) take() map[string][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.lines
	s.lines = make(map[string][]string)
	return lines
}

func (s *script) open(cfg sessionConfig, id netip.Addr, observe func(transition), fault func(fault)) (wire, error) {
	w := &fakeWire{script: s, peer: cfg.peer, observe: observe, fault: fault}
	s.note(cfg.peer, "open %s", id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wires[cfg.peer] = w
	return w, nil
}

type fakeWire struct {
	script  *script
	peer    string
	observe func(transition)
	fault   func(fault)
	sent    counters
	// extended is whether the neighbour takes IPv6 next hops for IPv4.
	extended bool
	// asked is called when what was negotiated is read; nil: there is a session.
	asked func() error

	mu sync.Mutex
	to target // of the last attempt
}

func (w *fakeWire) add(paths []path) error {
	for _, p := range paths {
		w.script.note(w.peer, "add %s via %s communities %v", p.prefix, p.nextHop, unpackCommunities(p.communities))
	}
	return nil
}

func (w *fakeWire) remove(paths []path) error {
	for _, p := range paths {
		w.script.note(w.peer, "remove %s", p.prefix)
	}
	return nil
}

func (w *fakeWire) connect(_ sessionConfig, to target, restarting bool) error {
	w.mu.Lock()
	w.to = to
	w.mu.Unlock()
	w.script.note(w.peer, "connect restarting=%t", restarting)
	return nil
}

func (w *fakeWire) disconnect() error {
	w.script.note(w.peer, "disconnect")
	return nil
}

func (w *fakeWire) reset(words string) error {
	w.script.note(w.peer, "reset %s", words)
	return nil
}

func (w *fakeWire) shutdown(words string) error {
	w.script.note(w.peer, "shutdown %s", words)
	return nil
}

func (w *fakeWire) hangUp() { w.script.note(w.peer, "hang up") }

func (w *fakeWire) close() { w.script.note(w.peer, "close") }
func (w *fakeWire) negotiated() (agreement, error) {
	if w.asked != nil {
		if err := w.asked(); err != nil {
			return agreement{}, err
		}
	}
	return agreement{ipv4: true, ipv6: true, extendedNextHop: w.extended, hold: 9 * time.Second, keepalive: 3 * time.Second}, nil
}
func (w *fakeWire) counters() (counters, error) { return w.sent, nil }

// fakeNode is a node with an IPv4 address, and whatever else a test gives it.
type fakeNode struct {
	mu   sync.Mutex
	way  egress
	fail error
}

func (n *fakeNode) egress(sessionConfig) (egress, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.way, n.fail
}

func (n *fakeNode) silence(sessionConfig) string { return "" }

func (n *fakeNode) hold(sessionConfig) (release func()) { return func() {} }

func (n *fakeNode) firstIPv4() netip.Addr { return netip.Addr{} }

func (n *fakeNode) watch(ctx context.Context, _ func()) { <-ctx.Done() }

func newTestSpeaker(t *testing.T) (*Speaker, *script, *fakeNode) {
	t.Helper()
	s := New(Options{Node: "node1", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	wires := newScript()
	n := &fakeNode{way: egress{local: netip.MustParseAddr("192.0.2.11"), ipv4: netip.MustParseAddr("192.0.2.11")}}
	s.opener, s.node = wires, n
	return s, wires, n
}

func sessionItem(peer string, with ...func(*ingotv1.BgpSession)) *ingotv1.Item {
	s := plain(append([]func(*ingotv1.BgpSession){func(s *ingotv1.BgpSession) { s.Peer = peer }}, with...)...)
	return &ingotv1.Item{Id: "bgp-session/" + peer, Digest: "d", Content: &ingotv1.Item_BgpSession{BgpSession: s}}
}

func routeItem(prefix string, ads ...*ingotv1.BgpAdvertisement) *ingotv1.Item {
	return &ingotv1.Item{Id: "bgp-route/" + prefix, Digest: "d", Content: &ingotv1.Item_BgpRoute{
		BgpRoute: &ingotv1.BgpRoute{Prefix: prefix, Advertisements: ads},
	}}
}

func to(peers ...string) *ingotv1.BgpAdvertisement { return &ingotv1.BgpAdvertisement{Peers: peers} }

func applied(items ...*ingotv1.Item) []*ingotv1.ItemResult {
	var results []*ingotv1.ItemResult
	for _, item := range items {
		results = append(results, &ingotv1.ItemResult{Id: item.GetId(), Digest: item.GetDigest(), Status: ingotv1.ItemResult_STATUS_APPLIED})
	}
	return results
}

func TestPathsAreInTheRIBBeforeTheSessionStarts(t *testing.T) {
	s, wires, _ := newTestSpeaker(t)
	items := []*ingotv1.Item{
		sessionItem("tor1", func(s *ingotv1.BgpSession) { s.GracefulRestart = true }),
		routeItem("198.51.100.1/32", to("tor1")),
	}

	results := s.Apply(t.Context(), items, true)

	want := map[string][]string{"tor1": {"open 192.0.2.11", "add 198.51.100.1/32 via 0.0.0.0 communities []", "connect restarting=true"}}
	if diff := cmp.Diff(want, wires.take()); diff != "" {
		t.Errorf("wire (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(applied(items...), results, protocmp.Transform()); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestApplyingTheSameSetAgainDoesNothing(t *testing.T) {
	s, wires, _ := newTestSpeaker(t)
	items := []*ingotv1.Item{
		sessionItem("tor1"),
		routeItem("198.51.100.1/32", &ingotv1.BgpAdvertisement{Peers: []string{"tor1"}, Communities: []uint32{3, 1}}),
	}
	s.Apply(t.Context(), items, false)
	wires.take()

	again := []*ingotv1.Item{
		routeItem("198.51.100.1/32", &ingotv1.BgpAdvertisement{Peers: []string{"tor1"}, Communities: []uint32{1, 3, 1}}),
		sessionItem("tor1"),
	}
	s.Apply(t.Context(), again, false)

	if diff := cmp.Diff(map[string][]string{}, wires.take()); diff != "" {
		t.Errorf("wire (-want +got):\n%s", diff)
	}
}

func TestChangesAreAddedBeforeOthersAreWithdrawn(t *testing.T) {
	s, wires, _ := newTestSpeaker(t)
	s.Apply(t.Context(), []*ingotv1.Item{
		sessionItem("tor1"), routeItem("198.51.100.1/32", to("tor1")), routeItem("198.51.100.2/32", to("tor1")),
	}, false)
	wires.take()

	s.Apply(t.Context(), []*ingotv1.Item{
		sessionItem("tor1"), routeItem("198.51.100.3/32", to("tor1")),
		routeItem("198.51.100.2/32", &ingotv1.BgpAdvertisement{Peers: []string{"tor1"}, Communities: []uint32{7}}),
	}, false)

	want := map[string][]string{"tor1": {
		"add 198.51.100.2/32 via 0.0.0.0 communities [7]",
		"add 198.51.100.3/32 via 0.0.0.0 communities []",
		"remove 198.51.100.1/32",
	}}
	if diff := cmp.Diff(want, wires.take()); diff != "" {
		t.Errorf("wire (-want +got):\n%s", diff)
	}
}

func TestAChangedSessionTouchesNoOther(t *testing.T) {
	s, wires, _ := newTestSpeaker(t)
	route := routeItem("198.51.100.1/32", to("tor1", "tor2"))
	s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1"), sessionItem("tor2"), route}, false)
	wires.take()

	changed := sessionItem("tor1", func(s *ingotv1.BgpSession) { s.RouterId = "10.0.0.1" })
	s.Apply(t.Context(), []*ingotv1.Item{changed, sessionItem("tor2"), route}, false)

	want := map[string][]string{"tor1": {
		"close", "open 10.0.0.1", "add 198.51.100.1/32 via 0.0.0.0 communities []", "connect restarting=false",
	}}
	if diff := cmp.Diff(want, wires.take()); diff != "" {
		t.Errorf("wire (-want +got):\n%s", diff)
	}
}

func TestANewConnectTimeDoesNotResetASessionThatIsUp(t *testing.T) {
	s, wires, _ := newTestSpeaker(t)
	s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1")}, false)
	wires.wires["tor1"].observe(transition{state: stateEstablished, peerASN: 64512})
	wires.take()

	s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1", func(s *ingotv1.BgpSession) { s.ConnectTimeMs = proto.Uint32(9000) })}, false)

	if diff := cmp.Diff(map[string][]string{}, wires.take()); diff != "" {
		t.Errorf("wire (-want +got):\n%s", diff)
	}
}

func TestARefusedChangeLeavesWhatWasThere(t *testing.T) {
	s, wires, _ := newTestSpeaker(t)
	s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1"), routeItem("198.51.100.1/32", to("tor1"))}, false)
	wires.take()

	route := routeItem("198.51.100.1/32", to("tor1"), to("tor1"))
	session := sessionItem("tor1", func(s *ingotv1.BgpSession) { s.Interface = "eth1" })
	results := s.Apply(t.Context(), []*ingotv1.Item{session, route}, false)

	if diff := cmp.Diff(map[string][]string{}, wires.take()); diff != "" {
		t.Errorf("wire (-want +got):\n%s", diff)
	}
	want := []*ingotv1.ItemResult{
		{Id: session.Id, Digest: "d", Status: ingotv1.ItemResult_STATUS_REJECTED, Reason: "the peer has both an address and an interface"},
		{Id: route.Id, Digest: "d", Status: ingotv1.ItemResult_STATUS_REJECTED, Reason: "peer tor1 appears in two advertisements of 198.51.100.1/32"},
	}
	if diff := cmp.Diff(want, results, protocmp.Transform()); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestTheOtherFamilysNextHopIsAwaited(t *testing.T) {
	s, wires, n := newTestSpeaker(t)
	both := func(s *ingotv1.BgpSession) {
		s.Families = []ingotv1.Family{ingotv1.Family_FAMILY_IPV4_UNICAST, ingotv1.Family_FAMILY_IPV6_UNICAST}
	}
	route := routeItem("2001:db8:1::1/128", to("tor1"))
	results := s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1", both), route}, false)
	if got := results[1]; got.GetStatus() != ingotv1.ItemResult_STATUS_PENDING || !strings.Contains(got.GetReason(), "peer tor1") {
		t.Fatalf("route without a next hop: %v", got)
	}
	wires.take()

	n.mu.Lock()
	n.way.ipv6 = netip.MustParseAddr("2001:db8::11")
	n.mu.Unlock()
	s.refresh()

	if diff := cmp.Diff(map[string][]string{"tor1": {"add 2001:db8:1::1/128 via 2001:db8::11 communities []"}}, wires.take()); diff != "" {
		t.Errorf("wire (-want +got):\n%s", diff)
	}
	var report, second ingotv1.Report
	s.Report(&report)
	if diff := cmp.Diff(applied(route), report.GetResults(), protocmp.Transform()); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	s.Report(&second)
	if len(second.GetResults()) != 0 {
		t.Errorf("a result was told twice: %v", second.GetResults())
	}
}

func TestRoutesWithoutASession(t *testing.T) {
	s, _, _ := newTestSpeaker(t)
	results := s.Apply(t.Context(), []*ingotv1.Item{
		sessionItem("tor1"),
		routeItem("198.51.100.1/32", to("tor2")),
		routeItem("2001:db8::/64", to("tor1")),
		routeItem("198.51.100.2/32"),
	}, false)

	want := []*ingotv1.ItemResult{
		{Id: "bgp-session/tor1", Digest: "d", Status: ingotv1.ItemResult_STATUS_APPLIED},
		{Id: "bgp-route/198.51.100.1/32", Digest: "d", Status: ingotv1.ItemResult_STATUS_PENDING, Reason: "peer tor2: no session on this node"},
		{Id: "bgp-route/2001:db8::/64", Digest: "d", Status: ingotv1.ItemResult_STATUS_REJECTED, Reason: "peer tor1: the session does not carry the family of 2001:db8::/64"},
		{Id: "bgp-route/198.51.100.2/32", Digest: "d", Status: ingotv1.ItemResult_STATUS_REJECTED, Reason: "the route names no peer"},
	}
	if diff := cmp.Diff(want, results, protocmp.Transform()); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestADynamicPeerOfTheWrongKindIsShut(t *testing.T) {
	s, wires, _ := newTestSpeaker(t)
	s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1", func(s *ingotv1.BgpSession) { s.DynamicAsn = "internal" })}, false)
	wires.take()

	wires.wires["tor1"].observe(transition{state: stateEstablished, peerASN: 64999})

	if diff := cmp.Diff(map[string][]string{"tor1": {"disconnect"}}, wires.take()); diff != "" {
		t.Errorf("wire (-want +got):\n%s", diff)
	}
	var report ingotv1.Report
	s.Report(&report)
	got := report.GetSessions()[0]
	if want := "the peer's AS number 64999 makes the session external, but dynamicASN is internal"; got.GetLastError() != want || got.GetState() != "Idle" {
		t.Errorf("got %s, %q; want Idle, %q", got.GetState(), got.GetLastError(), want)
	}
	s.Apply(t.Context(), nil, false) // ends the timer
}

func TestTheSessionReportCountsWhatTheNeighbourSees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // counters are read at most once a second
		s, wires, _ := newTestSpeaker(t)
		s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1"), routeItem("198.51.100.1/32", to("tor1"))}, false)
		w := wires.wires["tor1"]
		up := transition{state: stateEstablished, peerASN: 64512, localASN: 64500, peerID: "192.0.2.1", local: "192.0.2.11"}
		w.fault(fault{words: "the peer closed the session: cease: administrative shutdown (code 6, subcode 2)", code: 6, subcode: 2, received: true})
		w.observe(up)
		w.observe(up)
		w.sent = counters{opensSent: 2, updatesSent: 3, notificationsReceived: 1, totalSent: 5, totalReceived: 4, prefixesRefused: 7}
		s.Refresh()

		var report ingotv1.Report
		s.Report(&report)
		want := &ingotv1.SessionReport{Peer: "tor1", Address: "192.0.2.1", Port: 179, State: "Established",
			LocalAddress: "192.0.2.11", RouterId: "192.0.2.11", RemoteRouterId: "192.0.2.1", LocalAsn: 64500, RemoteAsn: 64512,
			Families: []ingotv1.Family{ingotv1.Family_FAMILY_IPV4_UNICAST}, Advertised: 1, AdvertisedIpv4: 1,
			HoldTimeMs: 9000, KeepaliveTimeMs: 3000,
			LastError:     "the peer closed the session: cease: administrative shutdown (code 6, subcode 2)",
			LastErrorCode: 6, LastErrorSubcode: 2, LastErrorReceived: true,
			Counters: &ingotv1.SessionCounters{OpensSent: 2, UpdatesSent: 3, NotificationsReceived: 1, TotalSent: 5, TotalReceived: 4,
				Established: 1, PrefixesRefused: 7}}
		got := report.GetSessions()
		if got[0].GetSinceMs() == 0 || got[0].GetLastErrorMs() == 0 || got[0].GetSinceMs() < got[0].GetLastErrorMs() {
			t.Errorf("since %d, last error at %d", got[0].GetSinceMs(), got[0].GetLastErrorMs())
		}
		if diff := cmp.Diff([]*ingotv1.SessionReport{want}, got, protocmp.Transform(),
			protocmp.IgnoreFields(&ingotv1.SessionReport{}, "since_ms", "last_error_ms")); diff != "" {
			t.Errorf("sessions (-want +got):\n%s", diff)
		}
		w.sent.keepalivesSent++
		s.Refresh()
		report.Reset()
		s.Report(&report)
		if n := report.GetSessions()[0].GetCounters().GetKeepalivesSent(); n != 0 {
			t.Errorf("counters were read again at once: %d keepalives", n)
		}
		select {
		case <-s.Changed():
		default:
			t.Error("Changed did not fire")
		}
	})
}

func TestASessionWithNoWayToThePeerIsPending(t *testing.T) {
	s, _, n := newTestSpeaker(t)
	n.fail = errors.New(`VRF device "red": Link not found`)
	results := s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1")}, false)
	if got := results[0]; got.GetStatus() != ingotv1.ItemResult_STATUS_PENDING || got.GetReason() != n.fail.Error() {
		t.Errorf("got %v, want pending with %q", got, n.fail)
	}
}

// TestPathDown: a session is reset when the path is known to be dead, and tried at once when it is back; one that is not up
// has nothing to lose, and one that was just configured or is held down is left alone.
func TestPathDown(t *testing.T) {
	s, wires, _ := newTestSpeaker(t)
	s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor")}, false)
	w := wires.wires["tor"]
	if s.PathDown("tor", "nobody there") || s.PathDown("other", "nobody there") {
		t.Error("a session that was not up was ended")
	}
	s.PathUp("other")
	w.observe(transition{state: stateActive})
	wires.take()
	s.PathUp("tor")
	if got := wires.take()["tor"]; len(got) != 2 || got[0] != "disconnect" || !strings.HasPrefix(got[1], "connect") {
		t.Errorf("a session that waits was not tried: %q", got)
	}

	w.observe(transition{state: stateEstablished, peerASN: 64501})
	wires.take()
	s.PathUp("tor")
	if got := wires.take()["tor"]; len(got) != 0 {
		t.Errorf("a session that is up was asked to %q", got)
	}
	if !s.PathDown("tor", "control detection time expired") {
		t.Error("a session that was up was not ended")
	}
	if diff := cmp.Diff([]string{"reset BFD Down (control detection time expired)"}, wires.take()["tor"]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// The wire does not say that it is down: its neighbour takes nothing any more.
	netns.Eventually(t, patience, func() error {
		if state := s.States()[0].GetState(); state == string(stateEstablished) {
			return fmt.Errorf("the session is %s", state)
		}
		return nil
	})
	if got := s.States()[0].GetLastError(); got != "BFD Down (control detection time expired)" {
		t.Errorf("last error %q", got)
	}
}
