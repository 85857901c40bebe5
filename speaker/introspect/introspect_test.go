package introspect

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/logging"
	"github.com/ingot-lb/ingot/test/await"
)

// source is a speaker that is always the same, but for its connection to the centre.
type source struct{ connected, ready atomic.Bool }

var (
	state    = &ingotv1.GetStateResponse{Node: "node1", Lineage: "L", Epoch: 5}
	session  = &ingotv1.SessionReport{Peer: "tor1", State: "Established"}
	watched  = &ingotv1.BfdReport{Peer: "tor1", State: "Up"}
	link     = &ingotv1.LinkReport{Name: "eth1", Up: true}
	announce = &ingotv1.Announcement{Protocol: "bgp", Target: "192.0.2.1/32"}
	address  = &ingotv1.Layer2State{Order: &ingotv1.Layer2Address{Address: "192.0.2.9"}, Report: &ingotv1.Layer2Report{Address: "192.0.2.9", Answering: true}}
	segment  = &ingotv1.SegmentReport{Interface: "eth1", Peers: []*ingotv1.SegmentPeerReport{
		{Node: "node2", Address: "192.0.2.12", BfdState: "Up", BfdSinceMs: 5}, {Node: "node3", Address: "192.0.2.13"}}}
	pair     = &ingotv1.BfdReport{Peer: "node/node2", Address: "192.0.2.12", Interface: "eth1", State: "Up", SinceMs: 5}
	neighbor = &ingotv1.Neighbor{Interface: "eth1", Address: "192.0.2.7"}
)

func (s *source) State() *ingotv1.GetStateResponse { return state }
func (s *source) Observations() *ingotv1.Report {
	return &ingotv1.Report{Sessions: []*ingotv1.SessionReport{session}, Bfd: []*ingotv1.BfdReport{watched}, Links: []*ingotv1.LinkReport{link},
		Segments: []*ingotv1.SegmentReport{segment}}
}
func (s *source) Sessions() ([]*ingotv1.BgpSession, []string) {
	return []*ingotv1.BgpSession{{Peer: "tor", MyAsn: 64500, PeerAsn: 64501, Address: "192.0.2.1"}}, []string{"tor"}
}
func (s *source) Routes() []*ingotv1.Route {
	return []*ingotv1.Route{
		{Route: &ingotv1.BgpRoute{Prefix: "198.51.100.0/24"}}, {Route: &ingotv1.BgpRoute{Prefix: "198.51.100.7/32"}},
		{Route: &ingotv1.BgpRoute{Prefix: "2001:db8::/64"}},
	}
}
func (s *source) Announcements() []*ingotv1.Announcement { return []*ingotv1.Announcement{announce} }
func (s *source) Layer2() []*ingotv1.Layer2State         { return []*ingotv1.Layer2State{address} }
func (s *source) Neighbors() []*ingotv1.Neighbor         { return []*ingotv1.Neighbor{neighbor} }
func (s *source) Ready() bool                            { return s.ready.Load() }
func (s *source) Health() map[string]bool {
	return map[string]bool{"": true, "bgp": true, "l2": true, "dispatch": s.connected.Load()}
}

// served is a server under test, and connections to it.
type served struct {
	source *source
	events *Events
	level  *logging.Level
	log    *slog.Logger
	tcp    *grpc.ClientConn
	unix   *grpc.ClientConn
	socket string
	drains chan time.Time
}

func serve(t *testing.T) *served {
	t.Helper()
	s := &served{source: &source{}, events: NewEvents(), socket: filepath.Join(t.TempDir(), "speaker.sock")}
	var err error
	s.level, err = logging.NewLevel("info")
	check(t, err)
	s.log = slog.New(s.events.Handler(logging.New(io.Discard, s.level).Handler()))
	s.drains = make(chan time.Time, 4)
	server, err := New(Options{Source: s.source, Events: s.events, Level: s.level, Address: "127.0.0.1:0", Socket: s.socket, Log: s.log,
		Drain: func(until time.Time) { s.drains <- until }})
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	addresses := make(chan string, 4) // the log says where it listens
	server.opts.Log = slog.New(&addressTap{Handler: s.log.Handler(), to: addresses})
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	for s.tcp == nil || s.unix == nil {
		address := <-addresses
		target := "passthrough:///" + address
		if strings.HasPrefix(address, "/") {
			target = "unix:" + s.socket
		}
		conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
		check(t, err)
		t.Cleanup(func() { conn.Close() })
		if strings.HasPrefix(address, "/") {
			s.unix = conn
		} else {
			s.tcp = conn
		}
	}
	return s
}

// addressTap reads from the log where a server listens.
type addressTap struct {
	slog.Handler
	to chan string
}

