package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/component-base/metrics/legacyregistry"
)

// monitor serves /metrics, /healthz, /livez and /readyz over plain HTTP, from the very start of the process.
type monitor struct {
	readiness *readiness
	log       *slog.Logger
	level     *prometheus.Registry
	// hub holds the registry of the stream's metrics once there is one.
	hub atomic.Pointer[prometheus.Registry]
	// certificates likewise.
	certificates atomic.Pointer[prometheus.Registry]
}

func (m *monitor) handler() http.Handler {
	// The generic server keeps its metrics in a registry of its own, as do we.
	all := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		gatherers := prometheus.Gatherers{legacyregistry.DefaultGatherer}
		for _, own := range []*prometheus.Registry{m.level, m.hub.Load(), m.certificates.Load()} {
			if own != nil {
				gatherers = append(gatherers, own)
			}
		}
		return gatherers.Gather()
	})
	alive := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok")) // the prober is gone otherwise
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(all, promhttp.HandlerOpts{
		ErrorLog:      slog.NewLogLogger(m.log.Handler(), slog.LevelWarn),
		ErrorHandling: promhttp.ContinueOnError,
		// Each gathers everything anew.
		MaxRequestsInFlight: 4,
	}))
	mux.Handle("GET /readyz", m.readiness)
	mux.HandleFunc("GET /healthz", alive)
	mux.HandleFunc("GET /livez", alive)
	return mux
}

// serveHTTP serves handler on l until ctx ends.
func serveHTTP(ctx context.Context, l net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
