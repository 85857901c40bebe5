package volumes

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func TestTokensAreRenewedAtFourFifthsOfTheirLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issued, away := 0, false
		client := fake.NewClientset()
		client.PrependReactor("create", "serviceaccounts", func(a clienttesting.Action) (bool, runtime.Object, error) {
			if away {
				return true, nil, errors.New("away")
			}
			issued++
			request := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenRequest)
			life := time.Duration(*request.Spec.ExpirationSeconds) * time.Second
			return true, &authenticationv1.TokenRequest{Status: authenticationv1.TokenRequestStatus{
				Token: fmt.Sprintf("%d %v %s", issued, request.Spec.Audiences, request.Spec.BoundObjectRef.UID), ExpirationTimestamp: metav1.NewTime(time.Now().Add(life)),
			}}, nil
		})
		v := &Volumes{Client: client, Log: slog.New(slog.DiscardHandler), tokens: map[string]token{}}
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u"}}
		hour := int64(3600)
		projection := &corev1.ServiceAccountTokenProjection{Path: "token", Audience: "a", ExpirationSeconds: &hour}
		var got []string
		look := func(after time.Duration) {
			time.Sleep(after)
			synctest.Wait()
			have, err := v.tokenFor(t.Context(), pod, "v", projection)
			if err != nil {
				got = append(got, err.Error())
				return
			}
			got = append(got, have.text)
		}
		look(0)
		look(47 * time.Minute)
		look(2 * time.Minute) // 49 of 60 minutes
		away = true
		look(50 * time.Minute) // it is time, and nobody answers
		look(11 * time.Minute) // its life is over
		away = false
		look(0)
		want := []string{"1 [a] u", "1 [a] u", "2 [a] u", "2 [a] u", "failed to fetch token: away", "3 [a] u"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}
