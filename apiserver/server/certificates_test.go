package server

import (
	"crypto/tls"
	"log/slog"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-lb/ingot/test/lab/pki"
)

// TestTheAPIMayHaveACertificateOfItsOwn: whoever makes the APIServices has the API known by a certificate of theirs, while the
// stream goes on with its own; the metrics have when each expires, and no bundle goes into APIServices.
func TestTheAPIMayHaveACertificateOfItsOwn(t *testing.T) {
	o := NewOptions()
	for _, c := range []struct {
		name      string
		cert, key *string
	}{
		{"apiserver.metallb-system.svc", &o.TLSCertFile, &o.TLSKeyFile},
		{"apiserver-service.metallb-system.svc", &o.APICertFile, &o.APIKeyFile},
	} {
		authority, err := pki.New(t.TempDir(), []string{c.name}, nil)
		if err != nil {
			t.Fatal(err)
		}
		*c.cert, *c.key = authority.Path("apiserver.crt"), authority.Path("apiserver.key")
	}
	group, ctx := errgroup.WithContext(t.Context())
	p := &process{options: o, log: slog.New(slog.DiscardHandler), group: group, monitor: &monitor{}, bundle: func() []byte { return []byte("ours") }}
	if err := p.openCertificates(ctx); err != nil {
		t.Fatal(err)
	}
	for name, serving := range map[string]interface {
		CertKey() ([]byte, []byte)
	}{"apiserver.metallb-system.svc": p.serving, "apiserver-service.metallb-system.svc": p.apiServing} {
		chain, key := serving.CertKey()
		pair, err := tls.X509KeyPair(chain, key)
		if err != nil || pair.Leaf.VerifyHostname(name) != nil {
			t.Errorf("%s is shown %v, %v", name, pair.Leaf.DNSNames, err)
		}
	}
	if p.injected() != nil {
		t.Error("a bundle goes into APIServices by which the API is not known")
	}
	families, err := p.monitor.certificates.Load().Gather()
	if err != nil {
		t.Fatal(err)
	}
	expire := map[string]bool{}
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == "ingot_certificate_not_after_seconds" {
				expire[m.Label[0].GetValue()] = m.GetGauge().GetValue() > float64(time.Now().Unix())
			}
		}
	}
	if len(expire) != 2 || !expire["apiserver"] || !expire["aggregated-api"] {
		t.Errorf("metrics have %v", expire)
	}
}
