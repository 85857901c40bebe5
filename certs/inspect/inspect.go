// Package inspect reads serving certificates and says what is wrong with one, in words by which an operator finds it: its names, its
// dates and who issued it. It knows nothing of Kubernetes, so that speakers can use it.
package inspect

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Wanted is what a serving certificate must be good for.
type Wanted struct {
	// Name by which clients call the server.
	Name string
	// Roots are the PEM certificates by which clients know it; nil where that is not known.
	Roots []byte
	// Now is the time at which it must be valid.
	Now time.Time
}

// Pair reads a certificate with its chain and its key, in PEM, and returns them if they are as wanted. The error names
// everything that is wrong.
func Pair(certPEM, keyPEM []byte, w Wanted) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		// Where there is a certificate, say which one: the key may be that of another.
		if leaf := first(certPEM); leaf != nil {
			return nil, fmt.Errorf("%s: %w", Describe(leaf), err)
		}
		return nil, err
	}
	leaf := pair.Leaf
	errs := faults(leaf, w)
	if w.Roots != nil && !slices.ContainsFunc(errs, isOfDates) {
		if err := knownBy(w.Roots, &pair, w.Now); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("%s: %w", Describe(leaf), errors.Join(errs...))
	}
	return &pair, nil
}

// What is wrong with dates. The chain need not be looked at then: it would be refused for the same reason.
var (
	errExpired = errors.New("it has expired")
	errEarly   = errors.New("it is not valid yet: is a clock wrong?")
)

func isOfDates(err error) bool { return errors.Is(err, errExpired) || errors.Is(err, errEarly) }

func faults(leaf *x509.Certificate, w Wanted) (errs []error) {
	switch {
	case w.Now.After(leaf.NotAfter):
		errs = append(errs, errExpired)
	case w.Now.Before(leaf.NotBefore):
		errs = append(errs, errEarly)
	}
	if err := leaf.VerifyHostname(w.Name); w.Name != "" && err != nil {
		errs = append(errs, fmt.Errorf("it is not made out for %q", w.Name))
	}
	if len(leaf.ExtKeyUsage) > 0 && !slices.ContainsFunc(leaf.ExtKeyUsage, func(u x509.ExtKeyUsage) bool {
		return u == x509.ExtKeyUsageServerAuth || u == x509.ExtKeyUsageAny
	}) {
		errs = append(errs, errors.New("it is not for servers (extended key usage)"))
	}
	return errs
}

// knownBy verifies the chain. What the certificate is for is judged by faults.
func knownBy(roots []byte, pair *tls.Certificate, now time.Time) error {
	pool, between := x509.NewCertPool(), x509.NewCertPool()
	if !pool.AppendCertsFromPEM(roots) {
		return errors.New("there is no CA certificate to know it by")
	}
	for _, der := range pair.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("its chain: %w", err)
		}
		between.AddCert(c)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return fmt.Errorf("it is not signed by %s: %w", authorities(roots), err)
	}
	return nil
}

// Describe names a certificate: what it is made out for, when it is valid, and who issued it.
func Describe(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) > shown {
		names = append(names[:shown], fmt.Sprintf("and %d more", len(names)-shown))
	}
	for i := range names {
		names[i] = bounded(names[i])
	}
	text := "no names"
	if len(names) > 0 {
		text = strings.Join(names, ", ")
	}
	return fmt.Sprintf("certificate for %s (valid from %s to %s, issued by %q)", text,
		c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339), bounded(c.Issuer.String()))
}

// What a peer sent may be of any length; logs are not.
const (
	shown   = 8
	longest = 200
)

func bounded(s string) string {
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return s
}

// authorities names the CAs in a bundle.
func authorities(bundle []byte) string {
	var names []string
	for _, c := range Certificates(bundle) {
		names = append(names, fmt.Sprintf("%q (valid to %s)", bounded(c.Subject.String()), c.NotAfter.UTC().Format(time.RFC3339)))
	}
	if len(names) == 0 {
		return "any CA known here"
	}
	return "the CA " + strings.Join(names, " or ")
}

// Certificates returns those in PEM data that can be read.
func Certificates(data []byte) (all []*x509.Certificate) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return all
		}
		if c, err := x509.ParseCertificate(block.Bytes); block.Type == "CERTIFICATE" && err == nil {
			all = append(all, c)
		}
	}
}

func first(data []byte) *x509.Certificate {
	if all := Certificates(data); len(all) > 0 {
		return all[0]
	}
	return nil
}

// Explain adds to an error of a TLS handshake which certificate the server showed, and by which CAs (PEM) it should have
// been known. Other errors are returned as they are.
func Explain(err error, roots []byte) error {
	var refused *tls.CertificateVerificationError
	if !errors.As(err, &refused) || len(refused.UnverifiedCertificates) == 0 {
		return err
	}
	return fmt.Errorf("the server shows a %s, which should be signed by %s: %w", Describe(refused.UnverifiedCertificates[0]), authorities(roots), err)
}
