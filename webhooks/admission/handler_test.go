package admission

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/controller/service"
)

// says answers the same of every Service.
type says struct {
	found   []service.Finding
	enforce bool
	err     error
	entered chan struct{} // receives for each review, if not nil
}

func (s says) Review(ctx context.Context, _, _ *corev1.Service) ([]service.Finding, bool, error) {
	if s.entered != nil {
		s.entered <- struct{}{}
		<-ctx.Done()
	}
	return s.found, s.enforce, s.err
}

func handler(s Services, enforce bool) *Handler {
	return New(Options{Services: s, Namespace: "metallb-system", Enforce: enforce, Log: slog.New(slog.DiscardHandler)})
}

func review(t *testing.T, operation admissionv1.Operation, object, old any) string {
	t.Helper()
	raw := func(o any) (out runtime.RawExtension) {
		if o == nil {
			return out
		}
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		out.Raw = text
		return out
	}
	text, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request:  &admissionv1.AdmissionRequest{UID: "u", Namespace: "default", Name: "x", Operation: operation, Object: raw(object), OldObject: raw(old)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func ask(t *testing.T, h *Handler, body string) *admissionv1.AdmissionResponse {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/services", strings.NewReader(body)))
	var reply admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil || w.Code != http.StatusOK || reply.Response == nil {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if reply.APIVersion != "admission.k8s.io/v1" || reply.Kind != "AdmissionReview" || reply.Response.UID != "u" {
		t.Errorf("%+v", reply)
	}
	return reply.Response
}

func TestVerdicts(t *testing.T) {
	wrong := service.Finding{Reason: "R", Field: "spec.x", Value: "v", Sentence: "it is wrong", New: true}
	before := wrong
	before.New = false
	advice := service.Finding{Reason: "A", Field: "spec.y", Value: "w", Sentence: "wait", New: true, Advice: true}
	deleted := corev1.Service{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: new(metav1.Now())}}
	const text, advised = `spec.x: "v": it is wrong`, `spec.y: "w": wait`
	for name, test := range map[string]struct {
		says      says
		enforce   bool
		operation admissionv1.Operation
		object    any
		warnings  []string
		refusal   string
		result    result
	}{
		"nothing wrong":        {result: admitted},
		"warned":               {says: says{found: []service.Finding{wrong, advice}}, warnings: []string{text, advised}, result: warned},
		"refused by flag":      {says: says{found: []service.Finding{wrong}}, enforce: true, refusal: text, result: refused},
		"refused by label":     {says: says{found: []service.Finding{wrong}, enforce: true}, refusal: text, result: refused},
		"refused, and advised": {says: says{found: []service.Finding{wrong, advice, wrong}, enforce: true}, refusal: text + "; " + text, warnings: []string{advised}, result: refused},
		"as before":            {says: says{found: []service.Finding{before}, enforce: true}, operation: admissionv1.Update, warnings: []string{text}, result: warned},
		"advised":              {says: says{found: []service.Finding{advice}, enforce: true}, warnings: []string{advised}, result: warned},
		"not known":            {says: says{err: service.ErrStale}, enforce: true, result: unsure},
		"on its way out":       {says: says{found: []service.Finding{wrong}}, enforce: true, object: deleted, result: admitted},
		"deleted":              {says: says{found: []service.Finding{wrong}}, enforce: true, operation: admissionv1.Delete, result: admitted},
		"no Service":           {says: says{found: []service.Finding{wrong}}, enforce: true, object: []int{1}, result: unreadable},
	} {
		t.Run(name, func(t *testing.T) {
			h := handler(test.says, test.enforce)
			if test.operation == "" {
				test.operation = admissionv1.Create
			}
			if test.object == nil {
				test.object = corev1.Service{}
			}
			got := ask(t, h, review(t, test.operation, test.object, nil))
			if diff := cmp.Diff(test.warnings, got.Warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if got.Allowed != (test.refusal == "") {
				t.Errorf("allowed %v", got.Allowed)
			}
			if test.refusal != "" && (got.Result == nil || got.Result.Message != test.refusal || got.Result.Code != http.StatusForbidden) {
				t.Errorf("%+v", got.Result)
			}
			if n := testutil.ToFloat64(h.requests.WithLabelValues("services", string(test.result))); n != 1 {
				t.Errorf("%v requests counted as %s", n, test.result)
			}
		})
	}
}

// TestWhatIsNoReview is answered with an error, which the kube-apiserver takes as leave to go on.
func TestWhatIsNoReview(t *testing.T) {
	for body, want := range map[string]int{
		"":                                       http.StatusBadRequest,
		"{}":                                     http.StatusBadRequest,
		"[":                                      http.StatusBadRequest,
		strings.Repeat("[", 1<<20):               http.StatusBadRequest,
		`{"x":"` + strings.Repeat("x", mostBody): http.StatusRequestEntityTooLarge,
	} {
		w := httptest.NewRecorder()
		handler(says{}, true).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/services", strings.NewReader(body)))
		if w.Code != want {
			t.Errorf("%.20q: %d, want %d", body, w.Code, want)
		}
	}
}

// TestTooManyAreAdmitted: nobody waits for somebody else's review.
func TestTooManyAreAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no review is over by its time
		s := says{found: []service.Finding{{New: true}}, entered: make(chan struct{})}
		h := handler(s, true)
		ctx, cancel := context.WithCancel(t.Context())
		body := review(t, admissionv1.Create, corev1.Service{}, nil)
		done := make(chan struct{}, atOnce)
		for range atOnce {
			go func() {
				r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/services", strings.NewReader(body))
				h.ServeHTTP(httptest.NewRecorder(), r)
				done <- struct{}{}
			}()
		}
		for range atOnce {
			<-s.entered
		}
		if got := ask(t, h, body); !got.Allowed || len(got.Warnings) > 0 {
			t.Errorf("%+v", got)
		}
		cancel()
		for range atOnce {
			<-done
		}
		if n := testutil.ToFloat64(h.requests.WithLabelValues("services", string(shed))); n != 1 {
			t.Errorf("%v shed", n)
		}
	})
}

