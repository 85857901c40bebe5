package certs

import (
	"crypto/tls"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ingot-lb/ingot/certs/expiry"
	"github.com/ingot-lb/ingot/certs/inspect"
)

// Serving is the certificate that a server shows: the last good one, which whoever keeps it replaces without anybody's
// doing. Its methods may be used concurrently.
type Serving struct {
	name string

	mu              sync.Mutex
	certPEM, keyPEM []byte
	pair            *tls.Certificate
	refused         int
	onChange        []func()
}

// CertKey returns the certificate with its chain, and its key, in PEM.
func (s *Serving) CertKey() (cert, key []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.certPEM, s.keyPEM
}

// errNone cannot happen to who has opened a Keeper, Files or Issued.
var errNone = errors.New("there is no serving certificate yet")

// GetCertificate is for tls.Config: new connections see a new certificate at once, and those that are open stay.
func (s *Serving) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pair == nil {
		return nil, errNone
	}
	return s.pair, nil
}

// OnChange has f called, quickly please, after the certificate or the bundle changed.
func (s *Serving) OnChange(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onChange = append(s.onChange, f)
}

func (s *Serving) current() *tls.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pair
}

// show replaces the certificate; nil leaves it. Whoever wants to know of changes is told.
func (s *Serving) show(l *leaf) {
	s.mu.Lock()
	if l != nil {
		s.certPEM, s.keyPEM, s.pair = l.certPEM, l.keyPEM, l.pair
	}
	notify := slices.Clone(s.onChange)
	s.mu.Unlock()
	for _, f := range notify {
		f()
	}
}

// refuse counts a certificate that is not shown because of what is wrong with it.
func (s *Serving) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused++
}

// attributes are what logs say of a certificate.
func attributes(l *leaf) []any {
	return []any{"certificate", inspect.Describe(l.pair.Leaf), "notAfter", l.pair.Leaf.NotAfter.UTC().Format(time.RFC3339)}
}

// Describe implements prometheus.Collector.
func (s *Serving) Describe(ch chan<- *prometheus.Desc) {
	ch <- expiry.NotAfterDesc
	ch <- expiry.RefusedDesc
}

// Collect implements prometheus.Collector.
func (s *Serving) Collect(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	pair, refused := s.pair, s.refused
	s.mu.Unlock()
	if pair != nil {
		ch <- expiry.NotAfter(s.name, pair.Leaf.NotAfter)
	}
	ch <- expiry.Refused(s.name, refused)
}
