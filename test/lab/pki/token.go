package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// serviceAccountKey makes the pair that signs and checks the tokens of service accounts.
func (p *PKI) serviceAccountKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.Path("sa.key"), encode("PRIVATE KEY", private), 0o600); err != nil {
		return err
	}
	return os.WriteFile(p.Path("sa.pub"), encode("PUBLIC KEY", public), 0o600)
}

// Expiring is a token of the cluster with another life: valid from an hour ago until expiry from now, which may be in
// the past. The kube-apiserver itself gives no token for less than ten minutes; this is its issuer's key at work.
func (p *PKI) Expiring(token string, expiry time.Duration) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("the token is not a JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", fmt.Errorf("the token's claims: %w", err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "", fmt.Errorf("the token's claims: %w", err)
	}
	now := time.Now()
	claims["iat"] = now.Add(-time.Hour).Unix()
	claims["nbf"] = now.Add(-time.Hour).Unix()
	claims["exp"] = now.Add(expiry).Unix()
	if payload, err = json.Marshal(claims); err != nil {
		return "", err
	}
	signed := parts[0] + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := p.signES256(signed)
	if err != nil {
		return "", err
	}
	return signed + "." + signature, nil
}

// signES256 is the signature of RFC 7518 section 3.4.
func (p *PKI) signES256(signed string) (string, error) {
	file, err := os.ReadFile(p.Path("sa.key"))
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(file)
	if block == nil {
		return "", errors.New("sa.key holds no PEM block")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("sa.key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return "", fmt.Errorf("sa.key is a %T, want an ECDSA key", parsed)
	}
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return base64.RawURLEncoding.EncodeToString(signature), nil
}
