package monitoring

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ingot-lb/ingot/certs/handshake"
)

// write puts a fresh certificate that is valid from a time on into dir, and returns it.
func write(t *testing.T, dir string, from time.Time) *x509.Certificate {
	t.Helper()
	pair, err := selfSign(from)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "tls.key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return pair.Leaf
}

// served has a certificate served, and returns a function that says which one a client is shown.
func served(t *testing.T, o Options) (*Certificate, func(*tls.Config) (*x509.Certificate, error)) {
	t.Helper()
	if o.Limits == nil {
		o.Limits = &handshake.Limits{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(c.Listener(l)) }()
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return c, func(client *tls.Config) (*x509.Certificate, error) {
		client.InsecureSkipVerify = true
		conn, err := (&tls.Dialer{Config: client}).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
	}
}

func TestFilesAreFollowed(t *testing.T) {
	now := time.Now()
	dir := t.TempDir()
	first := write(t, dir, now.Add(-time.Minute))
	c, shown := served(t, Options{CertDir: dir, now: func() time.Time { return now }})
	is := func(what string, want *x509.Certificate) {
		t.Helper()
		got, err := shown(&tls.Config{})
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: another certificate is shown (%v)", what, err)
		}
	}
	is("at the start", first)

	second := write(t, dir, now)
	is("read just now", first)
	now = now.Add(reread)
	is("after a while", second)

	write(t, dir, now.Add(-2*lifetime)) // it has expired
	now = now.Add(reread)
	is("the last good one", second)
	now = now.Add(reread)
	is("and again", second)
	if n, want := testutil.CollectAndCount(c), 2; n != want {
		t.Errorf("%d metrics, want %d", n, want)
	}
	want := `
# HELP ingot_certificate_refused_total Certificates that were not taken because of what is wrong with them; the last good one is served.
# TYPE ingot_certificate_refused_total counter
ingot_certificate_refused_total{certificate="metrics"} 1
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want), "ingot_certificate_refused_total"); err != nil {
		t.Error(err)
	}

	third := write(t, dir, now)
	now = now.Add(reread)
	is("a good one again", third)
}

func TestBadFilesAreRefusedAtTheStart(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(Options{CertDir: dir}); err == nil || !strings.Contains(err.Error(), "--metrics-cert-dir: ") || !strings.Contains(err.Error(), "tls.key") {
		t.Errorf("no files: %v", err)
	}
	write(t, dir, time.Now().Add(-2*lifetime))
	if _, err := Open(Options{CertDir: dir}); err == nil || !strings.Contains(err.Error(), "it has expired") {
		t.Errorf("an expired certificate: %v", err)
	}
}

func TestTheProgramsOwnIsShownOnceThereIsOne(t *testing.T) {
	own, err := selfSign(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	there := false
	_, shown := served(t, Options{TLS: true, Own: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if !there {
			return nil, errors.New("not yet")
		}
		return own, nil
	}})
	// Probes of the kubelet do not check whom they ask.
	if got, err := shown(&tls.Config{}); err != nil || got.Equal(own.Leaf) {
		t.Errorf("before: %v", err)
	}
	there = true
	if got, err := shown(&tls.Config{}); err != nil || !got.Equal(own.Leaf) {
		t.Errorf("then: another one (%v)", err)
	}
}

func TestSelfSignedIsRenewed(t *testing.T) {
	now := time.Now()
	_, shown := served(t, Options{TLS: true, now: func() time.Time { return now }})
	first, err := shown(&tls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := shown(&tls.Config{}); err != nil || !again.Equal(first) {
		t.Errorf("each connection has another one (%v)", err)
	}
	now = now.Add(lifetime * 3 / 4)
	if next, err := shown(&tls.Config{}); err != nil || next.Equal(first) || now.After(next.NotAfter) {
		t.Errorf("it is not renewed (%v)", err)
	}
}

func TestLimitsHold(t *testing.T) {
	var limits handshake.Limits
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	limits.AddFlags(func(v handshake.Value, name, usage string) { fs.Var(v, name, usage) })
	if err := fs.Parse([]string{"--tls-min-version=VersionTLS13"}); err != nil {
		t.Fatal(err)
	}
	_, shown := served(t, Options{TLS: true, Limits: &limits})
	if _, err := shown(&tls.Config{MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("TLS 1.2 is served")
	}
	if _, err := shown(&tls.Config{}); err != nil {
		t.Errorf("TLS 1.3: %v", err)
	}
}

func TestPlainWhereNothingIsAsked(t *testing.T) {
	c, err := Open(Options{})
	if c != nil || err != nil {
		t.Fatalf("%v, %v", c, err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if c.Listener(l) != l {
		t.Error("something was put on top of the listener")
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	if families, err := registry.Gather(); err != nil || len(families) > 0 {
		t.Errorf("metrics of a certificate that there is not: %v, %v", families, err)
	}
}