func TestLostPassword(t *testing.T) {
	secret := func(kind corev1.SecretType, key string) *corev1.Secret {
		return &corev1.Secret{Type: kind, Data: map[string][]byte{key: []byte("x")}}
	}
	good := secret(corev1.SecretTypeBasicAuth, "password")
	for name, test := range map[string]struct {
		operation admissionv1.Operation
		old, next *corev1.Secret
		want      string
	}{
		"deleted":         {admissionv1.Delete, good, nil, "is deleted"},
		"changed":         {admissionv1.Update, good, good, ""},
		"another type":    {admissionv1.Update, good, secret(corev1.SecretTypeOpaque, "password"), `is of type "Opaque" now, not "kubernetes.io/basic-auth"`},
		"without the key": {admissionv1.Update, good, secret(corev1.SecretTypeBasicAuth, "username"), `has no key "password" any longer`},
		"never had it":    {admissionv1.Delete, secret(corev1.SecretTypeBasicAuth, "username"), nil, ""},
		"never was one":   {admissionv1.Delete, secret(corev1.SecretTypeOpaque, "password"), nil, ""},
		"nothing":         {admissionv1.Create, nil, good, ""},
	} {
		if got := lostPassword(test.operation, test.old, test.next); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestManyPeersAreNotAllNamed(t *testing.T) {
	for want, names := range map[string][]string{
		"BGPPeer a names":                       {"a"},
		"BGPPeer a, b name":                     {"b", "a"},
		"BGPPeer a, b, c, d, e and 2 more name": {"g", "f", "e", "d", "c", "b", "a"},
	} {
		if got := named(names); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// FuzzReview: whatever is sent, there is an answer.
func FuzzReview(f *testing.F) {
	f.Add(`{"request":{"uid":"u","operation":"CREATE","object":{"spec":{"type":"LoadBalancer"}}}}`)
	f.Add(`{"request":{"uid":"u","operation":"UPDATE","object":null,"oldObject":7}}`)
	f.Fuzz(func(t *testing.T, body string) {
		w := httptest.NewRecorder()
		handler(service.NewPreview(service.Options{Log: slog.New(slog.DiscardHandler)}), true).
			ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/services", strings.NewReader(body)))
		var reply admissionv1.AdmissionReview
		switch {
		case w.Code != http.StatusOK:
		case json.Unmarshal(w.Body.Bytes(), &reply) != nil || reply.Response == nil || !reply.Response.Allowed:
			t.Errorf("%s", w.Body)
		}
	})
}
