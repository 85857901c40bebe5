package liveness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/testing/protocmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/bfd"
)

// script is what was asked of BFD and BGP, in order.
type script []string

func (s *script) note(format string, args ...any) { *s = append(*s, fmt.Sprintf(format, args...)) }

// take returns what was asked since it was last called.
func (s *script) take() []string {
	lines := *s
	*s = nil
	return lines
}

type fakeEngine struct {
	*script
	opened map[bfd.Key]*fakeSession
	fail   error
	// up says that sessions are up before anybody has heard of them.
	up bool
}

func (e *fakeEngine) open(k bfd.Key, p bfd.Parameters, changed func(bfd.Status)) (session, error) {
	e.note("open %s from %s, %s × %d", k, k.Local, p.TransmitInterval, p.DetectMultiplier)
	if e.fail != nil {
		return nil, e.fail
	}
	s := &fakeSession{engine: e, key: k, changed: changed, status: bfd.Status{Key: k, State: bfd.Down}, said: make(chan struct{})}
	if e.up {
		s.status.State, s.status.RemoteState, s.status.Since = bfd.Up, bfd.Up, time.UnixMilli(1000)
	}
	e.opened[k] = s
	return s, nil
}

type fakeSession struct {
	engine  *fakeEngine
	key     bfd.Key
	changed func(bfd.Status)
	status  bfd.Status
	said    chan struct{}
}

func (s *fakeSession) Retune(p bfd.Parameters) error {
	s.engine.note("retune %s, %s × %d", s.key, p.TransmitInterval, p.DetectMultiplier)
	return nil
}

func (s *fakeSession) AdminDown() <-chan struct{} {
	s.engine.note("admin down %s", s.key)
	close(s.said)
	return s.said
}

func (s *fakeSession) Close() {
	s.engine.note("close %s", s.key)
	delete(s.engine.opened, s.key)
}

func (s *fakeSession) Status() bfd.Status { return s.status }

// becomes has the session change its state.
func (s *fakeSession) becomes(state, remote bfd.State, change ...func(*bfd.Status)) {
	if state == bfd.Up && s.status.State != bfd.Up {
		s.status.Counters.UpEvents++
	}
	if state != bfd.Up && s.status.State == bfd.Up {
		s.status.Counters.DownEvents++
	}
	s.status.State, s.status.RemoteState, s.status.Since = state, remote, time.UnixMilli(1000)
	for _, c := range change {
		c(&s.status)
	}
	s.changed(s.status)
}

func failed(s *bfd.Status) {
	s.Failed, s.Diagnostic, s.LastDown = true, bfd.ControlDetectionTimeExpired, bfd.ControlDetectionTimeExpired
}

// fakeBGP takes everything, but for items that are named as refused.
type fakeBGP struct {
	*script
	refuse  map[string]bool
	changed chan struct{}
	leaving map[string]bool
}

func (b *fakeBGP) Leaving(peer string) bool { return b.leaving[peer] }

func (b *fakeBGP) Apply(_ context.Context, items []*ingotv1.Item, _ bool) []*ingotv1.ItemResult {
	var results []*ingotv1.ItemResult
	for _, item := range items {
		r := &ingotv1.ItemResult{Id: item.GetId(), Status: ingotv1.ItemResult_STATUS_APPLIED}
		if b.refuse[item.GetId()] {
			r.Status = ingotv1.ItemResult_STATUS_REJECTED
		}
		results = append(results, r)
	}
	return results
}

func (b *fakeBGP) Changed() <-chan struct{}         { return b.changed }
func (b *fakeBGP) Report(*ingotv1.Report)           {}
func (b *fakeBGP) States() []*ingotv1.SessionReport { return nil }
func (b *fakeBGP) Refresh()                         { b.note("BGP: refresh") }
func (b *fakeBGP) Explain(r map[string]string)      { b.note("BGP: %v", r) }
func (b *fakeBGP) HangUp()                          { b.note("BGP: hang up") }
func (b *fakeBGP) PathUp(peer string)               { b.note("BGP: path to %s up", peer) }

func (b *fakeBGP) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (b *fakeBGP) PathDown(peer, why string) bool {
	b.note("BGP: path to %s down: %s", peer, why)
	return true
}

// rig is a watcher of fakes.
type rig struct {
	*Watcher
	*script
	engine *fakeEngine
	bgp    *fakeBGP
	local  netip.Addr
	lost   error
}

func newRig() *rig {
	s := &script{}
	r := &rig{script: s, engine: &fakeEngine{script: s, opened: map[bfd.Key]*fakeSession{}}, bgp: &fakeBGP{script: s}, local: netip.MustParseAddr("192.0.2.2")}
	r.Watcher = newWatcher(Options{BGP: r.bgp, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}, r.engine)
	r.find = func(s *ingotv1.BgpSession, _ *ingotv1.SessionReport) (bfd.Key, error) {
		return bfd.Key{Remote: netip.MustParseAddr(s.GetAddress()), Local: r.local, VRF: s.GetVrf()}, r.lost
	}
	return r
}

