package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// minRSABits refuses keys that nobody should sign with.
const minRSABits = 2048

// keySet is a JSON Web Key Set (RFC 7517 section 5) with the issuer it belongs to.
type keySet struct {
	Issuer string       `json:"issuer"`
	Keys   []jsonWebKey `json:"keys"`

	parsed map[string]jwt.VerificationKey
}

// jsonWebKey is a public key for signatures (RFC 7517 section 4, RFC 7518 section 6).
type jsonWebKey struct {
	Kty string `json:"kty"`
	Kid string `json:"kid,omitempty"`
	Use string `json:"use,omitempty"`
	// RSA.
	N string `json:"n,omitempty"`
	E string `json:"e,omitempty"`
	// EC.
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
}

// parse makes the keys usable. Keys of unknown types are passed over; none usable is an error.
func (s *keySet) parse() error {
	if s.Issuer == "" {
		return fmt.Errorf("key set names no issuer")
	}
	s.parsed = make(map[string]jwt.VerificationKey, len(s.Keys))
	for i := range s.Keys {
		k := &s.Keys[i]
		if k.Use != "" && k.Use != "sig" || k.Kty != "RSA" && k.Kty != "EC" {
			continue
		}
		public, err := k.public()
		if err != nil {
			return fmt.Errorf("key %q: %w", k.Kid, err)
		}
		s.parsed[k.Kid] = public
	}
	if len(s.parsed) == 0 {
		return fmt.Errorf("key set of %q has no usable key", s.Issuer)
	}
	return nil
}

// find returns the key of that id. A token without an id is tried with every key.
func (s *keySet) find(kid string) (any, error) {
	if kid == "" {
		set := jwt.VerificationKeySet{}
		for _, k := range s.parsed {
			set.Keys = append(set.Keys, k)
		}
		return set, nil
	}
	k, ok := s.parsed[kid]
	if !ok {
		return nil, fmt.Errorf("the cluster's issuer has no key %q", kid)
	}
	return k, nil
}

func (k *jsonWebKey) public() (jwt.VerificationKey, error) {
	if k.Kty == "RSA" {
		return k.rsa()
	}
	return k.ecdsa()
}

// rsa reads the key by RFC 7518 section 6.3.1.
func (k *jsonWebKey) rsa() (*rsa.PublicKey, error) {
	n, err := number(k.N)
	if err != nil {
		return nil, fmt.Errorf("modulus: %w", err)
	}
	e, err := number(k.E)
	if err != nil {
		return nil, fmt.Errorf("exponent: %w", err)
	}
	if n.BitLen() < minRSABits {
		return nil, fmt.Errorf("modulus of %d bits is shorter than %d", n.BitLen(), minRSABits)
	}
	if e.BitLen() > 31 || e.Cmp(big.NewInt(3)) < 0 {
		return nil, fmt.Errorf("exponent %s is out of range", e)
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

// ecdsa reads the key by RFC 7518 section 6.2.1.
func (k *jsonWebKey) ecdsa() (*ecdsa.PublicKey, error) {
	var curve elliptic.Curve
	switch k.Crv {
	case "P-256":
		curve = elliptic.P256()
	case "P-384":
		curve = elliptic.P384()
	case "P-521":
		curve = elliptic.P521()
	default:
		return nil, fmt.Errorf("unknown curve %q", k.Crv)
	}
	size := (curve.Params().BitSize + 7) / 8
	point := make([]byte, 1, 1+2*size)
	point[0] = 4 // uncompressed, SEC 1 section 2.3.3
	for _, coordinate := range []string{k.X, k.Y} {
		b, err := base64.RawURLEncoding.DecodeString(coordinate)
		if err != nil {
			return nil, fmt.Errorf("coordinate: %w", err)
		}
		if len(b) != size {
			return nil, fmt.Errorf("coordinate of %d bytes on curve %s", len(b), k.Crv)
		}
		point = append(point, b...)
	}
	return ecdsa.ParseUncompressedPublicKey(curve, point)
}

func number(s string) (*big.Int, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, err
	}
	return new(big.Int).SetBytes(b), nil
}

// decodeKeySet reads a key set with its issuer, as this package keeps it.
func decodeKeySet(data []byte) (*keySet, error) {
	s := &keySet{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	if err := s.parse(); err != nil {
		return nil, err
	}
	return s, nil
}
