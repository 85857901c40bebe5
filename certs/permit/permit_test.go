package permit

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// cluster knows the tokens "reader" and "writer", of which the first may get /metrics. asked is what the last question was.
func cluster(asked *authorizationv1.SubjectAccessReviewSpec) *fake.Clientset {
	client := fake.NewClientset()
	client.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		review := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview)
		switch review.Spec.Token {
		case "reader", "writer":
			review.Status.Authenticated = true
			review.Status.User = authenticationv1.UserInfo{Username: review.Spec.Token, UID: "1", Groups: []string{"system:authenticated"},
				Extra: map[string]authenticationv1.ExtraValue{"pod": {"x"}}}
		case "broken":
			return true, nil, errors.New("connection refused")
		}
		return true, review, nil
	})
	client.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		review := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview)
		*asked = review.Spec
		review.Status.Allowed = review.Spec.User == "reader"
		return true, review, nil
	})
	return client
}

func TestOnlyWhoMayReads(t *testing.T) {
	var asked authorizationv1.SubjectAccessReviewSpec
	handler := Readers(cluster(&asked), slog.New(slog.DiscardHandler), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	for authorization, want := range map[string]int{
		"":                                     http.StatusUnauthorized,
		"Basic reader":                         http.StatusUnauthorized,
		"Bearer":                               http.StatusUnauthorized,
		"Bearer nobody":                        http.StatusUnauthorized,
		"Bearer " + strings.Repeat("x", 1<<20): http.StatusUnauthorized,
		"Bearer writer":                        http.StatusForbidden,
		"Bearer broken":                        http.StatusServiceUnavailable,
		"bearer  reader":                       http.StatusNoContent,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
		r.Header.Set("Authorization", authorization)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		if answer.Code != want {
			t.Errorf("%.20q: %d %s, want %d", authorization, answer.Code, answer.Body, want)
		}
		if strings.Contains(answer.Body.String(), "connection refused") {
			t.Errorf("%.20q: the caller is told what is wrong inside: %s", authorization, answer.Body)
		}
		if (want == http.StatusUnauthorized) != (answer.Header().Get("WWW-Authenticate") == "Bearer") {
			t.Errorf("%.20q: headers %v", authorization, answer.Header())
		}
	}
	want := authorizationv1.SubjectAccessReviewSpec{
		UID: "1", Groups: []string{"system:authenticated"}, Extra: map[string]authorizationv1.ExtraValue{"pod": {"x"}},
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/metrics", Verb: "get"},
	}
	asked.User = ""
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("what was asked (-want +got):\n%s", diff)
	}
}

func TestACrowdIsSentAway(t *testing.T) {
	client := fake.NewClientset()
	arrived, release := make(chan struct{}), make(chan struct{})
	client.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		return true, a.(clienttesting.CreateAction).GetObject(), nil
	})
	handler := Readers(client, slog.New(slog.DiscardHandler), http.NotFoundHandler())
	// The fake answers one at a time, so that whoever waits inside holds a turn.
	var once bool
	client.PrependReactor("create", "tokenreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
		if !once {
			once = true
			close(arrived)
			<-release
		}
		return false, nil, nil
	})
	ask := func(ctx context.Context) int {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/metrics", nil)
		r.Header.Set("Authorization", "Bearer x")
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		return answer.Code
	}
	codes := make(chan int, asked+1)
	go func() { codes <- ask(t.Context()) }()
	<-arrived
	for range asked {
		go func() { codes <- ask(t.Context()) }()
	}
	// One of them finds no turn free, and the others get theirs once the first is answered.
	if code := <-codes; code != http.StatusServiceUnavailable {
		t.Errorf("the first to be answered got %d", code)
	}
	close(release)
	for range asked {
		if code := <-codes; code != http.StatusUnauthorized {
			t.Errorf("got %d", code)
		}
	}
}
