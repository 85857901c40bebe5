package admission

import (
	"context"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
)

// secret reviews the end of a Secret, or of its use as a password. It never refuses: a password must be let go of.
func (h *Handler) secret(_ context.Context, r *admissionv1.AdmissionRequest) verdict {
	if r.Namespace != h.Namespace || r.SubResource != "" {
		return verdict{result: admitted}
	}
	old, err := decode[corev1.Secret](r.OldObject.Raw)
	next, err2 := decode[corev1.Secret](r.Object.Raw)
	if err != nil || err2 != nil || h.Peers.Ready() != nil {
		return verdict{result: unsure}
	}
	what := lostPassword(r.Operation, old, next)
	if what == "" {
		return verdict{result: admitted}
	}
	name := r.Name
	if name == "" { // one of a collection
		name = old.Name
	}
	peers := h.Peers.Naming(name)
	if len(peers) == 0 {
		return verdict{result: admitted}
	}
	h.findings.WithLabelValues("PasswordSecret").Inc()
	return verdict{result: warned, warnings: []string{fmt.Sprintf(
		"Secret %q, which %s in spec.passwordSecret, %s: without its password there is no BGP session", name, named(peers), what)}}
}

// lostPassword says how the password goes; empty where it does not.
func lostPassword(operation admissionv1.Operation, old, next *corev1.Secret) string {
	has := func(s *corev1.Secret) bool { return len(s.Data[corev1.BasicAuthPasswordKey]) > 0 }
	switch {
	case old == nil || old.Type != corev1.SecretTypeBasicAuth || !has(old):
		return ""
	case operation == admissionv1.Delete:
		return "is deleted"
	case next == nil:
		return ""
	case next.Type != corev1.SecretTypeBasicAuth:
		return fmt.Sprintf("is of type %q now, not %q", next.Type, corev1.SecretTypeBasicAuth)
	case !has(next):
		return fmt.Sprintf("has no key %q any longer", corev1.BasicAuthPasswordKey)
	}
	return ""
}

// mostNamed is how many peers a sentence names.
const mostNamed = 5

func named(peers []string) string {
	slices.Sort(peers)
	verb, more := "names", ""
	if len(peers) > 1 {
		verb = "name"
	}
	if n := len(peers) - mostNamed; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
		peers = peers[:mostNamed]
	}
	return "BGPPeer " + strings.Join(peers, ", ") + more + " " + verb
}
