package identity

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nodeNameKey is the extra attribute in which the kube-apiserver names the node of the Pod that a token is bound to
// (k8s.io/apiserver, serviceaccount.NodeNameKey).
const nodeNameKey = "authentication.kubernetes.io/node-name"

// reviewTimeout bounds one TokenReview: a speaker waits for it.
const reviewTimeout = 3 * time.Second

// TokenReviews asks the host cluster to judge a token; client-go's AuthenticationV1().TokenReviews() is one.
type TokenReviews interface {
	Create(ctx context.Context, review *authenticationv1.TokenReview, opts metav1.CreateOptions) (*authenticationv1.TokenReview, error)
}

type tokenReviewer struct {
	tokens TokenReviews
	user   string
}

func (r *tokenReviewer) review(ctx context.Context, token string) (Caller, error) {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	review, err := r.tokens.Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{Audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return Caller{}, fmt.Errorf("TokenReview: %w", err)
	}
	status := &review.Status
	if !status.Authenticated {
		return Caller{}, &RejectedError{refusal(token, status.Error)}
	}
	if !slices.Contains(status.Audiences, Audience) {
		return Caller{}, &RejectedError{fmt.Sprintf("bearer token rejected: TokenReview confirmed audiences %q, not %q", status.Audiences, Audience)}
	}
	var node string
	if names := status.User.Extra[nodeNameKey]; len(names) == 1 {
		node = names[0]
	}
	return speaker(status.User.Username, r.user, node)
}

// speaker accepts a proven user, if it is the one wanted and bound to a node.
func speaker(user, wanted, node string) (Caller, error) {
	if user != wanted {
		return Caller{}, &RejectedError{fmt.Sprintf("bearer token rejected: it belongs to %q, not to %q", user, wanted)}
	}
	if node == "" {
		return Caller{}, &RejectedError{"bearer token rejected: it names no node; it must be bound to the speaker's Pod, by Kubernetes 1.30 or later"}
	}
	return Caller{Node: node}, nil
}

// refusal puts what TokenReview said into words, with what the token says of itself where that explains it.
func refusal(token, said string) string {
	words := "bearer token rejected by TokenReview"
	if said != "" {
		words += ": " + strings.TrimSpace(said)
	}
	claims, err := unverified(token)
	switch {
	case err != nil:
		return words + " (it is not a JSON Web Token)"
	case len(claims.Audience) > 0 && !slices.Contains(claims.Audience, Audience):
		return fmt.Sprintf("%s (its audience is %q, wanted is %q)", words, []string(claims.Audience), Audience)
	case claims.ExpiresAt != nil && claims.ExpiresAt.Before(time.Now()):
		return fmt.Sprintf("%s (it expired at %s)", words, claims.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return words
}
