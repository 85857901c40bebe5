package inspect

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC)

// made is a certificate with its key, in PEM.
type made struct {
	cert, key []byte
	x509      *x509.Certificate
	signer    *ecdsa.PrivateKey
}

// sign makes a certificate; by nil signs itself.
func sign(t *testing.T, by *made, template *x509.Certificate) *made {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = now.Add(-time.Hour), now.Add(time.Hour)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.x509, by.signer
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	m := &made{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), c, key}
	keys[string(m.cert)] = m.key
	return m
}

func authority(t *testing.T, name string) *made {
	t.Helper()
	return sign(t, nil, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	ours, theirs := authority(t, "ours"), authority(t, "theirs")
	server := func(c x509.Certificate) *x509.Certificate {
		if c.DNSNames == nil {
			c.DNSNames = []string{"api.lb.svc", "localhost"}
		}
		return &c
	}
	good := sign(t, ours, server(x509.Certificate{}))
	other := sign(t, ours, server(x509.Certificate{}))
	tests := []struct {
		what      string
		cert, key []byte
		want      []string // nothing: it is good
	}{
		{"good", good.cert, good.key, nil},
		{"expired", sign(t, ours, server(x509.Certificate{NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)})).cert, nil,
			[]string{"api.lb.svc, localhost", "valid from 2030-05-31T22:00:00Z to 2030-05-31T23:00:00Z", `issued by "CN=ours"`, "it has expired"}},
		{"of the future", sign(t, ours, server(x509.Certificate{NotBefore: now.Add(time.Hour), NotAfter: now.Add(2 * time.Hour)})).cert, nil, []string{"not valid yet"}},
		{"foreign", sign(t, theirs, server(x509.Certificate{})).cert, nil, []string{`issued by "CN=theirs"`, `it is not signed by the CA "CN=ours" (valid to 2030-06-01T01:00:00Z)`}},
		{"another name", sign(t, ours, server(x509.Certificate{DNSNames: []string{"web.example.com"}})).cert, nil,
			[]string{"certificate for web.example.com", `it is not made out for "api.lb.svc"`}},
		{"expired and another name", sign(t, ours, server(x509.Certificate{DNSNames: []string{}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}, NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)})).cert, nil,
			[]string{"certificate for 192.0.2.1", "it has expired", "not made out for"}},
		{"for clients", sign(t, ours, server(x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})).cert, nil, []string{"): it is not for servers (extended key usage)"}},
		{"key of another", good.cert, other.key, []string{"api.lb.svc", "private key does not match"}},
		{"no key", good.cert, []byte{}, []string{"api.lb.svc", "failed to find any PEM data in key"}},
		{"nothing", nil, []byte{}, []string{"failed to find any PEM data in certificate"}},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			if tt.key == nil {
				tt.key = keyOf(t, tt.cert)
			}
			_, err := Pair(tt.cert, tt.key, Wanted{Name: "api.lb.svc", Roots: ours.cert, Now: now})
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("error %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if signed := tt.what != "foreign"; err != nil && signed && strings.Contains(err.Error(), "not signed by") {
				t.Errorf("%q: it is signed by that CA", err)
			}
		})
	}
}

// keys by certificate, so that a table needs to name a certificate only.
var keys = map[string][]byte{}

func keyOf(t *testing.T, cert []byte) []byte {
	t.Helper()
	key, ok := keys[string(cert)]
	if !ok {
		t.Fatal("a certificate without a key")
	}
	return key
}

// TestARefusalIsExplained: a client says what it was shown and what it would have taken.
func TestARefusalIsExplained(t *testing.T) {
	ours, theirs := authority(t, "ours"), authority(t, "theirs")
	shown := sign(t, theirs, &x509.Certificate{DNSNames: []string{"api.lb.svc"}})
	pair, err := tls.X509KeyPair(shown.cert, shown.key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ours.x509)
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		_ = tls.Server(far, &tls.Config{Certificates: []tls.Certificate{pair}}).Handshake() // the client's side tells
		_ = far.Close()
	}()
	err = tls.Client(near, &tls.Config{RootCAs: roots, ServerName: "api.lb.svc", Time: func() time.Time { return now }}).Handshake()

	got := Explain(err, ours.cert)
	for _, want := range []string{"the server shows a certificate for api.lb.svc", `issued by "CN=theirs"`, `signed by the CA "CN=ours"`, "unknown authority"} {
		if got == nil || !strings.Contains(got.Error(), want) {
			t.Errorf("%v does not say %q", got, want)
		}
	}
	if other := errors.New("hung up"); Explain(other, nil) != other || Explain(nil, nil) != nil {
		t.Error("another error is changed")
	}
}

// TestDescriptionsAreBounded: a server may show anything.
func TestDescriptionsAreBounded(t *testing.T) {
	var names []string
	for range 1000 {
		names = append(names, strings.Repeat("ü", 1000)+".example.com")
	}
	got := Describe(&x509.Certificate{DNSNames: names, Issuer: pkix.Name{CommonName: strings.Repeat("x", 100000)}})
	if len(got) > 3000 || !strings.Contains(got, "and 992 more") {
		t.Errorf("%d bytes: %.300s", len(got), got)
	}
}

func FuzzPair(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), []byte("x"))
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		if pair, err := Pair(cert, key, Wanted{Name: "a", Roots: cert, Now: now}); (pair == nil) == (err == nil) {
			t.Errorf("pair %v and error %v", pair, err)
		}
	})
}
