package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"k8s.io/apimachinery/pkg/util/cache"
)

// Audience is the audience of the tokens that speakers present.
const Audience = "ingot-dispatch"

// serviceAccount is the name of the ServiceAccount that speakers run as.
const serviceAccount = "speaker"

const (
	// trusted bounds how long an answer of TokenReview is believed; a token's own expiry bounds it too. A token
	// that is revoked with its Pod is refused after this time at the latest.
	trusted = 5 * time.Minute
	// refused bounds how long a rejection is repeated without asking again.
	refused = 3 * time.Second
	// away is how long after a failed TokenReview nobody else waits for one.
	away = 2 * time.Second
	// atOnce bounds how many TokenReviews are under way at once, however many callers with tokens come.
	atOnce = 32
	// cached bounds the number of tokens remembered.
	cached = 16384
)

// Caller is who presented a token.
type Caller struct {
	// Node is the name of the Kubernetes Node that the token's Pod runs on.
	Node string
}

// RejectedError says why a token was not accepted, in words for the one who presented it.
type RejectedError struct{ Reason string }

// Error implements error.
func (e *RejectedError) Error() string { return e.Reason }

// reviewer judges a token. Any error but a *RejectedError means that it could not be judged.
type reviewer interface {
	review(ctx context.Context, token string) (Caller, error)
}

// Authenticator turns tokens into callers.
type Authenticator struct {
	online  reviewer
	offline reviewer
	log     *slog.Logger
	now     func() time.Time

	asking    chan struct{}         // places of reviews under way
	verdicts  *cache.LRUExpireCache // [sha256.Size]byte → verdict
	awayUntil atomic.Int64          // Unix nanoseconds
}

type verdict struct {
	caller   Caller
	rejected *RejectedError
}

// NewAuthenticator returns an Authenticator for the ServiceAccount speaker in namespace. It asks tokens, and where
// that cannot answer, verifies by keys.
func NewAuthenticator(tokens TokenReviews, namespace string, keys *Keys, log *slog.Logger) *Authenticator {
	user := "system:serviceaccount:" + namespace + ":" + serviceAccount
	return newAuthenticator(
		&tokenReviewer{tokens: tokens, user: user},
		&offlineReviewer{keys: keys, user: user, now: time.Now},
		log, time.Now)
}

func newAuthenticator(online, offline reviewer, log *slog.Logger, now func() time.Time) *Authenticator {
	return &Authenticator{
		online: online, offline: offline, log: log, now: now,
		asking:   make(chan struct{}, atOnce),
		verdicts: cache.NewLRUExpireCacheWithClock(cached, clock(now)),
	}
}

// Authenticate says who presents token. A *RejectedError means that the token is not good; any other error, that
// nobody could tell.
func (a *Authenticator) Authenticate(ctx context.Context, token string) (Caller, error) {
	key := sha256.Sum256([]byte(token))
	if v, ok := a.verdicts.Get(key); ok {
		v := v.(verdict)
		if v.rejected != nil {
			return Caller{}, v.rejected
		}
		return v.caller, nil
	}
	caller, err := a.ask(ctx, token)
	var rejected *RejectedError
	switch {
	case err == nil:
		if life := min(trusted, remaining(token, a.now())); life > 0 {
			a.verdicts.Add(key, verdict{caller: caller}, life)
		}
		return caller, nil
	case errors.As(err, &rejected):
		a.verdicts.Add(key, verdict{rejected: rejected}, refused)
		return Caller{}, rejected
	case ctx.Err() != nil:
		return Caller{}, ctx.Err()
	}
	caller, offlineErr := a.offline.review(ctx, token)
	if offlineErr != nil {
		if errors.As(offlineErr, &rejected) {
			return Caller{}, rejected
		}
		return Caller{}, fmt.Errorf("cannot verify the token: %w; offline: %w", err, offlineErr)
	}
	a.log.Info("token verified by the cluster's issuer keys, because TokenReview did not answer",
		"event", "tokenVerifiedOffline", "node", caller.Node, "error", err)
	return caller, nil
}

// errAway stands for a TokenReview that was not tried because one has just failed.
var errAway = errors.New("TokenReview: the kube-apiserver did not answer a moment ago")

func (a *Authenticator) ask(ctx context.Context, token string) (Caller, error) {
	if a.now().UnixNano() < a.awayUntil.Load() {
		return Caller{}, errAway
	}
	select {
	case a.asking <- struct{}{}:
		defer func() { <-a.asking }()
	case <-ctx.Done():
		return Caller{}, ctx.Err()
	}
	caller, err := a.online.review(ctx, token)
	var rejected *RejectedError
	if err != nil && !errors.As(err, &rejected) && ctx.Err() == nil {
		a.awayUntil.Store(a.now().Add(away).UnixNano())
	}
	return caller, err
}

// remaining is how long token is still good for by its own words; nothing when it does not say.
func remaining(token string, now time.Time) time.Duration {
	claims, err := unverified(token)
	if err != nil || claims.ExpiresAt == nil {
		return 0
	}
	return claims.ExpiresAt.Sub(now)
}

// unverified reads the claims of a token without believing them.
func unverified(token string) (*tokenClaims, error) {
	claims := &tokenClaims{}
	_, _, err := jwt.NewParser().ParseUnverified(token, claims)
	return claims, err
}

// clock lets a function serve as the clock of a cache.
type clock func() time.Time

// Now implements cache.Clock.
func (c clock) Now() time.Time { return c() }
