package dispatch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/ingot-lb/ingot/apiserver/dispatch/identity"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

const (
	// maxMessage bounds what a speaker may send at once, in bytes.
	maxMessage = 4 << 20
	// maxHeaders bounds the metadata of a call, in bytes; a token is the largest.
	maxHeaders = 64 << 10
	// handshakeTimeout is how long a caller may take before it can call.
	handshakeTimeout = 10 * time.Second
	// pingTimeout closes a connection on which nothing arrives though it was asked for. The streams' own heartbeats find a
	// speaker that is gone sooner, and know when it was this process that stood still; a ping does not.
	pingTimeout = 20 * time.Second
	// stopGrace is how long streams have to end on shutdown.
	stopGrace = 5 * time.Second
)

// newServer returns the gRPC server. Health and reflection answer anyone, so that probes and grpcurl need nothing;
// the stream wants a token.
func newServer(h *Hub, config *tls.Config, tokens *identity.Authenticator) *grpc.Server {
	guarded := "/" + ingotv1.Dispatch_ServiceDesc.ServiceName + "/"
	server := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(config)),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(16),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle:     time.Minute, // a speaker has its stream
			Time:                  10 * time.Second,
			Timeout:               pingTimeout,
			MaxConnectionAge:      30 * time.Minute,
			MaxConnectionAgeGrace: time.Minute,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.ChainStreamInterceptor(h.metrics.rpc.stream, tokens.StreamInterceptor(guarded)),
		grpc.ChainUnaryInterceptor(h.metrics.rpc.unary, tokens.UnaryInterceptor(guarded)),
	)
	ingotv1.RegisterDispatchServer(server, dispatchServer{hub: h})
	alive := health.NewServer()
	alive.SetServingStatus(ingotv1.Dispatch_ServiceDesc.ServiceName, grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(server, alive)
	reflection.Register(server)
	h.metrics.rpc.register(server)
	return server
}

// serve answers speakers until ctx ends; then it asks them to leave, and waits a little.
func (h *Hub) serve(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- h.server.Serve(h.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("dispatch: serve: %w", err)
	case <-ctx.Done():
	}
	close(h.draining)
	stopped := make(chan struct{})
	go func() {
		h.server.GracefulStop()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(stopGrace):
		h.server.Stop()
		<-stopped
	}
	if err := <-failed; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("dispatch: serve: %w", err)
	}
	return nil
}