func (a *addressTap) Handle(ctx context.Context, r slog.Record) error {
	r.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "address" {
			a.to <- attr.Value.String()
		}
		return true
	})
	return a.Handler.Handle(ctx, r)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestBothListenersShowTheSpeaker(t *testing.T) {
	s := serve(t)
	for name, conn := range map[string]*grpc.ClientConn{"tcp": s.tcp, "unix": s.unix} {
		t.Run(name, func(t *testing.T) {
			c := ingotv1.NewSpeakerServiceClient(conn)
			st, err := c.GetState(t.Context(), &ingotv1.GetStateRequest{})
			check(t, err)
			sessions, err := c.ListSessions(t.Context(), &ingotv1.ListSessionsRequest{})
			check(t, err)
			bfd, err := c.ListBfdSessions(t.Context(), &ingotv1.ListBfdSessionsRequest{})
			check(t, err)
			announcements, err := c.ListAnnouncements(t.Context(), &ingotv1.ListAnnouncementsRequest{})
			check(t, err)
			layer2, err := c.ListLayer2(t.Context(), &ingotv1.ListLayer2Request{})
			check(t, err)
			neighbors, err := c.ListNeighbors(t.Context(), &ingotv1.ListNeighborsRequest{})
			check(t, err)

			got := []any{st, sessions, bfd, announcements, layer2, neighbors}
			want := []any{
				state,
				&ingotv1.ListSessionsResponse{Sessions: []*ingotv1.SessionReport{session}},
				&ingotv1.ListBfdSessionsResponse{Sessions: []*ingotv1.BfdReport{watched, pair}},
				&ingotv1.ListAnnouncementsResponse{Announcements: []*ingotv1.Announcement{announce}},
				&ingotv1.ListLayer2Response{Addresses: []*ingotv1.Layer2State{address}},
				&ingotv1.ListNeighborsResponse{Links: []*ingotv1.LinkReport{link}, Segments: []*ingotv1.SegmentReport{segment}, Neighbors: []*ingotv1.Neighbor{neighbor}},
			}
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Errorf("shown (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSocketIsItsOwnersAlone(t *testing.T) {
	s := serve(t)
	info, err := os.Stat(s.socket)
	check(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o, want 600", info.Mode().Perm())
	}
	entries, err := os.ReadDir(filepath.Dir(s.socket))
	check(t, err)
	if len(entries) != 1 {
		t.Errorf("left beside the socket: %v", entries)
	}
}

func TestLogLevelChangesOnTheSocketOnly(t *testing.T) {
	s := serve(t)
	req := &ingotv1.SetLogLevelRequest{Level: "debug"}
	if _, err := ingotv1.NewSpeakerServiceClient(s.tcp).SetLogLevel(t.Context(), req); status.Code(err) != codes.PermissionDenied {
		t.Errorf("over TCP: %v, want PermissionDenied", err)
	}
	if s.level.Level() != slog.LevelInfo {
		t.Error("changed over TCP")
	}
	resp, err := ingotv1.NewSpeakerServiceClient(s.unix).SetLogLevel(t.Context(), req)
	check(t, err)
	if s.level.Level() != slog.LevelDebug || resp.GetPrevious() != "info" {
		t.Errorf("level %v, answer %v", s.level.Level(), resp)
	}
	for _, bad := range []*ingotv1.SetLogLevelRequest{
		{Level: "loud"}, {Level: "debug", Duration: durationpb.New(2 * time.Hour)}, {Level: "debug", Duration: durationpb.New(-1)},
	} {
		if _, err := ingotv1.NewSpeakerServiceClient(s.unix).SetLogLevel(t.Context(), bad); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: %v, want InvalidArgument", bad, err)
		}
	}
}

func TestSessionsAreDrainedOnTheSocketOnly(t *testing.T) {
	s := serve(t)
	if _, err := ingotv1.NewSpeakerServiceClient(s.tcp).Drain(t.Context(), &ingotv1.DrainRequest{}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("over TCP: %v, want PermissionDenied", err)
	}
	for _, bad := range []time.Duration{-1, 25 * time.Hour} {
		if _, err := ingotv1.NewSpeakerServiceClient(s.unix).Drain(t.Context(), &ingotv1.DrainRequest{Duration: durationpb.New(bad)}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("for %s: %v, want InvalidArgument", bad, err)
		}
	}
	if len(s.drains) != 0 {
		t.Fatal("drained nevertheless")
	}
	for request, want := range map[*ingotv1.DrainRequest]time.Duration{
		{}: 10 * time.Minute, {Duration: durationpb.New(time.Hour)}: time.Hour, {Duration: durationpb.New(0)}: 0,
	} {
		before := time.Now()
		answer, err := ingotv1.NewSpeakerServiceClient(s.unix).Drain(t.Context(), request)
		check(t, err)
		until := <-s.drains
		if until.Before(before.Add(want)) || until.After(time.Now().Add(want)) || !answer.GetUntil().AsTime().Equal(until) {
			t.Errorf("%v: drained until %s and answered %s, want %s from %s", request, until, answer.GetUntil().AsTime(), want, before)
		}
	}
}

func TestHealthOfTheProcessDoesNotDependOnTheCentre(t *testing.T) {
	s := serve(t)
	c := healthv1.NewHealthClient(s.tcp)
	for name, want := range map[string]healthv1.HealthCheckResponse_ServingStatus{
		"": healthv1.HealthCheckResponse_SERVING, "bgp": healthv1.HealthCheckResponse_SERVING,
		"l2": healthv1.HealthCheckResponse_SERVING, "dispatch": healthv1.HealthCheckResponse_NOT_SERVING,
	} {
		awaitHealth(t, c, name, want)
	}
	s.source.connected.Store(true)
	awaitHealth(t, c, "dispatch", healthv1.HealthCheckResponse_SERVING)
}

// awaitHealth watches until the status is as wanted.
func awaitHealth(t *testing.T, c healthv1.HealthClient, name string, want healthv1.HealthCheckResponse_ServingStatus) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w, err := c.Watch(ctx, &healthv1.HealthCheckRequest{Service: name})
	check(t, err)
	for {
		got, err := w.Recv()
		if err != nil {
			t.Fatalf("%q never becomes %v: %v", name, want, err)
		}
		if got.GetStatus() == want {
			return
		}
	}
}

func TestReflectionListsTheServices(t *testing.T) {
	s := serve(t)
	for name, conn := range map[string]*grpc.ClientConn{"tcp": s.tcp, "unix": s.unix} {
		r, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
		check(t, err)
		check(t, r.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}))
		resp, err := r.Recv()
		check(t, err)
		var names []string
		for _, svc := range resp.GetListServicesResponse().GetService() {
			names = append(names, svc.GetName())
		}
		if !strings.Contains(strings.Join(names, " "), "ingot.v1.SpeakerService") {
			t.Errorf("%s lists %v", name, names)
		}
		check(t, r.CloseSend())
	}
}

