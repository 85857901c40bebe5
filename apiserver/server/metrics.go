package server

import (
	"context"
	"crypto/tls"
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

	"github.com/ingot-lb/ingot/certs"
	"github.com/ingot-lb/ingot/certs/monitoring"
	"github.com/ingot-lb/ingot/certs/permit"
	"github.com/ingot-lb/ingot/speaker/listen"
)

// monitor serves /metrics, /healthz, /livez and /readyz over plain HTTP or TLS, from the very start of the process.
type monitor struct {
	readiness *readiness
	log       *slog.Logger
	level     *prometheus.Registry
	// hub holds the registry of the stream's metrics once there is one.
	hub atomic.Pointer[prometheus.Registry]
	// certificates likewise.
	certificates atomic.Pointer[prometheus.Registry]
	// own is the certificate of the stream, once there is one.
	own atomic.Pointer[certs.Serving]
	// shown measures the certificate of the metrics themselves.
	shown *prometheus.Registry
	// export likewise, as hub.
	export atomic.Pointer[prometheus.Registry]
}

// handler puts permit before the metrics.
func (m *monitor) handler(permit func(http.Handler) http.Handler) http.Handler {
	// The generic server keeps its metrics in a registry of its own, as do we.
	all := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		gatherers := prometheus.Gatherers{legacyregistry.DefaultGatherer}
		for _, own := range []*prometheus.Registry{m.level, m.shown, m.hub.Load(), m.certificates.Load(), m.export.Load()} {
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
	mux.Handle("GET /metrics", permit(promhttp.HandlerFor(all, promhttp.HandlerOpts{
		ErrorLog:      slog.NewLogLogger(m.log.Handler(), slog.LevelWarn),
		ErrorHandling: promhttp.ContinueOnError,
		// Each gathers everything anew.
		MaxRequestsInFlight: 4,
	})))
	mux.Handle("GET /readyz", m.readiness)
	mux.HandleFunc("GET /healthz", alive)
	mux.HandleFunc("GET /livez", alive)
	return mux
}

// startMonitor listens, over TLS if that is asked for. Then metrics are for those alone who may read them.
func (p *process) startMonitor(ctx context.Context) error {
	o := p.options.Monitoring
	o.Limits, o.Log, o.Own = &p.options.Limits, p.log, p.monitor.certificate
	certificate, err := monitoring.Open(o)
	if err != nil {
		return err
	}
	p.monitor.shown = prometheus.NewRegistry()
	if err := p.monitor.shown.Register(certificate); err != nil {
		return fmt.Errorf("metrics of the metrics' certificate: %w", err)
	}
	readers := func(metrics http.Handler) http.Handler {
		if certificate == nil {
			return metrics
		}
		return permit.Readers(p.kube, p.log, metrics)
	}
	l, err := net.Listen("tcp", p.options.MetricsAddress)
	if err != nil {
		return fmt.Errorf("--metrics-address: %w", err)
	}
	l = certificate.Listener(listen.Fair(l, monitorConnections))
	p.group.Go(func() error { return serveHTTP(ctx, l, p.monitor.handler(readers)) })
	return nil
}

var errNoCertificate = errors.New("there is no serving certificate yet")

func (m *monitor) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if own := m.own.Load(); own != nil {
		return own.GetCertificate(hello)
	}
	return nil, errNoCertificate
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
