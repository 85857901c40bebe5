// Package permit lets those read metrics who may: the host cluster is asked who a caller is (TokenReview) and whether it may get the
// path (SubjectAccessReview), as by Kubernetes' own programs and MetalLB's.
package permit

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// patience is how long the host cluster may take to answer both questions. Prometheus itself waits for 10 s.
	patience = 5 * time.Second
	// asked is how many callers are asked about at once, at most.
	asked = 4
	// longestToken is far above what the tokens of ServiceAccounts have.
	longestToken = 16 << 10
)

// Readers passes on to next the requests of those who may make them.
func Readers(client kubernetes.Interface, log *slog.Logger, next http.Handler) http.Handler {
	turns := make(chan struct{}, asked)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "bearer") || token == "" || len(token) > longestToken {
			unknown(w)
			return
		}
		select {
		case turns <- struct{}{}:
		default:
			http.Error(w, "too many callers at once", http.StatusServiceUnavailable)
			return
		}
		user, allowed, err := ask(r.Context(), client, token, r.Method, r.URL.Path)
		<-turns
		switch {
		case r.Context().Err() != nil: // the caller is gone
		case err != nil:
			log.Warn("who asks for metrics cannot be found out", "event", "metricsNotPermitted", "error", err)
			http.Error(w, "the host cluster cannot be asked who you are and what you may", http.StatusServiceUnavailable)
		case user == nil:
			unknown(w)
		case !allowed:
			http.Error(w, user.Username+" may not "+strings.ToLower(r.Method)+" the path "+r.URL.Path, http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func unknown(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", "Bearer")
	http.Error(w, "a token of the host cluster is needed: Authorization: Bearer …", http.StatusUnauthorized)
}

// ask returns whose token it is, nil if it is nobody's, and whether that one may.
func ask(ctx context.Context, client kubernetes.Interface, token, method, path string) (*authenticationv1.UserInfo, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	review, err := client.AuthenticationV1().TokenReviews().Create(ctx,
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return nil, false, err
	}
	if !review.Status.Authenticated {
		return nil, false, nil
	}
	user := &review.Status.User
	extra := map[string]authorizationv1.ExtraValue{}
	for name, values := range user.Extra {
		extra[name] = authorizationv1.ExtraValue(values)
	}
	access, err := client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: strings.ToLower(method)},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, false, err
	}
	return user, access.Status.Allowed, nil
}
