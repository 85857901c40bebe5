package handshake

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

func parse(t *testing.T, args ...string) (*Limits, error) {
	t.Helper()
	var l Limits
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	l.AddFlags(func(v Value, name, usage string) { fs.Var(v, name, usage) })
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	return &l, l.Validate()
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	for arg, want := range map[string]string{
		"--tls-min-version=VersionTLS11":                                       `"VersionTLS11" is not safe`,
		"--tls-min-version=1.3":                                                `"1.3" is no version`,
		"--tls-cipher-suites=TLS_AES_128_GCM_SHA256":                           `"TLS_AES_128_GCM_SHA256" is of TLS 1.3`,
		"--tls-cipher-suites=TLS_RSA_WITH_RC4_128_SHA":                         `"TLS_RSA_WITH_RC4_128_SHA" is not safe`,
		"--tls-cipher-suites=AES":                                              `"AES" is no cipher suite of TLS 1.2: there are TLS_`,
		"--tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384":          "HTTP/2 needs",
		"--tls-curve-preferences=X25519":                                       `"X25519" is not a number`,
		"--tls-curve-preferences=29,9999":                                      "9999 is no key exchange",
		"--tls-curve-preferences=70000":                                        `"70000" is not a number`,
		"--tls-min-version=VersionTLS13 --tls-cipher-suites=" + suiteOfOurs:    "has no effect with --tls-min-version=VersionTLS13",
		"--tls-cipher-suites=TLS_RSA_WITH_RC4_128_SHA,nonsense," + suiteOfOurs: `"nonsense" is no cipher suite`,
	} {
		if _, err := parse(t, strings.Fields(arg)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", arg, err, want)
		}
	}
}

const suiteOfOurs = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"

// certificate is self-signed, of an elliptic curve as ours are.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"x"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// shake has a client and a server shake hands, and returns what they agreed on.
func shake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	go func() { _ = tls.Server(b, server).HandshakeContext(t.Context()) }() // the client has the other half of the error
	client.InsecureSkipVerify = true
	c := tls.Client(a, client)
	err := c.HandshakeContext(t.Context())
	return c.ConnectionState(), err
}

func TestServersAgreeToWhatFlagsSay(t *testing.T) {
	cert := certificate(t)
	for name, test := range map[string]struct {
		args    []string
		least   uint16
		client  *tls.Config
		refused bool
	}{
		"nothing said":           {client: &tls.Config{MaxVersion: tls.VersionTLS12}, least: tls.VersionTLS12},
		"too old":                {args: []string{"--tls-min-version=VersionTLS13"}, least: tls.VersionTLS12, client: &tls.Config{MaxVersion: tls.VersionTLS12}, refused: true},
		"new enough":             {args: []string{"--tls-min-version=VersionTLS13"}, least: tls.VersionTLS12},
		"never lowered":          {args: []string{"--tls-min-version=VersionTLS12"}, least: tls.VersionTLS13, client: &tls.Config{MaxVersion: tls.VersionTLS12}, refused: true},
		"the suite":              {args: []string{"--tls-cipher-suites=" + suiteOfOurs}, client: &tls.Config{MaxVersion: tls.VersionTLS12}},
		"another suite":          {args: []string{"--tls-cipher-suites=" + suiteOfOurs}, client: &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}, refused: true},
		"suites are for TLS 1.2": {args: []string{"--tls-cipher-suites=" + suiteOfOurs}},
		"the curve":              {args: []string{"--tls-curve-preferences=24"}, client: &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP384}}},
		"another curve":          {args: []string{"--tls-curve-preferences=24,25"}, client: &tls.Config{CurvePreferences: []tls.CurveID{tls.X25519}}, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			client := test.client
			if client == nil {
				client = &tls.Config{}
			}
			limits, err := parse(t, test.args...)
			if err != nil {
				t.Fatal(err)
			}
			server := limits.Apply(&tls.Config{MinVersion: test.least, Certificates: []tls.Certificate{cert}})
			state, err := shake(t, server, client)
			if (err != nil) != test.refused {
				t.Errorf("agreed on %s %s: %v", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite), err)
			}
		})
	}
}

func TestNamesForTheLibraryOfAPIServers(t *testing.T) {
	limits, err := parse(t, "--tls-cipher-suites= "+suiteOfOurs+" , "+suiteOfOurs, "--tls-curve-preferences=29,23")
	if err != nil {
		t.Fatal(err)
	}
	version, suites, curves := limits.Serving(tls.VersionTLS12)
	if version != "VersionTLS12" || len(suites) != 1 || suites[0] != suiteOfOurs || len(curves) != 2 || curves[0] != 29 {
		t.Errorf("%s %v %v", version, suites, curves)
	}
}
