// Package admission answers what the kube-apiserver asks before it writes a Service or a Secret. Where it is in any
// doubt it admits, without a word.
package admission

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/controller/service"
)

const (
	// mostBody is more than an object before and an object after can have: each fits into etcd (1.5 MB).
	mostBody = 4 << 20
	// atOnce is how many reviews are under way at most. Those beyond are admitted at once.
	atOnce = 128
	// patience is how long one may take: less than the kube-apiserver waits (timeoutSeconds: 3).
	patience = 2500 * time.Millisecond
	// mostWarnings is of how many findings one answer tells.
	mostWarnings = 16
)

// Services says what is wrong with a Service: a service.Preview.
type Services interface {
	Review(ctx context.Context, old, svc *corev1.Service) (found []service.Finding, enforce bool, err error)
}

// Options say what a Handler works with.
type Options struct {
	Services  Services
	Peers     *Peers
	Namespace string // of Secrets that peers name
	Enforce   bool   // refuse in every namespace
	// Patience is how long a review may take; 0: less than the kube-apiserver waits as it is shipped.
	Patience time.Duration
	Log      *slog.Logger
}

// Handler answers AdmissionReviews at /services and /secrets.
type Handler struct {
	Options
	*metrics
	mux  http.ServeMux
	room chan struct{}
}

// New returns a Handler, which is a prometheus.Collector as well.
func New(o Options) *Handler {
	h := &Handler{Options: o, metrics: newMetrics(), room: make(chan struct{}, atOnce)}
	h.mux.HandleFunc("POST /services", h.answer("services", h.service))
	h.mux.HandleFunc("POST /secrets", h.answer("secrets", h.secret))
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// verdict is what becomes of a request. The zero value admits it.
type verdict struct {
	result   result
	warnings []string
	refusal  *metav1.Status
}

// answer is the shell around one kind of review.
func (h *Handler) answer(resource string, review func(context.Context, *admissionv1.AdmissionRequest) verdict) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		asked, err := read(w, r)
		if err != nil {
			h.count(resource, unreadable, start)
			status := http.StatusBadRequest
			if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
				status = http.StatusRequestEntityTooLarge
			}
			http.Error(w, err.Error(), status)
			return
		}
		v := verdict{result: shed}
		select {
		case h.room <- struct{}{}:
			ctx, cancel := context.WithTimeout(r.Context(), cmp.Or(h.Patience, patience))
			v = review(ctx, asked.Request)
			cancel()
			<-h.room
		default: // more than we can do; nobody shall wait for us
		}
		h.count(resource, v.result, start)
		h.Log.Debug("reviewed", "op", "review", "resource", resource, "namespace", asked.Request.Namespace, "name", asked.Request.Name,
			"operation", asked.Request.Operation, "result", v.result, "warnings", v.warnings, "seconds", time.Since(start).Seconds())
		reply := admissionv1.AdmissionReview{TypeMeta: asked.TypeMeta, Response: &admissionv1.AdmissionResponse{
			UID: asked.Request.UID, Allowed: v.refusal == nil, Result: v.refusal, Warnings: v.warnings[:min(len(v.warnings), mostWarnings)],
		}}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(reply); err != nil {
			h.Log.Debug("could not answer", "op", "review", "resource", resource, "error", err)
		}
	}
}

// read takes a review out of a request.
func read(w http.ResponseWriter, r *http.Request) (*admissionv1.AdmissionReview, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	if err != nil {
		return nil, fmt.Errorf("reading the review: %w", err)
	}
	var asked admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, fmt.Errorf("decoding the review: %w", err)
	}
	if asked.Request == nil {
		return nil, errors.New("an AdmissionReview without a request")
	}
	return &asked, nil
}

// decode reads the objects of a request; one that is not there is nil.
func decode[T any](raw []byte) (*T, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	object := new(T)
	if err := json.Unmarshal(raw, object); err != nil {
		return nil, fmt.Errorf("decoding the object: %w", err)
	}
	return object, nil
}
