package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	issuer = "https://kubernetes.default.svc"
	user   = "system:serviceaccount:metallb-system:speaker"
)

var (
	quietLog = slog.New(slog.DiscardHandler)
	signing  = generateRSA()
	signing2 = generateEC()
)

func generateRSA() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

func generateEC() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// published is the key set as a cluster with both keys serves it.
func published() *keySet {
	point, err := signing2.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return &keySet{Issuer: issuer, Keys: []jsonWebKey{
		{Kty: "RSA", Kid: "one", Use: "sig", N: b64(signing.N.Bytes()), E: b64(big.NewInt(int64(signing.E)).Bytes())},
		{Kty: "EC", Kid: "two", Crv: "P-256", X: b64(point[1:33]), Y: b64(point[33:])},
		{Kty: "oct", Kid: "three"},
	}}
}

func usable(t testing.TB) *keySet {
	t.Helper()
	s := published()
	if err := s.parse(); err != nil {
		t.Fatal(err)
	}
	return s
}

// claims are those of a good token; a test spoils what it wants to.
func claims() jwt.MapClaims {
	return jwt.MapClaims{
		"iss": issuer, "aud": []string{Audience}, "sub": user,
		"exp": time.Now().Add(time.Hour).Unix(), "nbf": time.Now().Add(-time.Minute).Unix(), "iat": time.Now().Unix(),
		"kubernetes.io": map[string]any{
			"namespace": "metallb-system", "node": map[string]any{"name": "node1"},
			"serviceaccount": map[string]any{"name": "speaker"}, "pod": map[string]any{"name": "speaker-x"},
		},
	}
}

func sign(t testing.TB, method jwt.SigningMethod, kid string, key crypto.PrivateKey, c jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	if kid != "" {
		token.Header["kid"] = kid
	}
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestOfflineAcceptsOnlyWhatTheClusterSigned(t *testing.T) {
	keys := &Keys{set: usable(t)}
	r := &offlineReviewer{keys: keys, user: user, now: time.Now}
	with := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := claims()
		change(c)
		return c
	}
	kube := func(change func(map[string]any)) jwt.MapClaims {
		return with(func(c jwt.MapClaims) { change(c["kubernetes.io"].(map[string]any)) })
	}
	stranger := generateRSA()
	for name, test := range map[string]struct {
		token string
		want  string // of the error; empty: accepted
	}{
		"RSA":            {sign(t, jwt.SigningMethodRS256, "one", signing, claims()), ""},
		"EC":             {sign(t, jwt.SigningMethodES256, "two", signing2, claims()), ""},
		"no kid":         {sign(t, jwt.SigningMethodRS256, "", signing, claims()), ""},
		"unknown kid":    {sign(t, jwt.SigningMethodRS256, "four", signing, claims()), `no key "four"`},
		"another signer": {sign(t, jwt.SigningMethodRS256, "one", stranger, claims()), "signature is invalid"},
		"none":           {sign(t, jwt.SigningMethodNone, "one", jwt.UnsafeAllowNoneSignatureType, claims()), "signing method none is invalid"},
		"public key as shared secret": {
			sign(t, jwt.SigningMethodHS256, "one", signing.N.Bytes(), claims()), "signing method HS256 is invalid"},
		"wrong kind of key": {sign(t, jwt.SigningMethodES256, "one", signing2, claims()), "key is of invalid type"},
		"other issuer":      {sign(t, jwt.SigningMethodRS256, "one", signing, with(func(c jwt.MapClaims) { c["iss"] = "https://x" })), "invalid issuer"},
		"other audience":    {sign(t, jwt.SigningMethodRS256, "one", signing, with(func(c jwt.MapClaims) { c["aud"] = issuer })), "invalid audience"},
		"expired":           {sign(t, jwt.SigningMethodRS256, "one", signing, with(func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Minute).Unix() })), "token is expired"},
		"never expires":     {sign(t, jwt.SigningMethodRS256, "one", signing, with(func(c jwt.MapClaims) { delete(c, "exp") })), "exp claim is required"},
		"not yet":           {sign(t, jwt.SigningMethodRS256, "one", signing, with(func(c jwt.MapClaims) { c["nbf"] = time.Now().Add(time.Minute).Unix() })), "not valid yet"},
		"other subject":     {sign(t, jwt.SigningMethodRS256, "one", signing, with(func(c jwt.MapClaims) { c["sub"] = "system:serviceaccount:a:b" })), "is not its ServiceAccount"},
		"no node":           {sign(t, jwt.SigningMethodRS256, "one", signing, kube(func(k map[string]any) { delete(k, "node") })), "names no node"},
		"other account": {sign(t, jwt.SigningMethodRS256, "one", signing, with(func(c jwt.MapClaims) {
			c["sub"] = "system:serviceaccount:metallb-system:controller"
			c["kubernetes.io"].(map[string]any)["serviceaccount"] = map[string]any{"name": "controller"}
		})), `belongs to "system:serviceaccount:metallb-system:controller"`},
		"garbage": {"a.b.c", "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			caller, err := r.review(t.Context(), test.token)
			var rejected *RejectedError
			switch {
			case test.want == "" && (err != nil || caller.Node != "node1"):
				t.Errorf("got %+v, %v; want node1", caller, err)
			case test.want != "" && (!errors.As(err, &rejected) || !strings.Contains(rejected.Reason, test.want)):
				t.Errorf("got %v, want a rejection with %q", err, test.want)
			}
		})
	}
}

