// Package server puts the parts of the program webhooks together: what is heard of the cluster, the certificate, the
// registration with the kube-apiserver, and the answers.
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
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/ingot-lb/ingot/certs"
	"github.com/ingot-lb/ingot/certs/handshake"
	"github.com/ingot-lb/ingot/certs/monitoring"
	"github.com/ingot-lb/ingot/controller/loglevel"
	"github.com/ingot-lb/ingot/controller/probes"
	"github.com/ingot-lb/ingot/controller/service"
	"github.com/ingot-lb/ingot/speaker/logging"
	"github.com/ingot-lb/ingot/webhooks/admission"
	"github.com/ingot-lb/ingot/webhooks/registration"
)

// Options are the flags of the program, and what it is.
type Options struct {
	Kubeconfig, Namespace, Class     string
	Address, Service, MetricsAddress string
	Enforce                          bool
	// CertFile and KeyFile are served by instead of what the apiserver issues; CAFile says by what clients know them.
	CertFile, KeyFile, CAFile string
	// Limits are what TLS agrees to, and Monitoring whether metrics are served over it.
	Limits       handshake.Limits
	Monitoring   monitoring.Options
	UnknownPools service.UnknownPools
	Version      string
	// Linger is how long to go on answering at the end, until nobody is sent here any longer.
	Linger time.Duration
	Log    *slog.Logger
	// Level is that of Log, to be kept at what the MetalLB object says; nil: it is not.
	Level *logging.Level
	// Config reaches the cluster in place of Kubeconfig, where it is not nil.
	Config *rest.Config

	// listener is answered at in place of Address, where it is not nil, and patience is in place of that of the parts,
	// where it is not 0: of an answer, and of what has to be heard of for one.
	listener net.Listener
	patience time.Duration
}

var errNoCertificate = errors.New("there is no serving certificate yet")

// Run serves until ctx ends. The error is one of the options, or of listening.
func Run(ctx context.Context, o Options) error {
	config, err := configOf(o)
	if err != nil {
		return err
	}
	hc, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("HTTP client: %w", err)
	}
	client, err := kubernetes.NewForConfigAndClient(service.Compact(config), hc)
	if err != nil {
		return fmt.Errorf("client of Kubernetes: %w", err)
	}
	pools, err := service.NewPoolClient(config, hc)
	if err != nil {
		return fmt.Errorf("client of metallb.io: %w", err)
	}
	peers, err := admission.NewPeers(config, hc, o.Namespace)
	if err != nil {
		return fmt.Errorf("client of metallb.io/v1beta2: %w", err)
	}
	preview := service.NewPreview(service.Options{Client: client, Pools: pools, Namespace: o.Namespace, Class: o.Class,
		UnknownPools: o.UnknownPools, CatchUp: o.patience, Log: o.Log})
	handler := admission.New(admission.Options{Services: preview, Peers: peers, Namespace: o.Namespace, Enforce: o.Enforce, Patience: o.patience, Log: o.Log})

	l := o.listener
	if l == nil {
		var listener net.ListenConfig
		if l, err = listener.Listen(ctx, "tcp", o.Address); err != nil {
			return fmt.Errorf("--bind-address: %w", err)
		}
	}
	defer l.Close()
	var serving atomic.Bool
	var loaded atomic.Pointer[certs.Serving]
	ready := func() error {
		if ctx.Err() != nil {
			return errors.New("the program is ending")
		}
		if err := errors.Join(preview.Ready(), peers.Ready()); err != nil {
			return err
		}
		if !serving.Load() {
			return errNoCertificate
		}
		return nil
	}
	if o.MetricsAddress != "" {
		metrics := probes.Collectors{measured{handler, &loaded}}
		if o.Level != nil {
			metrics = append(metrics, o.Level)
		}
		o.Monitoring.Limits, o.Monitoring.Log = &o.Limits, o.Log
		o.Monitoring.Own = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if own := loaded.Load(); own != nil {
				return own.GetCertificate(hello)
			}
			return nil, errNoCertificate
		}
		probe, err := probes.Listen(ctx, probes.Options{
			Address: o.MetricsAddress, Metrics: metrics, Ready: ready, TLS: o.Monitoring, Client: client, Log: o.Log,
		})
		if err != nil {
			return err
		}
		defer probe.Stop()
	}

	// What answers depend on is kept up for as long as there are answers, which is longer than ctx.
	work, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	g, work := errgroup.WithContext(work)
	defer context.AfterFunc(ctx, func() {
		if !serving.Load() {
			end()
		}
	})()
	g.Go(func() error { return preview.Run(work) })
	g.Go(func() error { peers.Run(work); return nil })
	if o.Level != nil {
		g.Go(func() error { loglevel.Follow(work, pools, o.Namespace, o.Level, o.Log); return nil })
	}
	g.Go(func() error {
		defer end()
		certificate, keep, err := o.certificate(work, client)
		if err != nil {
			return err
		}
		loaded.Store(certificate)
		g.Go(func() error { return keep(work) })
		g.Go(func() error {
			registration.Keep(work, registration.Options{Client: client, Service: o.Service, Namespace: o.Namespace,
				Class: o.Class, Log: o.Log})
			return nil
		})
		serving.Store(true)
		return serve(ctx, work, l, o.Linger, handler,
			o.Limits.Apply(&tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate.GetCertificate}))
	})
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// certificate returns the one to serve by once there is a good one, and what keeps it so. That of files is wanted to be
// good at once: whoever set the flags is told so.
func (o Options) certificate(ctx context.Context, client kubernetes.Interface) (*certs.Serving, func(context.Context) error, error) {
	if o.CertFile == "" {
		issued, err := certs.OpenIssued(ctx, certs.IssuedOptions{Client: client, Namespace: o.Namespace, Service: o.Service, Log: o.Log})
		if err != nil {
			return nil, nil, err
		}
		return &issued.Serving, issued.Run, nil
	}
	files, err := certs.OpenFiles(certs.FilesOptions{Cert: o.CertFile, Key: o.KeyFile, CA: o.CAFile,
		Name: certs.ServiceNames(o.Service, o.Namespace)[0], Log: o.Log})
	if err != nil {
		return nil, nil, fmt.Errorf("--tls-cert-file: %w", err)
	}
	return &files.Serving, files.Run, nil
}

// measured has the metrics of the program: those of the answers and, once there is one, of the certificate.
type measured struct {
	prometheus.Collector
	certificate *atomic.Pointer[certs.Serving]
}

// Collect implements prometheus.Collector.
func (m measured) Collect(ch chan<- prometheus.Metric) {
	m.Collector.Collect(ch)
	if c := m.certificate.Load(); c != nil {
		c.Collect(ch)
	}
}

func configOf(o Options) (*rest.Config, error) {
	config := o.Config
	if config == nil {
		var err error
		if config, err = clientcmd.BuildConfigFromFlags("", o.Kubeconfig); err != nil {
			return nil, fmt.Errorf("reading the cluster's address and our credentials: %w", err)
		}
	}
	config = rest.CopyConfig(config)
	config.UserAgent = "ingot-webhooks/" + o.Version
	config.QPS = -1 // the server's priority and fairness decides, and every retry of ours backs off
	return config, nil
}
