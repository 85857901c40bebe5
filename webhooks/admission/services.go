package admission

import (
	"context"
	"errors"
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/controller/service"
)

// service reviews the writing of a Service. What was wrong before, and what is nobody's fault, is no reason to refuse.
func (h *Handler) service(ctx context.Context, r *admissionv1.AdmissionRequest) verdict {
	if r.SubResource != "" || r.Operation != admissionv1.Create && r.Operation != admissionv1.Update {
		return verdict{result: admitted}
	}
	svc, err := decode[corev1.Service](r.Object.Raw)
	old, err2 := decode[corev1.Service](r.OldObject.Raw)
	if err := errors.Join(err, err2); err != nil {
		h.Log.Warn("a Service cannot be read", "op", "review", "service", r.Namespace+"/"+r.Name, "error", err)
		return verdict{result: unreadable}
	}
	if svc == nil || svc.DeletionTimestamp != nil {
		return verdict{result: admitted}
	}
	svc.Namespace = r.Namespace
	if old != nil {
		old.Namespace = r.Namespace
	}
	found, enforce, err := h.Services.Review(ctx, old, svc)
	if err != nil {
		h.Log.Debug("admitting a Service without a look", "op", "review", "service", r.Namespace+"/"+r.Name, "error", err)
		return verdict{result: unsure}
	}
	v := verdict{result: admitted}
	var reasons []service.Finding
	for _, f := range found {
		h.findings.WithLabelValues(f.Reason).Inc()
		if (h.Enforce || enforce) && f.New && !f.Advice {
			reasons = append(reasons, f)
			continue
		}
		v.result = warned
		v.warnings = append(v.warnings, f.String())
	}
	if len(reasons) > 0 {
		v.result, v.refusal = refused, refusal(svc.Name, reasons)
		h.Log.Info("refused a Service", "event", "serviceRefused", "service", r.Namespace+"/"+svc.Name, "reason", v.refusal.Message)
	}
	return v
}

// refusal has the sentences, and the fields that they are about.
func refusal(name string, found []service.Finding) *metav1.Status {
	s := &metav1.Status{Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden,
		Details: &metav1.StatusDetails{Name: name, Kind: "services"}}
	var sentences []string
	for _, f := range found {
		sentences = append(sentences, f.String())
		s.Details.Causes = append(s.Details.Causes, metav1.StatusCause{
			Type: metav1.CauseTypeFieldValueInvalid, Field: f.Field, Message: f.Sentence})
	}
	s.Message = strings.Join(sentences, "; ")
	return s
}