func TestEventsAreTheLogLinesThatTellOfOne(t *testing.T) {
	s := serve(t)
	w, err := ingotv1.NewSpeakerServiceClient(s.tcp).WatchEvents(t.Context(), &ingotv1.WatchEventsRequest{})
	check(t, err)
	await.True(t, "somebody watches", s.events.watched)
	check(t, s.level.Object("error"))
	s.log.Info("nothing to see")
	s.log.With("peer", "tor1").Info("BGP session established", "event", "sessionUp", "localASN", 64512)

	got, err := w.Recv()
	check(t, err)
	got.Time = nil
	want := &ingotv1.WatchEventsResponse{Event: "sessionUp", Message: "BGP session established",
		Attributes: map[string]string{"peer": "tor1", "localASN": "64512"}}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestEventsAtTheLogLevel(t *testing.T) {
	s := serve(t)
	events, stop, err := s.events.Watch(true)
	check(t, err)
	defer stop()
	for _, step := range []struct{ level, want string }{{"error", "failed"}, {"none", ""}, {"info", "happened failed"}, {"debug", "tried happened failed"}} {
		check(t, s.level.Object(step.level))
		s.log.Debug("x", "event", "tried")
		s.log.Info("x", "event", "happened")
		s.log.Error("x", "event", "failed")
		var got []string
		for len(events) > 0 {
			got = append(got, (<-events).GetEvent())
		}
		if strings.Join(got, " ") != step.want {
			t.Errorf("at %s: %v, want %s", step.level, got, step.want)
		}
	}
}

func TestSlowWatcherIsDroppedAndOthersAreNot(t *testing.T) {
	e := NewEvents()
	slow, _, err := e.Watch(false)
	check(t, err)
	fast, stop, err := e.Watch(false)
	check(t, err)
	log := slog.New(e.Handler(slog.DiscardHandler))
	for range watcherBuffer + 1 {
		log.Info("x", "event", "x")
		<-fast
	}
	n := 0
	for range slow {
		n++
	}
	if n != watcherBuffer {
		t.Errorf("the slow one got %d events, want %d and then the end", n, watcherBuffer)
	}
	stop()
	if _, open := <-fast; open || e.watched() {
		t.Error("stop does not stop")
	}
	for range maxWatchers {
		_, _, err := e.Watch(false)
		check(t, err)
	}
	if _, _, err := e.Watch(false); err == nil {
		t.Error("watchers are not bounded")
	}
}

func TestAddressesBeyondLoopbackAreRefused(t *testing.T) {
	for address, ok := range map[string]bool{
		"127.0.0.1:7474": true, "[::1]:7474": true, "localhost:0": true, "": true,
		":7474": false, "0.0.0.0:7474": false, "192.0.2.1:7474": false, "7474": false,
	} {
		if _, err := New(Options{Address: address}); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestHTTPShowsMetricsAndProbes(t *testing.T) {
	src := &source{}
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "x_total", Help: "x"})
	registry.MustRegister(counter)
	server := httptest.NewServer(Handler(registry, src))
	defer server.Close()
	get := func(path string) (int, string) {
		resp, err := http.Get(server.URL + path)
		check(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		check(t, err)
		return resp.StatusCode, string(body)
	}
	if code, _ := get("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz %d", code)
	}
	if code, _ := get("/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("/readyz %d before there is any state", code)
	}
	src.ready.Store(true)
	if code, _ := get("/readyz"); code != http.StatusOK {
		t.Errorf("/readyz %d with state and without centre", code)
	}
	if code, body := get("/metrics"); code != http.StatusOK || !strings.Contains(body, "x_total 0") {
		t.Errorf("/metrics %d %s", code, body)
	}
}
