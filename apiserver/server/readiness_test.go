package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
)

// TestReadyIsReadyForEveryKind: once /readyz says so, nobody is told to come back because what is stored has not been read yet.
func TestReadyIsReadyForEveryKind(t *testing.T) {
	config := serveAlone(t)
	client, err := rest.HTTPClientFor(config) // which tries nothing again
	if err != nil {
		t.Fatal(err)
	}
	resources := []string{"v1beta1/namespaces/" + namespace + "/ipallocations", "v1beta1/namespaces/" + namespace + "/metallbs"}
	for _, s := range samples {
		resources = append(resources, fmt.Sprintf("%s/namespaces/%s/%s", s.resource.Version, namespace, s.resource.Resource))
	}
	for _, path := range resources {
		if code, text := send(t, client, config, http.MethodGet, "/apis/metallb.io/"+path, asJSON, ""); code != http.StatusOK {
			t.Errorf("%s: %d %s", path, code, clip(text))
		}
	}
}

func TestReadyzSaysWhatIsMissing(t *testing.T) {
	r := newReadiness([]string{"store", "api"}, []string{"apiservices"})
	m := &monitor{readiness: r, log: slog.New(slog.DiscardHandler)}
	ask := func(path string) (int, string) {
		w := httptest.NewRecorder()
		m.handler(func(h http.Handler) http.Handler { return h }).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}
	type answer struct {
		Code int
		Body string
	}
	check := func(when string, want answer) {
		t.Helper()
		code, body := ask("/readyz")
		if diff := cmp.Diff(want, answer{code, body}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}

	check("at the start", answer{503, "[-]store failed: not started yet\n[-]api failed: not started yet\n[ ]apiservices not in place: not started yet\n"})
	r.fail("store", nil)
	r.fail("api", errors.New("kube-apiserver: connection refused"))
	check("without the host", answer{503, "[+]store ok\n[-]api failed: kube-apiserver: connection refused\n[ ]apiservices not in place: not started yet\n"})
	r.fail("api", nil)
	check("before anything leads here", answer{200, "[+]store ok\n[+]api ok\n[ ]apiservices not in place: not started yet\n"})
	if !r.ready() {
		t.Error("advisory parts must not be waited for")
	}
	if code, body := ask("/healthz"); code != 200 || body != "ok" {
		t.Errorf("/healthz = %d %q", code, body)
	}
	if code, body := ask("/metrics"); code != 200 || len(body) == 0 {
		t.Errorf("/metrics = %d with %d bytes", code, len(body))
	}
}
