// Package monitoring has /metrics, /healthz and /readyz served over TLS, where that is asked for. It knows nothing of Kubernetes, so that
// speakers can use it.
package monitoring

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ingot-lb/ingot/certs/expiry"
	"github.com/ingot-lb/ingot/certs/handshake"
	"github.com/ingot-lb/ingot/certs/inspect"
)

// Names of the flags.
const (
	TLSFlag     = "metrics-tls"
	CertDirFlag = "metrics-cert-dir"
)

// What the flags are for, for the programs' help.
const (
	TLSUsage     = "serve /metrics, /healthz and /readyz over TLS"
	CertDirUsage = "`directory` with tls.crt and tls.key to serve /metrics by, re-read when they change; implies --" + TLSFlag
)

// Options say by what to serve.
type Options struct {
	// TLS has it served over TLS; CertDir does so too, by tls.crt and tls.key there.
	TLS     bool
	CertDir string
	Limits  *handshake.Limits
	// Own is the certificate that the program has anyway, where there is one; it may fail as long as there is none yet.
	Own func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Log *slog.Logger

	now func() time.Time // for tests
}

// Wanted says whether the flags ask for TLS.
func (o Options) Wanted() bool { return o.TLS || o.CertDir != "" }

// reread is how often files are looked at, at most: at the handshake of a scrape.
const reread = 10 * time.Second

// Certificate is what scrapers are shown: that of the directory; or else the program's own; or else, and until there is that,
// one that the program signs itself, which proves nothing to anybody but keeps others from listening.
type Certificate struct {
	options Options

	mu      sync.Mutex
	pair    *tls.Certificate // of the directory, or self-signed
	read    time.Time
	refused int
	said    string
}

// Open returns nil where the flags do not ask for TLS. Files must be good at once: whoever named them is told so.
func Open(o Options) (*Certificate, error) {
	if !o.Wanted() {
		return nil, nil
	}
	if o.now == nil {
		o.now = time.Now
	}
	c := &Certificate{options: o}
	if o.CertDir != "" {
		pair, err := c.load()
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", CertDirFlag, err)
		}
		c.pair, c.read = pair, o.now()
	}
	return c, nil
}

// Listener puts TLS on top of a listener; of a nil Certificate it is the listener itself.
func (c *Certificate) Listener(l net.Listener) net.Listener {
	if c == nil {
		return l
	}
	return tls.NewListener(l, c.options.Limits.Apply(&tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}))
}

func (c *Certificate) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.options.CertDir != "" {
		return c.ofDirectory(), nil
	}
	if c.options.Own != nil {
		if own, err := c.options.Own(hello); err == nil {
			return own, nil
		}
	}
	return c.selfSigned()
}

// ofDirectory is what the files have, or the last good certificate that they had.
func (c *Certificate) ofDirectory() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.options.now()
	if now.Sub(c.read) < reread {
		return c.pair
	}
	c.read = now
	pair, err := c.load()
	switch {
	case err == nil:
		c.pair, c.said = pair, ""
	case err.Error() != c.said:
		c.said = err.Error()
		c.refused++
		c.options.Log.Error("certificate is not taken; the last good one is served", "event", "certificateRefused", "file", c.options.CertDir, "error", err)
	}
	return c.pair
}

func (c *Certificate) load() (*tls.Certificate, error) {
	files, err := inspect.Read(filepath.Join(c.options.CertDir, "tls.crt"), filepath.Join(c.options.CertDir, "tls.key"))
	if err != nil {
		return nil, err
	}
	// Whom scrapers call, and whom they trust, is theirs to say.
	pair, err := inspect.Pair(files[0], files[1], inspect.Wanted{Now: c.options.now()})
	if err != nil {
		return nil, fmt.Errorf("tls.crt and tls.key in %s: %w", c.options.CertDir, err)
	}
	return pair, nil
}

func (c *Certificate) selfSigned() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.options.now()
	if c.pair != nil && now.Before(c.pair.Leaf.NotBefore.Add(lifetime*2/3)) {
		return c.pair, nil
	}
	pair, err := selfSign(now)
	if err != nil {
		return nil, err
	}
	c.pair = pair
	return pair, nil
}

// Describe implements prometheus.Collector. It describes nothing, since other collectors of the program have the same metrics, of
// other certificates.
func (c *Certificate) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector. The program's own certificate is measured elsewhere.
func (c *Certificate) Collect(ch chan<- prometheus.Metric) {
	if c == nil || c.options.CertDir == "" {
		return
	}
	pair := c.ofDirectory()
	c.mu.Lock()
	refused := c.refused
	c.mu.Unlock()
	ch <- expiry.NotAfter("metrics", pair.Leaf.NotAfter)
	ch <- expiry.Refused("metrics", refused)
}