func (r *rig) apply(items ...*ingotv1.Item) { r.Apply(context.Background(), items, false) }

func (r *rig) session(t *testing.T, address string) *fakeSession {
	t.Helper()
	for k, s := range r.engine.opened {
		if k.Remote.String() == address {
			return s
		}
	}
	t.Fatalf("no BFD session with %s", address)
	return nil
}

func item(peer, address string, ms uint32, change ...func(*ingotv1.BgpSession)) *ingotv1.Item {
	s := &ingotv1.BgpSession{Peer: peer, Address: address, MyAsn: 1, PeerAsn: 2,
		Bfd: &ingotv1.BfdParameters{Profile: "fast", TransmitIntervalMs: ms, ReceiveIntervalMs: ms, DetectMultiplier: 3}}
	for _, c := range change {
		c(s)
	}
	return &ingotv1.Item{Id: "bgp-session/" + peer, Content: &ingotv1.Item_BgpSession{BgpSession: s}}
}

func unwatched(s *ingotv1.BgpSession) { s.Bfd = nil }

func want(t *testing.T, what string, got []string, lines ...string) {
	t.Helper()
	if diff := cmp.Diff(lines, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestWhatConcernsBGPAloneReachesIt: the agent looks for these methods on what it is given.
func TestWhatConcernsBGPAloneReachesIt(t *testing.T) {
	r := newRig()
	var announcer any = r.Watcher
	announcer.(interface{ Explain(map[string]string) }).Explain(map[string]string{"bgp-session/tor1": "why"})
	announcer.(interface{ Refresh() }).Refresh()
	want(t, "told", r.take(), "BGP: map[bgp-session/tor1:why]", "BGP: refresh")
}

func TestSessionsAreWatchedAsTheirItemsSay(t *testing.T) {
	r := newRig()
	r.apply(item("tor1", "192.0.2.1", 300), item("tor2", "192.0.2.3", 300, unwatched))
	want(t, "opened", r.take(), "open 192.0.2.1 from 192.0.2.2, 300ms × 3")

	r.apply(item("tor1", "192.0.2.1", 300, func(s *ingotv1.BgpSession) { s.HoldTimeMs = new(uint32(3000)) }), item("tor2", "192.0.2.3", 300, unwatched))
	want(t, "nothing of BFD changed", r.take())

	r.apply(item("tor1", "192.0.2.1", 50), item("tor2", "192.0.2.3", 300))
	want(t, "another profile, and one more", r.take(), "retune 192.0.2.1, 50ms × 3", "open 192.0.2.3 from 192.0.2.2, 300ms × 3")

	r.apply(item("tor1", "192.0.2.1", 50, unwatched))
	want(t, "one without a profile, one gone", r.take(), "close 192.0.2.1", "close 192.0.2.3")

	r.apply(item("tor1", "192.0.2.1", 50))
	r.apply(item("tor1", "192.0.2.9", 50))
	want(t, "another neighbour", r.take(), "open 192.0.2.1 from 192.0.2.2, 50ms × 3", "close 192.0.2.1", "open 192.0.2.9 from 192.0.2.2, 50ms × 3")

	r.bgp.refuse = map[string]bool{"bgp-session/tor1": true, "bgp-session/tor3": true}
	r.apply(item("tor1", "192.0.2.7", 10), item("tor3", "192.0.2.8", 10))
	want(t, "what BGP refused", r.take())
}

func TestSessionsFollowTheNodesAddresses(t *testing.T) {
	r := newRig()
	r.lost = errors.New("no route")
	r.apply(item("tor", "192.0.2.1", 300))
	want(t, "no way", r.take())
	report := r.list()[0].report()
	if report.GetState() != "Down" || !slices.Equal(report.GetNotices(), []string{"no route"}) {
		t.Errorf("reported while there is no way: %v", report)
	}

	r.lost = nil
	r.look()
	want(t, "a way", r.take(), "open 192.0.2.1 from 192.0.2.2, 300ms × 3")
	r.session(t, "192.0.2.1").becomes(bfd.Up, bfd.Up)
	r.take()

	r.lost = errors.New("no route")
	r.look()
	want(t, "the way is lost: BFD itself shows whether that matters", r.take())

	r.lost, r.local = nil, netip.MustParseAddr("192.0.2.22")
	r.look()
	want(t, "another address of ours", r.take(), "close 192.0.2.1", "open 192.0.2.1 from 192.0.2.22, 300ms × 3")
	if got := r.list()[0].report().GetCounters().GetUpEvents(); got != 1 {
		t.Errorf("%d up events are counted over both sessions, want 1", got)
	}
}

func TestWhatBGPIsTold(t *testing.T) {
	const up, down = "BGP: path to tor up", "BGP: path to tor down: control detection time expired"
	for _, tt := range []struct {
		name  string
		steps func(*fakeSession)
		want  []string
	}{
		{"it never comes up", func(s *fakeSession) { s.becomes(bfd.Init, bfd.Down); s.becomes(bfd.Down, bfd.Down, failed) }, nil},
		{"it comes up", func(s *fakeSession) { s.becomes(bfd.Init, bfd.Down); s.becomes(bfd.Up, bfd.Up) }, []string{up}},
		{"it fails", func(s *fakeSession) { s.becomes(bfd.Up, bfd.Up); s.becomes(bfd.Down, bfd.Up, failed) }, []string{up, down}},
		{"it fails and comes back", func(s *fakeSession) {
			s.becomes(bfd.Up, bfd.Up)
			s.becomes(bfd.Down, bfd.Up, failed)
			s.becomes(bfd.Down, bfd.Down, failed)
			s.becomes(bfd.Init, bfd.Down, failed)
			s.becomes(bfd.Up, bfd.Up, func(s *bfd.Status) { s.Failed = false })
		}, []string{up, down, up}},
		{"the neighbour takes it down", func(s *fakeSession) { s.becomes(bfd.Up, bfd.Up); s.becomes(bfd.Down, bfd.AdminDown) }, []string{up}},
		{"other changes", func(s *fakeSession) {
			s.becomes(bfd.Up, bfd.Up)
			s.becomes(bfd.Up, bfd.Up, func(s *bfd.Status) { s.DetectionTime = time.Second })
		}, []string{up}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig()
			r.apply(item("tor", "192.0.2.1", 300))
			r.take()
			tt.steps(r.session(t, "192.0.2.1"))
			want(t, "told", r.take(), tt.want...)
		})
	}
}

// TestASessionThatIsUpWhenItIsOpenedIsToldOnce: it came up meanwhile, or is another owner's as well.
func TestASessionThatIsUpWhenItIsOpenedIsToldOnce(t *testing.T) {
	r := newRig()
	r.engine.up = true
	r.apply(item("tor", "192.0.2.1", 300))
	want(t, "opened", r.take(), "open 192.0.2.1 from 192.0.2.2, 300ms × 3", "BGP: path to tor up")
	s := r.session(t, "192.0.2.1")
	s.changed(bfd.Status{State: bfd.Init, Since: time.UnixMilli(900)})
	s.becomes(bfd.Up, bfd.Up)
	want(t, "told of how it came up", r.take())
	s.becomes(bfd.Down, bfd.Up, failed)
	want(t, "down", r.take(), "BGP: path to tor down: control detection time expired")
}

// What a session that was closed still has to say concerns nobody.
func TestClosedSessionsSayNothing(t *testing.T) {
	r := newRig()
	r.apply(item("tor", "192.0.2.1", 300))
	s := r.session(t, "192.0.2.1")
	s.becomes(bfd.Up, bfd.Up)
	r.apply(item("tor", "192.0.2.1", 300, unwatched))
	r.apply(item("tor", "192.0.2.1", 300))
	r.take()
	s.becomes(bfd.Down, bfd.Up, failed)
	want(t, "told", r.take())
}

func TestAdminDownIsSaidToAllAndIsTheEnd(t *testing.T) {
	r := newRig()
	r.apply(item("tor1", "192.0.2.1", 300), item("tor2", "192.0.2.3", 300))
	r.take()
	r.AdminDown(t.Context())
	want(t, "said", r.take(), "admin down 192.0.2.1", "admin down 192.0.2.3")
	r.apply(item("tor1", "192.0.2.1", 50), item("tor3", "192.0.2.4", 300))
	want(t, "afterwards", r.take())
}

// TestTheEnd: connections that neighbours shall take for a restart end before BFD does.
func TestTheEnd(t *testing.T) {
	r := newRig()
	r.apply(item("tor", "192.0.2.1", 300))
	r.take()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	want(t, "done", r.take(), "BGP: hang up", "admin down 192.0.2.1")
}

func TestReport(t *testing.T) {
	r := newRig()
	r.apply(item("tor", "192.0.2.1", 300, func(s *ingotv1.BgpSession) { s.Vrf = "red" }))
	r.session(t, "192.0.2.1").becomes(bfd.Down, bfd.Down, failed, func(s *bfd.Status) {
		s.Local = netip.MustParseAddrPort("192.0.2.2:50000")
		s.LocalDiscriminator, s.RemoteDiscriminator = 7, 9
		s.TransmitInterval, s.DetectionTime, s.EchoTransmitInterval = time.Second, 900*time.Millisecond, 50*time.Millisecond
		s.RemoteReceiveInterval, s.RemoteTransmitInterval, s.RemoteEchoInterval, s.RemoteDetectMultiplier = 1, 2*time.Microsecond, 3*time.Microsecond, 4
		s.Counters = bfd.Counters{ControlReceived: 1, ControlSent: 2, EchoReceived: 3, EchoSent: 4, UpEvents: 5, DownEvents: 6}
		s.Notices = []string{"a notice"}
	})
	report := &ingotv1.Report{}
	r.Report(report)
	want := &ingotv1.Report{Bfd: []*ingotv1.BfdReport{{
		Peer: "tor", Address: "192.0.2.1", LocalAddress: "192.0.2.2", Vrf: "red", Profile: "fast", State: "Down", RemoteState: "Down", SinceMs: 1000,
		Diagnostic: "control detection time expired", LocalDiscriminator: 7, RemoteDiscriminator: 9, TransmitIntervalUs: 1_000_000, DetectionTimeUs: 900_000,
		EchoTransmitIntervalUs: 50_000, RemoteTransmitIntervalUs: 2, RemoteEchoIntervalUs: 3, RemoteDetectMultiplier: 4,
		Counters: &ingotv1.BfdCounters{ControlReceived: 1, ControlSent: 2, EchoReceived: 3, EchoSent: 4, UpEvents: 5, DownEvents: 6},
		Notices:  []string{"a notice"},
	}}}
	if diff := cmp.Diff(want, report, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMetricsOfASessionGoWithIt(t *testing.T) {
	r := newRig()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector{r.Watcher})
	r.apply(item("tor", "192.0.2.1", 300), item("same", "192.0.2.1", 300, func(s *ingotv1.BgpSession) { s.Vrf = "red" }))
	x := r.list()[1]
	r.engine.opened[bfd.Key{Remote: netip.MustParseAddr("192.0.2.1"), Local: r.local}].becomes(bfd.Up, bfd.Up, func(s *bfd.Status) {
		s.Counters = bfd.Counters{ControlReceived: 1, ControlSent: 2, EchoReceived: 3, EchoSent: 4, UpEvents: 5, DownEvents: 6}
	})
	if x.peer != "tor" {
		t.Fatalf("the second watch is %s", x.peer)
	}
	var expected strings.Builder
	for _, m := range []struct {
		name, kind string
		value      int
	}{
		{"control_packet_input", "counter", 1}, {"control_packet_output", "counter", 2}, {"echo_packet_input", "counter", 3}, {"echo_packet_output", "counter", 4},
		{"session_up_events", "counter", 5}, {"session_down_events", "counter", 6}, {"session_up", "gauge", 1}, {"zebra_notifications", "counter", 1},
	} {
		fmt.Fprintf(&expected, "# TYPE metallb_bfd_%[1]s %[2]s\nmetallb_bfd_%[1]s{peer=\"192.0.2.1\",vrf=\"default\"} %[3]d\nmetallb_bfd_%[1]s{peer=\"192.0.2.1\",vrf=\"red\"} 0\n", m.name, m.kind, m.value)
	}
	got := gathered(t, registry)
	if diff := cmp.Diff(sorted(expected.String()), sorted(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	r.apply()
	if n, err := testutil.GatherAndCount(registry); err != nil || n != 0 {
		t.Errorf("%d series without a session, %v", n, err)
	}
}

// gathered is what a registry shows, without the help.
func gathered(t *testing.T, registry *prometheus.Registry) string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		fmt.Fprintf(&b, "# TYPE %s %s\n", f.GetName(), strings.ToLower(f.GetType().String()))
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			fmt.Fprintf(&b, "%s{peer=%q,vrf=%q} %.0f\n", f.GetName(), labels["peer"], labels["vrf"], m.GetGauge().GetValue()+m.GetCounter().GetValue())
		}
	}
	return b.String()
}

func sorted(text string) []string { return slices.Sorted(strings.Lines(text)) }

// TestASessionThatLeavesIsWatchedToItsEnd: while it is drained, a neighbour that takes the end of BFD for a failure would end
// it.
func TestASessionThatLeavesIsWatchedToItsEnd(t *testing.T) {
	r := newRig()
	r.apply(item("tor", "192.0.2.1", 300))
	r.take()
	bgp := r.bgp
	bgp.leaving = map[string]bool{"tor": true}
	r.apply()
	want(t, "draining", r.take())
	bgp.leaving = nil
	r.look()
	want(t, "drained", r.take(), "close 192.0.2.1")
}
