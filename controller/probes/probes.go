// Package probes serves what the kubelet and Prometheus ask of a program.
package probes

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/client-go/kubernetes"

	"github.com/ingot-lb/ingot/certs/monitoring"
	"github.com/ingot-lb/ingot/certs/permit"
	listening "github.com/ingot-lb/ingot/speaker/listen"
)

// connections that are open at once, at most.
const connections = 256

// Server serves /metrics, /healthz and /readyz.
type Server struct {
	http    http.Server
	address net.Addr
}

// Address is where it serves, with the port where none was asked for.
func (s *Server) Address() net.Addr { return s.address }

// Options say what to serve, and where.
type Options struct {
	Address string
	Metrics prometheus.Collector
	// Ready returns why the program is not at work, nil when it is.
	Ready func() error
	// TLS says whether to serve over TLS. Then metrics are for those alone who may read them by the word of the cluster that
	// Client reaches.
	TLS    monitoring.Options
	Client kubernetes.Interface
	Log    *slog.Logger
}

// Listen serves until Stop. The error is that of listening, or of the certificate.
func Listen(ctx context.Context, o Options) (*Server, error) {
	certificate, err := monitoring.Open(o.TLS)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(o.Metrics, certificate, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	if certificate != nil {
		metrics = permit.Readers(o.Client, o.Log, metrics)
	}
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := o.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("--metrics-address: %w", err)
	}
	s := &Server{address: l.Addr(), http: http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}}
	go s.http.Serve(certificate.Listener(listening.Fair(l, connections))) // returns when Stop closes the listener
	return s, nil
}

// Stop gives requests under way a moment.
func (s *Server) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
}
