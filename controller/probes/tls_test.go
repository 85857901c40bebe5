package probes

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/ingot-lb/ingot/certs/handshake"
	"github.com/ingot-lb/ingot/certs/monitoring"
)

// TestOverTLSMetricsAreForThoseWhoMay asks over real connections: kubelets need no token, and scrapers one.
func TestOverTLSMetricsAreForThoseWhoMay(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		review := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview)
		review.Status.Authenticated = review.Spec.Token == "good"
		return true, review, nil
	})
	client.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		review := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview)
		review.Status.Allowed = review.Spec.NonResourceAttributes.Path == "/metrics"
		return true, review, nil
	})
	metric := prometheus.NewGauge(prometheus.GaugeOpts{Name: "ingot_x", Help: "x"})
	log := slog.New(slog.DiscardHandler)
	server, err := Listen(t.Context(), Options{
		Address: "127.0.0.1:0", Metrics: metric, Ready: func() error { return nil }, Client: client, Log: log,
		TLS: monitoring.Options{TLS: true, Limits: &handshake.Limits{}, Log: log},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()

	caller := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	for _, test := range []struct {
		path, token string
		code        int
		body        string
	}{
		{"/healthz", "", http.StatusOK, "ok"},
		{"/readyz", "", http.StatusOK, "ok"},
		{"/metrics", "", http.StatusUnauthorized, "token"},
		{"/metrics", "bad", http.StatusUnauthorized, "token"},
		{"/metrics", "good", http.StatusOK, "ingot_x 0"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+server.Address().String()+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if test.token != "" {
			r.Header.Set("Authorization", "Bearer "+test.token)
		}
		answer, err := caller.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != test.code || !strings.Contains(string(body), test.body) {
			t.Errorf("%s with token %q: %d %s (%v), want %d", test.path, test.token, answer.StatusCode, body, err, test.code)
		}
	}
}
