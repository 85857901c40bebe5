package certs

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/certs/inspect"
)

// trust is what the Secret holds: the CA that signs, and those that are trusted beside it while one follows another.
// It does not change once it is made.
type trust struct {
	current *authority
	// next will sign. told is since when everybody has been told of it; zero: not yet.
	next *authority
	told time.Time
	// previous signed until promoted; its certificate only.
	previous []byte
	promoted time.Time
	// asked is set where somebody wants the CA to be rotated now.
	asked bool
}

// bundle has all that are trusted, the one that signs first.
func (t *trust) bundle() []byte {
	parts := [][]byte{t.current.certPEM, t.previous}
	if t.next != nil {
		parts = append(parts, t.next.certPEM)
	}
	return bytes.Join(parts, nil)
}

func (t *trust) equal(o *trust) bool {
	return t.current.equal(o.current) && t.next.equal(o.next) && bytes.Equal(t.previous, o.previous) &&
		t.told.Equal(o.told) && t.promoted.Equal(o.promoted) && t.asked == o.asked
}

// document is how trust is written: as the data and annotations of a Secret, and as a file.
type document struct {
	Data        map[string][]byte
	Annotations map[string]string
}

// Keys of the Secret beside tls.crt and tls.key, which are the CA that signs.
const (
	nextCert = "next.crt"
	nextKey  = "next.key"
	oldCert  = "previous.crt"
)

// RotateAnnotation on the Secret has the CA rotated now, as is done at two thirds of its life. The first step takes it away.
const RotateAnnotation = "ingot.io/rotate-ca"

const (
	toldAnnotation     = "ingot.io/next-ca-published"
	promotedAnnotation = "ingot.io/ca-signs-since"
)

func (t *trust) document() document {
	d := document{
		Data: map[string][]byte{
			corev1.TLSCertKey: t.current.certPEM, corev1.TLSPrivateKeyKey: t.current.keyPEM, BundleKey: t.bundle(),
		},
		Annotations: map[string]string{},
	}
	if t.next != nil {
		d.Data[nextCert], d.Data[nextKey] = t.next.certPEM, t.next.keyPEM
	}
	if t.previous != nil {
		d.Data[oldCert] = t.previous
	}
	for name, at := range map[string]time.Time{toldAnnotation: t.told, promotedAnnotation: t.promoted} {
		if !at.IsZero() {
			d.Annotations[name] = at.UTC().Format(time.RFC3339Nano)
		}
	}
	if t.asked {
		d.Annotations[RotateAnnotation] = "true"
	}
	return d
}

// parse reads a document. Whatever is not as this package would write it is an error, and nothing of it is used.
func (d document) parse() (*trust, error) {
	var t trust
	var err error
	if t.current, err = parseAuthority(d.Data[corev1.TLSCertKey], d.Data[corev1.TLSPrivateKeyKey]); err != nil {
		return nil, fmt.Errorf("%s and %s: %w", corev1.TLSCertKey, corev1.TLSPrivateKeyKey, err)
	}
	if len(d.Data[nextCert]) > 0 || len(d.Data[nextKey]) > 0 {
		if t.next, err = parseAuthority(d.Data[nextCert], d.Data[nextKey]); err != nil {
			return nil, fmt.Errorf("%s and %s: %w", nextCert, nextKey, err)
		}
		if t.told, err = d.time(toldAnnotation); err != nil {
			return nil, err
		}
	}
	if old := d.Data[oldCert]; len(old) > 0 {
		if len(inspect.Certificates(old)) == 0 {
			return nil, fmt.Errorf("%s: %w", oldCert, errors.New("there is no certificate"))
		}
		t.previous = old
		if t.promoted, err = d.time(promotedAnnotation); err != nil {
			return nil, err
		}
	}
	t.asked = d.Annotations[RotateAnnotation] == "true"
	return &t, nil
}

// time reads an annotation; zero if there is none.
func (d document) time(annotation string) (time.Time, error) {
	text, ok := d.Annotations[annotation]
	if !ok {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("annotation %s: %w", annotation, err)
	}
	return at, nil
}
