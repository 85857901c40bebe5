package pki

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

func newPKI(t *testing.T) *PKI {
	t.Helper()
	p, err := New(t.TempDir(), []string{"kubernetes.default.svc"}, []net.IP{net.ParseIP("127.0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestServingCertificateIsSignedByTheCA(t *testing.T) {
	p := newPKI(t)
	pair, err := tls.LoadX509KeyPair(p.Path("apiserver.crt"), p.Path("apiserver.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.CA())
	for _, name := range []string{"kubernetes.default.svc", "127.0.0.1"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Errorf("for %s: %v", name, err)
		}
	}
}

func TestKubeconfigCarriesUserAndGroup(t *testing.T) {
	p := newPKI(t)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := p.ForCertificate(path, "https://127.0.0.1:1", "admin", "system:masters"); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(config.CertData)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if got := certificate.Subject.String(); got != "CN=admin,O=system:masters" {
		t.Errorf("subject = %s", got)
	}
}

func TestExpiringKeepsClaimsAndIsSignedByTheIssuer(t *testing.T) {
	p := newPKI(t)
	claims := `{"sub":"system:serviceaccount:metallb-system:speaker","exp":99,"kubernetes.io":{"node":{"name":"node1"}}}`
	token, err := p.Expiring("aGVhZGVy."+base64.RawURLEncoding.EncodeToString([]byte(claims))+".c2ln", -time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Sub string
		Exp int64
	}
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatal(err)
	}
	if got.Sub != "system:serviceaccount:metallb-system:speaker" || !time.Unix(got.Exp, 0).Before(time.Now()) {
		t.Errorf("claims = %s", payload)
	}

	file, err := os.ReadFile(p.Path("sa.pub"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(file)
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	if !ecdsa.Verify(public.(*ecdsa.PublicKey), digest[:], r, s) {
		t.Error("the signature is not the issuer's")
	}
}

func TestExpiringRefusesWhatIsNoToken(t *testing.T) {
	p := newPKI(t)
	for _, token := range []string{"", "a.b", "a.!.c", "a." + base64.RawURLEncoding.EncodeToString([]byte("x")) + ".c"} {
		if got, err := p.Expiring(token, time.Minute); err == nil {
			t.Errorf("Expiring(%q) = %q, want an error", token, got)
		}
	}
}