// reviews is a TokenReview API with prepared answers.
type reviews struct {
	asked  int
	status authenticationv1.TokenReviewStatus
	err    error
}

func (r *reviews) Create(_ context.Context, review *authenticationv1.TokenReview, _ metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	r.asked++
	if len(review.Spec.Audiences) != 1 || review.Spec.Audiences[0] != Audience || review.Spec.Token == "" {
		return nil, errors.New("the review asks for the wrong thing")
	}
	if r.err != nil {
		return nil, r.err
	}
	answer := review.DeepCopy()
	answer.Status = r.status
	return answer, nil
}

func confirmed() authenticationv1.TokenReviewStatus {
	return authenticationv1.TokenReviewStatus{
		Authenticated: true, Audiences: []string{Audience},
		User: authenticationv1.UserInfo{Username: user, Extra: map[string]authenticationv1.ExtraValue{nodeNameKey: {"node1"}}},
	}
}

func TestTokenReviewDecides(t *testing.T) {
	good := sign(t, jwt.SigningMethodRS256, "one", signing, claims())
	old, other := claims(), claims()
	old["exp"] = time.Now().Add(-time.Hour).Unix()
	other["aud"] = []string{"https://api"}
	for name, test := range map[string]struct {
		token  string
		change func(*authenticationv1.TokenReviewStatus)
		want   []string
	}{
		"accepted": {good, func(*authenticationv1.TokenReviewStatus) {}, nil},
		"its words": {good, func(s *authenticationv1.TokenReviewStatus) {
			s.Authenticated, s.Error = false, "[token has been invalidated]"
		}, []string{"rejected by TokenReview", "has been invalidated"}},
		"expired":     {sign(t, jwt.SigningMethodRS256, "one", signing, old), func(s *authenticationv1.TokenReviewStatus) { s.Authenticated = false }, []string{"it expired at"}},
		"audience":    {sign(t, jwt.SigningMethodRS256, "one", signing, other), func(s *authenticationv1.TokenReviewStatus) { s.Authenticated = false }, []string{`its audience is ["https://api"], wanted is "ingot-dispatch"`}},
		"garbage":     {"x", func(s *authenticationv1.TokenReviewStatus) { s.Authenticated = false }, []string{"not a JSON Web Token"}},
		"unconfirmed": {good, func(s *authenticationv1.TokenReviewStatus) { s.Audiences = nil }, []string{"confirmed audiences []"}},
		"other user":  {good, func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "bob" }, []string{`belongs to "bob"`}},
		"no node":     {good, func(s *authenticationv1.TokenReviewStatus) { s.User.Extra = nil }, []string{"names no node"}},
	} {
		t.Run(name, func(t *testing.T) {
			api := &reviews{status: confirmed()}
			test.change(&api.status)
			a := NewAuthenticator(api, "metallb-system", &Keys{set: usable(t)}, quietLog)

			caller, err := a.Authenticate(t.Context(), test.token)
			if test.want == nil {
				if err != nil || caller.Node != "node1" {
					t.Fatalf("got %+v, %v", caller, err)
				}
				return
			}
			var rejected *RejectedError
			if !errors.As(err, &rejected) {
				t.Fatalf("got %v, want a rejection", err)
			}
			for _, words := range test.want {
				if !strings.Contains(rejected.Reason, words) {
					t.Errorf("%q does not say %q", rejected.Reason, words)
				}
			}
		})
	}
}

func TestKeysAnswerWhileTokenReviewCannot(t *testing.T) {
	api := &reviews{err: errors.New("connection refused")}
	keys := &Keys{}
	now := time.Now()
	a := newAuthenticator(&tokenReviewer{tokens: api, user: user}, &offlineReviewer{keys: keys, user: user, now: time.Now}, quietLog,
		func() time.Time { return now })
	token := sign(t, jwt.SigningMethodRS256, "one", signing, claims())

	_, err := a.Authenticate(t.Context(), token)
	var rejected *RejectedError
	if err == nil || errors.As(err, &rejected) || !strings.Contains(err.Error(), "connection refused") || !strings.Contains(err.Error(), "never been read") {
		t.Errorf("without keys: %v; want both reasons, and no rejection", err)
	}

	keys.set = usable(t)
	if caller, err := a.Authenticate(t.Context(), token); err != nil || caller.Node != "node1" {
		t.Errorf("with keys: %+v, %v", caller, err)
	}
	if api.asked != 1 {
		t.Errorf("a TokenReview that just failed was tried %d times", api.asked)
	}
	forged := sign(t, jwt.SigningMethodRS256, "one", generateRSA(), claims())
	if _, err := a.Authenticate(t.Context(), forged); !errors.As(err, &rejected) {
		t.Errorf("a forged token gave %v", err)
	}

	api.err, api.status = nil, authenticationv1.TokenReviewStatus{}
	now = now.Add(away)
	if _, err := a.Authenticate(t.Context(), token); !errors.As(err, &rejected) {
		t.Errorf("TokenReview is back and says no; got %v", err)
	}
}

