// Package pki makes the certificates and keys of the lab's Kubernetes, and the kubeconfigs that use them.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime of every certificate: a lab is short-lived.
const lifetime = 30 * 24 * time.Hour

// PKI is a set of files in one directory.
type PKI struct {
	dir string
	ca  *authority // clients and servers
}

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

// New makes in dir what the kube-apiserver needs: ca.crt, apiserver.crt and .key for the given names and addresses,
// front-proxy-ca.crt, front-proxy-client.crt and .key, and the key of service account tokens, sa.key and sa.pub.
func New(dir string, names []string, addresses []net.IP) (*PKI, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p := &PKI{dir: dir}
	var err error
	if p.ca, err = p.newAuthority("ca"); err != nil {
		return nil, err
	}
	serving := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		DNSNames:    names,
		IPAddresses: addresses,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if err := p.save("apiserver", p.ca, serving); err != nil {
		return nil, err
	}
	front, err := p.newAuthority("front-proxy-ca")
	if err != nil {
		return nil, err
	}
	if err := p.save("front-proxy-client", front, client("front-proxy-client", "")); err != nil {
		return nil, err
	}
	return p, p.serviceAccountKey()
}

// Path is the path of a file of the set.
func (p *PKI) Path(name string) string { return filepath.Join(p.dir, name) }

// CA is the certificate that signs servers' and clients' certificates, in PEM.
func (p *PKI) CA() []byte { return p.ca.pem }

// Serving makes NAME.crt and NAME.key, of a server with some addresses.
func (p *PKI) Serving(name string, addresses []net.IP) error {
	return p.save(name, p.ca, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: addresses, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// Client makes NAME.crt and NAME.key, of a user and, unless empty, a group.
func (p *PKI) Client(name, user, group string) error { return p.save(name, p.ca, client(user, group)) }

func client(name, group string) *x509.Certificate {
	subject := pkix.Name{CommonName: name}
	if group != "" {
		subject.Organization = []string{group}
	}
	return &x509.Certificate{Subject: subject, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
}

func (p *PKI) newAuthority(name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "lab " + name},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("certificate authority %s: %w", name, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a := &authority{certificate: certificate, key: key, pem: encode("CERTIFICATE", der)}
	return a, os.WriteFile(p.Path(name+".crt"), a.pem, 0o600)
}

// issue makes a key and a certificate for it, both in PEM.
func (a *authority) issue(template *x509.Certificate) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := sign(template, a.certificate, &private.PublicKey, a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate of %s: %w", template.Subject.CommonName, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", keyDER), nil
}

func (p *PKI) save(name string, a *authority, template *x509.Certificate) error {
	certificate, key, err := a.issue(template)
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.Path(name+".crt"), certificate, 0o600); err != nil {
		return err
	}
	return os.WriteFile(p.Path(name+".key"), key, 0o600)
}

func sign(template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(lifetime)
	return x509.CreateCertificate(rand.Reader, template, parent, public, key)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
