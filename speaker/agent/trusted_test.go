package agent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestLastOfTheTrusted: while several CAs are trusted, as during a rotation, the last to expire is the one that matters.
func TestLastOfTheTrusted(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	until := func(end time.Time) []byte {
		ca := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: end, IsCA: true, BasicConstraintsValid: true}
		der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	file := filepath.Join(t.TempDir(), "ca.crt")
	if _, ok := lastOf(file); ok {
		t.Error("there is no file, but an expiry")
	}
	early, late := time.Now().Add(time.Hour).Truncate(time.Second), time.Now().Add(48*time.Hour).Truncate(time.Second)
	for name, content := range map[string][]byte{
		"one": until(late), "rising": append(until(early), until(late)...), "falling": append(until(late), until(early)...),
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := lastOf(file); !ok || !got.Equal(late) {
			t.Errorf("%s: %s, %v, want %s", name, got, ok, late)
		}
	}
	if err := os.WriteFile(file, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, ok := lastOf(file); ok {
		t.Errorf("nonsense expires at %s", got)
	}
}
