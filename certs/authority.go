package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	"github.com/ingot-lb/ingot/certs/inspect"
)

// backdate lets machines take part whose clock is behind. What lives shortly is not dated back as far: its life counts
// from there.
func backdate(lifetime time.Duration) time.Duration { return min(time.Hour, lifetime/10) }

// authority is a CA certificate with its key.
type authority struct {
	cert            *x509.Certificate
	key             crypto.Signer
	certPEM, keyPEM []byte
}

// newAuthority makes a self-signed CA on P-256.
func newAuthority(now time.Time, lifetime time.Duration) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate the key of the CA: %w", err)
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{"ingot"}, CommonName: fmt.Sprintf("ingot-ca@%d", now.Unix())},
		NotBefore:             now.Add(-backdate(lifetime)),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the CA: %w", err)
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return nil, fmt.Errorf("encode the key of the CA: %w", err)
	}
	return parseAuthority(encodeCert(der), keyPEM)
}

// parseAuthority reads what newAuthority made, or a CA that a user supplied: any key type that crypto/tls takes.
func parseAuthority(certPEM, keyPEM []byte) (*authority, error) {
	if len(certPEM) == 0 || len(keyPEM) == 0 {
		return nil, errors.New("there is no CA certificate, or no key of it")
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("CA key pair: %w", err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("CA key of type %T cannot sign", pair.PrivateKey)
	}
	if !pair.Leaf.IsCA {
		return nil, fmt.Errorf("%s is not that of a CA", inspect.Describe(pair.Leaf))
	}
	return &authority{cert: pair.Leaf, key: key, certPEM: certPEM, keyPEM: keyPEM}, nil
}

func (a *authority) equal(b *authority) bool {
	return a == b || a != nil && b != nil && bytes.Equal(a.cert.Raw, b.cert.Raw)
}

// leaf is a serving certificate with its key.
type leaf struct {
	certPEM, keyPEM []byte
	pair            *tls.Certificate
}

// issue signs a serving certificate that ends with the CA at the latest.
func (a *authority) issue(now time.Time, lifetime time.Duration, names []string, ips []net.IP) (*leaf, error) {
	if now.After(a.cert.NotAfter) {
		return nil, fmt.Errorf("the CA %s expired at %s", a.cert.Subject, a.cert.NotAfter.Format(time.RFC3339))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate a serving key: %w", err)
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	end := now.Add(lifetime)
	if a.cert.NotAfter.Before(end) {
		end = a.cert.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"ingot"}, CommonName: names[0]},
		NotBefore:    now.Add(-backdate(end.Sub(now))),
		NotAfter:     end,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     names,
		IPAddresses:  ips,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("sign a serving certificate: %w", err)
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return nil, fmt.Errorf("encode a serving key: %w", err)
	}
	certPEM := append(encodeCert(der), a.certPEM...)
	pair, err := inspect.Pair(certPEM, keyPEM, inspect.Wanted{Name: names[0], Roots: a.certPEM, Now: now})
	if err != nil {
		return nil, fmt.Errorf("read back a serving certificate: %w", err)
	}
	return &leaf{certPEM: certPEM, keyPEM: keyPEM, pair: pair}, nil
}

// renewal is when two thirds of a certificate's life are over.
func renewal(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 3 * 2)
}

func serialNumber() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("serial number: %w", err)
	}
	return n.Add(n, big.NewInt(1)), nil
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certutil.CertificateBlockType, Bytes: der})
}
