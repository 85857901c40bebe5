package server

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistration "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset/typed/apiregistration/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/certs"
)

// openCertificates returns when there are certificates to serve by, which then are kept good. Those of files are wanted to be
// good at once: whoever set the flags is told so.
func (p *process) openCertificates(ctx context.Context) error {
	measured, err := p.openOwnCertificate(ctx)
	if err != nil {
		return err
	}
	p.apiServing = p.serving
	if p.options.APICertFile == "" {
		return p.measureCertificates(measured)
	}
	// Its name is that of a Service which is not ours to name.
	files, err := certs.OpenFiles(certs.FilesOptions{Cert: p.options.APICertFile, Key: p.options.APIKeyFile, Component: "aggregated-api", Log: p.log})
	if err != nil {
		return fmt.Errorf("--api-tls-cert-file: %w", err)
	}
	p.apiServing = &files.Serving
	p.group.Go(func() error { return files.Run(ctx) })
	return p.measureCertificates(measured, files)
}

// openOwnCertificate opens the one of the stream, and of the API unless that has another.
func (p *process) openOwnCertificate(ctx context.Context) (prometheus.Collector, error) {
	names := certs.ServiceNames(p.options.ServiceName, p.options.Namespace)
	if p.options.TLSCertFile != "" {
		files, err := certs.OpenFiles(certs.FilesOptions{Cert: p.options.TLSCertFile, Key: p.options.TLSKeyFile, CA: p.options.TLSCAFile,
			Name: names[0], Log: p.log})
		if err != nil {
			return nil, fmt.Errorf("--tls-cert-file: %w", err)
		}
		p.serving = &files.Serving
		p.group.Go(func() error { return files.Run(ctx) })
		return files, nil
	}
	client, err := apiregistration.NewForConfig(p.host)
	if err != nil {
		return nil, fmt.Errorf("client of the aggregation layer: %w", err)
	}
	keeper, err := certs.Open(ctx, certs.Options{
		Client:    p.kube,
		Namespace: p.options.Namespace,
		Dir:       filepath.Join(p.options.DataDir, "certs"),
		Policy:    p.options.Certificates,
		Names:     names,
		IPs:       ownAddresses(),
		Webhooks:  p.options.WebhooksService,
		Carried: func(ctx context.Context, bundle []byte) error {
			if p.options.APICertFile != "" {
				return nil // the API is known by something else
			}
			return carried(ctx, client.APIServices(), bundle)
		},
		Log:    p.log,
		Failed: func(err error) { p.readiness.fail(partCertificates, err) },
	})
	if err != nil {
		return nil, err
	}
	p.serving, p.bundle = &keeper.Serving, keeper.Bundle
	p.group.Go(func() error { return keeper.Run(ctx) })
	return keeper, nil
}

func (p *process) measureCertificates(all ...prometheus.Collector) error {
	registry := prometheus.NewRegistry()
	if err := registry.Register(together(all)); err != nil {
		return fmt.Errorf("metrics of certificates: %w", err)
	}
	p.monitor.certificates.Store(registry)
	return nil
}

// together collects from several that have the same metrics of different certificates, which a registry takes from one only.
type together []prometheus.Collector

// Describe implements prometheus.Collector.
func (t together) Describe(ch chan<- *prometheus.Desc) { t[0].Describe(ch) }

// Collect implements prometheus.Collector.
func (t together) Collect(ch chan<- prometheus.Metric) {
	for _, c := range t {
		c.Collect(ch)
	}
}

// carried says whether the kube-apiserver has been told of the bundle, in every APIService that is ours to write.
func carried(ctx context.Context, client apiregistration.APIServiceInterface, bundle []byte) error {
	for _, gv := range install.Scheme.PrioritizedVersionsForGroup(metallb.GroupName) {
		found, err := client.Get(ctx, nameOf(gv), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("get APIService %s: %w", nameOf(gv), err)
		}
		if found.Spec.Service != nil && certs.Elsewhere(found) == "" && !bytes.Equal(found.Spec.CABundle, bundle) {
			return certs.ErrNotYet
		}
	}
	return nil
}
