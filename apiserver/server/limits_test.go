package server

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/ingot-lb/ingot/apiserver/store"
)

func flagged(t *testing.T, args ...string) (*Options, error) {
	t.Helper()
	o := NewOptions()
	fs := pflag.NewFlagSet("apiserver", pflag.ContinueOnError)
	o.AddFlags(fs)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	return o, o.Validate()
}

func TestLimitsOfTLSThatAreWrongAreNamed(t *testing.T) {
	for arg, want := range map[string]string{
		"--tls-min-version=TLSv1.3":                             `"TLSv1.3" is no version of TLS`,
		"--tls-cipher-suites=TLS_RSA_WITH_RC4_128_SHA":          `"TLS_RSA_WITH_RC4_128_SHA" is not safe`,
		"--tls-curve-preferences=1":                             "1 is no key exchange",
		"--tls-cipher-suites=TLS_RSA_WITH_AES_128_GCM_SHA256,x": `"x" is no cipher suite`,
	} {
		if _, err := flagged(t, arg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", arg, err, want)
		}
	}
}

// TestAggregatedAPIKeepsTheLimitsOfTLS shakes hands with the real server.
func TestAggregatedAPIKeepsTheLimitsOfTLS(t *testing.T) {
	const suite, other = tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
	for _, test := range []struct {
		name             string
		args             []string
		accepted, denied *tls.Config
	}{
		{
			"versions", []string{"--tls-min-version=VersionTLS13"},
			&tls.Config{}, &tls.Config{MaxVersion: tls.VersionTLS12},
		},
		{
			"suites and key exchanges", []string{"--tls-cipher-suites=" + tls.CipherSuiteName(suite), "--tls-curve-preferences=23"},
			&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite, other}},
			&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{other}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			o, err := flagged(t, test.args...)
			if err != nil {
				t.Fatal(err)
			}
			client, _, _ := serveConfigured(t, store.Options{DataDir: t.TempDir(), UnsafeNoFsync: true}, o.Limits)
			address := strings.TrimPrefix(client.Host, "https://")
			shake := func(c *tls.Config) error {
				c.InsecureSkipVerify = true
				conn, err := (&tls.Dialer{Config: c}).DialContext(t.Context(), "tcp", address)
				if err != nil {
					return err
				}
				return conn.Close()
			}
			if err := shake(test.accepted); err != nil {
				t.Errorf("what is permitted: %v", err)
			}
			if shake(test.denied) == nil {
				t.Error("what is not permitted is agreed to")
			}
			if len(o.Limits.Apply(&tls.Config{}).CurvePreferences) > 0 && shake(&tls.Config{CurvePreferences: []tls.CurveID{tls.X25519}}) == nil {
				t.Error("another key exchange is agreed to")
			}
		})
	}
}
