package introspect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ingot-lb/ingot/certs/monitoring"
	"github.com/ingot-lb/ingot/speaker/listen"
)

// Handler serves /metrics, /healthz and /readyz. Being without the centre makes a speaker neither unhealthy nor, if
// it announces what it was last asked to, unready.
func Handler(gatherer prometheus.Gatherer, source Source) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if !source.Health()[""] {
			http.Error(w, "not healthy", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if !source.Ready() {
			http.Error(w, "no state: neither saved nor heard from the centre", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// connections that are open at once, at most.
const connections = 256

// ServeHTTP serves handler at address until ctx ends, over TLS where there is a certificate.
func ServeHTTP(ctx context.Context, log *slog.Logger, address string, certificate *monitoring.Certificate, handler http.Handler) {
	listen.Keep(ctx, log, "metrics", listen.TCP(address), func(ctx context.Context, l net.Listener) error {
		server := &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    16 << 10,
		}
		stop := context.AfterFunc(ctx, func() { server.Close() })
		defer stop()
		if err := server.Serve(certificate.Listener(listen.Fair(l, connections))); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
}