func TestVerdictsAreRememberedForAWhile(t *testing.T) {
	now := time.Now()
	api := &reviews{status: confirmed()}
	online := &tokenReviewer{tokens: api, user: user}
	a := newAuthenticator(online, &offlineReviewer{keys: &Keys{}, user: user, now: time.Now}, quietLog, func() time.Time { return now })
	ask := func(token string, want int) {
		t.Helper()
		_, err := a.Authenticate(t.Context(), token)
		var rejected *RejectedError
		if err != nil && !errors.As(err, &rejected) {
			t.Fatal(err)
		}
		if api.asked != want {
			t.Fatalf("asked %d times, want %d", api.asked, want)
		}
	}
	brief := claims()
	brief["exp"] = now.Add(time.Minute).Unix()
	short := sign(t, jwt.SigningMethodRS256, "one", signing, brief)
	long := sign(t, jwt.SigningMethodRS256, "one", signing, claims())

	ask(short, 1)
	ask(short, 1)
	now = now.Add(2 * time.Minute)
	ask(short, 2) // its life is over
	ask(long, 3)
	now = now.Add(trusted - time.Second)
	ask(long, 3)
	now = now.Add(2 * time.Second)
	ask(long, 4)

	api.status = authenticationv1.TokenReviewStatus{}
	ask("bad", 5)
	ask("bad", 5)
	now = now.Add(refused + time.Second)
	ask("bad", 6)
}

func TestKeysSurviveARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data", "issuer-keys.json")
	first := newKeys(func(context.Context) (*keySet, error) { return usable(t), nil }, file, quietLog)
	if _, ok := first.current(); ok {
		t.Fatal("keys out of nowhere")
	}
	if err := first.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("kept as %v, %v", info, err)
	}

	second := newKeys(func(context.Context) (*keySet, error) { return nil, errors.New("away") }, file, quietLog)
	if err := second.refresh(t.Context()); err == nil {
		t.Error("a failed reading gave no error")
	}
	r := &offlineReviewer{keys: second, user: user, now: time.Now}
	if caller, err := r.review(t.Context(), sign(t, jwt.SigningMethodES256, "two", signing2, claims())); err != nil || caller.Node != "node1" {
		t.Errorf("after the restart: %+v, %v", caller, err)
	}

	if err := os.WriteFile(file, []byte(`{"issuer":"x","keys":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := newKeys(nil, file, quietLog).current(); ok {
		t.Error("a damaged file gave keys")
	}
}

func TestKeySetsThatCannotBeTrusted(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good := published().Keys
	for name, s := range map[string]*keySet{
		"no issuer":     {Keys: good},
		"no key":        {Issuer: issuer},
		"only unusable": {Issuer: issuer, Keys: []jsonWebKey{{Kty: "oct"}, {Kty: "RSA", Use: "enc", N: good[0].N, E: good[0].E}}},
		"short RSA":     {Issuer: issuer, Keys: []jsonWebKey{{Kty: "RSA", N: b64(weak.N.Bytes()), E: "AQAB"}}},
		"exponent 1":    {Issuer: issuer, Keys: []jsonWebKey{{Kty: "RSA", N: good[0].N, E: "AQ"}}},
		"not base64":    {Issuer: issuer, Keys: []jsonWebKey{{Kty: "RSA", N: "%", E: "AQAB"}}},
		"off the curve": {Issuer: issuer, Keys: []jsonWebKey{{Kty: "EC", Crv: "P-256", X: good[1].X, Y: good[1].X}}},
		"short point":   {Issuer: issuer, Keys: []jsonWebKey{{Kty: "EC", Crv: "P-256", X: "AQ", Y: "AQ"}}},
		"unknown curve": {Issuer: issuer, Keys: []jsonWebKey{{Kty: "EC", Crv: "P-1", X: good[1].X, Y: good[1].Y}}},
	} {
		if err := s.parse(); err == nil {
			t.Errorf("%s: parsed to %d keys", name, len(s.parsed))
		}
	}
}

func FuzzDecodeKeySet(f *testing.F) {
	f.Add([]byte(`{"issuer":"https://x","keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}]}`))
	f.Add([]byte(`{"issuer":"https://x","keys":[{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeKeySet(data)
		if err == nil && (len(s.parsed) == 0 || s.Issuer == "") {
			t.Errorf("accepted a set without keys or issuer")
		}
	})
}
