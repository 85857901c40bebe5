package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// leeway allows for clocks that differ.
const leeway = 10 * time.Second

// tokenClaims are the claims of a bound ServiceAccount token.
type tokenClaims struct {
	jwt.RegisteredClaims
	Kubernetes struct {
		Namespace string `json:"namespace"`
		Node      struct {
			Name string `json:"name"`
		} `json:"node"`
		ServiceAccount struct {
			Name string `json:"name"`
		} `json:"serviceaccount"`
	} `json:"kubernetes.io"`
}

// offlineReviewer verifies tokens by the cluster's issuer keys.
type offlineReviewer struct {
	keys *Keys
	user string
	now  func() time.Time
}

// algorithms are those that the kube-apiserver signs with; "none" and shared secrets are not among them.
var algorithms = []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"}

func (r *offlineReviewer) review(_ context.Context, token string) (Caller, error) {
	issuers, ok := r.keys.current()
	if !ok {
		return Caller{}, errors.New("the cluster's issuer keys have never been read")
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods(algorithms),
		jwt.WithIssuer(issuers.Issuer),
		jwt.WithAudience(Audience),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(leeway),
		jwt.WithTimeFunc(r.now),
	)
	claims := &tokenClaims{}
	_, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		return issuers.find(kid)
	})
	if err != nil {
		return Caller{}, &RejectedError{fmt.Sprintf("bearer token rejected: %v", err)}
	}
	k := &claims.Kubernetes
	user := "system:serviceaccount:" + k.Namespace + ":" + k.ServiceAccount.Name
	if claims.Subject != user {
		return Caller{}, &RejectedError{fmt.Sprintf("bearer token rejected: its subject %q is not its ServiceAccount %q", claims.Subject, user)}
	}
	return speaker(user, r.user, k.Node.Name)
}
