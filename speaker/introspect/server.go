// Package introspect shows what one node's speaker holds and does: SpeakerService, health and reflection for
// grpcurl, and metrics and probes over HTTP. What changes something answers only on the unix socket.
package introspect

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/listen"
	"github.com/ingot-lb/ingot/speaker/logging"
)

// Source is what is shown.
type Source interface {
	// State returns who the speaker is, whom it obeys and how much it holds.
	State() *ingotv1.GetStateResponse
	// Observations returns BGP and BFD sessions, layer-2 addresses and links as they are now.
	Observations() *ingotv1.Report
	// Sessions returns the BGP sessions that the node shall keep, without their passwords, and the names of the peers that
	// have one.
	Sessions() (sessions []*ingotv1.BgpSession, protected []string)
	// Routes returns the routes that the node announces by BGP, and to whom.
	Routes() []*ingotv1.Route
	// Announcements returns the prefixes and addresses that the node shall announce.
	Announcements() []*ingotv1.Announcement
	// Layer2 returns the layer-2 addresses that the node has to do with.
	Layer2() []*ingotv1.Layer2State
	// Neighbors returns the hosts heard asking for this node's addresses.
	Neighbors() []*ingotv1.Neighbor
	// Health says which parts work, by the service names of the gRPC health protocol.
	Health() map[string]bool
	// Ready says whether the node announces what it was last asked to.
	Ready() bool
}

// Options say what is served where.
type Options struct {
	Source Source
	Events *Events
	Level  *logging.Level
	// Drain takes BGP sessions out of service until a time.
	Drain func(until time.Time)
	// Address is the TCP address of the read-only service, on loopback; empty: none.
	Address string
	// Socket is the path of the unix socket; empty: none.
	Socket string
	Log    *slog.Logger
}

// healthInterval is how old what the health service says may be.
const healthInterval = 500 * time.Millisecond

// Limits of what a caller can make the speaker do.
const (
	maxStreams = 32
	maxRequest = 64 << 10
)

// Server serves SpeakerService.
type Server struct {
	opts   Options
	health *health.Server
}

// New returns a server. It refuses an address that other hosts could reach: the service knows no users.
func New(opts Options) (*Server, error) {
	if opts.Address != "" {
		host, _, err := net.SplitHostPort(opts.Address)
		if err != nil {
			return nil, fmt.Errorf("address of SpeakerService: %w", err)
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, fmt.Errorf("address of SpeakerService: %q is not on loopback", opts.Address)
		}
	}
	return &Server{opts: opts, health: health.NewServer()}, nil
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { s.followHealth(ctx); return nil })
	if s.opts.Address != "" {
		g.Go(func() error {
			listen.Keep(ctx, s.opts.Log, "SpeakerService (read-only)", listen.TCP(s.opts.Address), s.serve(true))
			return nil
		})
	}
	if s.opts.Socket != "" {
		g.Go(func() error {
			listen.Keep(ctx, s.opts.Log, "SpeakerService", listen.Unix(s.opts.Socket), s.serve(false))
			return nil
		})
	}
	return g.Wait()
}

// serve returns what serves one listener.
func (s *Server) serve(readOnly bool) func(context.Context, net.Listener) error {
	return func(ctx context.Context, l net.Listener) error {
		server := grpc.NewServer(grpc.MaxConcurrentStreams(maxStreams), grpc.MaxRecvMsgSize(maxRequest))
		ingotv1.RegisterSpeakerServiceServer(server, &service{opts: s.opts, readOnly: readOnly})
		healthv1.RegisterHealthServer(server, s.health)
		reflection.Register(server)
		stop := context.AfterFunc(ctx, server.Stop)
		defer stop()
		return server.Serve(l)
	}
}

// followHealth keeps the health service saying what the source says.
func (s *Server) followHealth(ctx context.Context) {
	tick := time.NewTicker(healthInterval)
	defer tick.Stop()
	for {
		for name, works := range s.opts.Source.Health() {
			status := healthv1.HealthCheckResponse_NOT_SERVING
			if works {
				status = healthv1.HealthCheckResponse_SERVING
			}
			s.health.SetServingStatus(name, status)
		}
		select {
		case <-ctx.Done():
			s.health.Shutdown()
			return
		case <-tick.C:
		}
	}
}
