package certs

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/certs/inspect"
)

const system = "metallb-system"

// configuration is one with a webhook of ours and one of somebody else.
func configuration(annotations, labels map[string]string) *admissionv1.ValidatingWebhookConfiguration {
	calls := func(service string) admissionv1.WebhookClientConfig {
		return admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: system, Name: service}}
	}
	return &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: WebhookConfiguration, Annotations: annotations, Labels: labels},
		Webhooks: []admissionv1.ValidatingWebhook{
			{Name: "ours.example.com", ClientConfig: calls("webhooks")}, {Name: "theirs.example.com", ClientConfig: calls("elsewhere")},
		},
	}
}

var asking = map[string]string{InjectAnnotation: "true"}

// rotating is an installation of some replicas whose time the test makes pass.
type rotating struct {
	*testing.T
	*clock
	host     *host
	replicas []*Keeper
}

func newRotating(t *testing.T, replicas int, h *host) *rotating {
	r := &rotating{T: t, clock: newClock(), host: h}
	for range replicas {
		o := keeperOptions(h, t.TempDir())
		o.Policy, o.Webhooks, o.now = hours, "webhooks", r.now
		k, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		r.replicas = append(r.replicas, k)
	}
	return r
}

// settle has every replica do what there is to do.
func (r *rotating) settle() {
	r.Helper()
	for range 4 {
		for i, k := range r.replicas {
			if _, err := k.reconcile(r.Context()); err != nil {
				r.Fatalf("replica %d: %v", i, err)
			}
		}
	}
}

func (r *rotating) secret(name string) *corev1.Secret {
	r.Helper()
	s, err := r.host.CoreV1().Secrets(system).Get(r.Context(), name, metav1.GetOptions{})
	if err != nil {
		r.Fatal(err)
	}
	return s
}

// told returns what each of those who are told of CAs has.
func (r *rotating) told() map[string][]byte {
	r.Helper()
	m, err := r.host.CoreV1().ConfigMaps(system).Get(r.Context(), ObjectName, metav1.GetOptions{})
	if err != nil {
		r.Fatal(err)
	}
	c, err := r.host.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(r.Context(), WebhookConfiguration, metav1.GetOptions{})
	if err != nil {
		r.Fatal(err)
	}
	return map[string][]byte{"ConfigMap": []byte(m.Data[BundleKey]), "webhooks": r.secret("webhooks-tls").Data[BundleKey],
		"configuration": c.Webhooks[0].ClientConfig.CABundle, "Secret": r.secret(ObjectName).Data[BundleKey]}
}

// accepted fails unless everybody who is told accepts everything that is shown.
func (r *rotating) accepted() {
	r.Helper()
	for who, bundle := range r.told() {
		for i, k := range r.replicas {
			cert, key := k.CertKey()
			if _, err := inspect.Pair(cert, key, inspect.Wanted{Name: "apiserver.metallb-system.svc", Roots: bundle, Now: r.now()}); err != nil {
				r.Fatalf("%s refuses replica %d: %v", who, i, err)
			}
		}
		issued := r.secret("webhooks-tls")
		if _, err := inspect.Pair(issued.Data[corev1.TLSCertKey], issued.Data[corev1.TLSPrivateKeyKey],
			inspect.Wanted{Name: "webhooks.metallb-system.svc", Roots: bundle, Now: r.now()}); err != nil {
			r.Fatalf("%s refuses webhooks: %v", who, err)
		}
	}
}

// TestTenRotationsOfThreeReplicas: every two hours the Secret is whole and nobody is refused.
func TestTenRotationsOfThreeReplicas(t *testing.T) {
	r := newRotating(t, 3, newHost(configuration(asking, nil)))
	signers := map[string]bool{}
	for len(signers) <= 10 {
		r.settle()
		r.accepted()
		stored := r.secret(ObjectName)
		now, err := document{stored.Data, stored.Annotations}.parse()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(stored.Data[BundleKey], now.bundle()) {
			t.Error("the bundle of the Secret is not that of its CAs")
		}
		signers[string(now.current.certPEM)] = true
		for i, k := range r.replicas {
			if !k.known().equal(now) {
				t.Errorf("replica %d knows other CAs", i)
			}
		}
		r.pass(2 * time.Hour)
	}
}

// TestTwoReplicasTakeOneStep: the one that is late writes nothing.
func TestTwoReplicasTakeOneStep(t *testing.T) {
	r := newRotating(t, 2, newHost())
	r.settle()
	before, err := r.replicas[1].load(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.pass(hours.CA)
	r.pass(-hours.Overlap)
	first, err := r.replicas[0].advance(t.Context(), before, stage)
	if err != nil {
		t.Fatal(err)
	}
	// The fake cluster does not compare versions; a real one would.
	r.host.PrependReactor("update", "secrets", conflict)
	second, err := r.replicas[1].advance(t.Context(), before, stage)
	if err != nil {
		t.Fatal(err)
	}
	if !second.trust.equal(first.trust) {
		t.Error("the second replica did not take what the first wrote")
	}
}

// TestNobodyElsesBundleIsWritten: only where it is asked for, and nobody else is in charge.
func TestNobodyElsesBundleIsWritten(t *testing.T) {
	ours := func(more map[string]string) map[string]string {
		all := map[string]string{InjectAnnotation: "true"}
		for k, v := range more {
			all[k] = v
		}
		return all
	}
	tests := []struct {
		what                string
		annotations, labels map[string]string
		injected            bool
	}{
		{"asks", ours(nil), nil, true},
		{"does not ask", nil, nil, false},
		{"refuses", map[string]string{InjectAnnotation: "false"}, nil, false},
		{"cert-manager's", ours(map[string]string{"cert-manager.io/inject-ca-from": "metallb-system/webhooks"}), nil, false},
		{"cert-manager's, from a Secret", ours(map[string]string{"cert-manager.io/inject-ca-from-secret": "metallb-system/webhooks"}), nil, false},
		{"OpenShift's", ours(map[string]string{"service.beta.openshift.io/inject-cabundle": "true"}), nil, false},
		{"OLM's", ours(nil), map[string]string{"olm.owner": "ingot.v1", "olm.owner.kind": "ClusterServiceVersion"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			r := newRotating(t, 1, newHost(configuration(tt.annotations, tt.labels)))
			r.settle()
			c, err := r.host.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), WebhookConfiguration, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := bytes.Equal(c.Webhooks[0].ClientConfig.CABundle, r.replicas[0].Bundle()); got != tt.injected {
				t.Errorf("injected: %v, want %v", got, tt.injected)
			}
			if len(c.Webhooks[1].ClientConfig.CABundle) > 0 {
				t.Error("injected into a webhook of somebody else")
			}
		})
	}
}

// TestASecretOfOthersIsLeftAlone: cert-manager issues the certificate of webhooks.
func TestASecretOfOthersIsLeftAlone(t *testing.T) {
	theirs := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "webhooks-tls", Namespace: system,
		Annotations: map[string]string{"cert-manager.io/certificate-name": "webhooks"}}, Data: map[string][]byte{corev1.TLSCertKey: []byte("theirs")}}
	r := newRotating(t, 1, newHost(theirs))
	r.settle()
	if got := string(r.secret("webhooks-tls").Data[corev1.TLSCertKey]); got != "theirs" {
		t.Errorf("the certificate is now %q", got)
	}
}

// TestWhoIsNotToldHoldsTheRotation: nothing is signed by a CA that somebody has not been told of.
func TestWhoIsNotToldHoldsTheRotation(t *testing.T) {
	r := newRotating(t, 1, newHost(configuration(asking, nil)))
	told := false
	r.replicas[0].options.Carried = func(context.Context, []byte) error {
		if told {
			return nil
		}
		return ErrNotYet
	}
	r.settle()
	first := r.replicas[0].known().current
	r.pass(hours.CA/3*2 + time.Hour)
	r.settle()
	r.pass(hours.Overlap + time.Hour)
	r.settle()
	if now := r.replicas[0].known(); !now.current.equal(first) || now.next == nil || !now.told.IsZero() {
		t.Fatalf("promoted, or counted as told: %+v", now)
	}
	told = true
	r.settle()
	r.pass(hours.Overlap - time.Minute)
	r.settle()
	if !r.replicas[0].known().current.equal(first) {
		t.Error("promoted before it was known for an overlap")
	}
	r.pass(2 * time.Minute)
	r.settle()
	if r.replicas[0].known().current.equal(first) {
		t.Error("not promoted after everybody had known it for an overlap")
	}
}

// TestRotatingOnDemand: the annotation begins a rotation and is taken away.
func TestRotatingOnDemand(t *testing.T) {
	r := newRotating(t, 1, newHost())
	r.settle()
	s := r.secret(ObjectName)
	s.Annotations = map[string]string{RotateAnnotation: "true"}
	if _, err := r.host.CoreV1().Secrets(system).Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.settle()
	if k := r.replicas[0].known(); k.next == nil || k.asked {
		t.Errorf("next %v, still asked for %v", k.next, k.asked)
	}
	if _, still := r.secret(ObjectName).Annotations[RotateAnnotation]; still {
		t.Error("the annotation is still there")
	}
}

// TestComingBackAfterTheEnd: neither Secret nor copy has a CA that is valid.
func TestComingBackAfterTheEnd(t *testing.T) {
	r := newRotating(t, 1, newHost(configuration(asking, nil)))
	r.settle()
	r.pass(3 * hours.CA)
	o := r.replicas[0].options
	again, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	r.replicas = []*Keeper{again}
	r.settle()
	r.accepted()
	if trusted := len(inspect.Certificates(again.Bundle())); trusted != 1 {
		t.Errorf("%d CAs are trusted, want the new one", trusted)
	}
}

// TestAnUnusableSecretChangesNothing: what is wrong is said, counted, and the last good one serves.
func TestAnUnusableSecretChangesNothing(t *testing.T) {
	other, err := newAuthority(time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := other.issue(time.Now(), time.Hour, []string{"web"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		spoil func(map[string][]byte)
		want  string
	}{
		"the key of another": {func(d map[string][]byte) { d[corev1.TLSPrivateKeyKey] = other.keyPEM }, "private key does not match"},
		"half of it":         {func(d map[string][]byte) { delete(d, corev1.TLSPrivateKeyKey) }, "no key of it"},
		"not a CA": {func(d map[string][]byte) {
			d[corev1.TLSCertKey], d[corev1.TLSPrivateKeyKey] = leaf.certPEM, leaf.keyPEM
		}, "certificate for web"},
		"half of the next": {func(d map[string][]byte) { d[nextCert] = other.certPEM }, "next.crt and next.key"},
		"no previous":      {func(d map[string][]byte) { d[oldCert] = []byte("x") }, "previous.crt"},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			r := newRotating(t, 1, newHost())
			r.settle()
			k := r.replicas[0]
			before, bundle := k.current(), k.Bundle()
			s := r.secret(ObjectName)
			tt.spoil(s.Data)
			if _, err := r.host.CoreV1().Secrets(system).Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			_, err := k.reconcile(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "metallb-system/ingot-ca") {
				t.Errorf("%v does not say %q", err, tt.want)
			}
			if k.current() != before || !bytes.Equal(k.Bundle(), bundle) {
				t.Error("what is served changed")
			}
			if got := testutil.ToFloat64(refusals{k}); got != 1 {
				t.Errorf("%v refusals are counted, want 1", got)
			}
		})
	}
}

// records keeps what is logged.
type records struct {
	mu    sync.Mutex
	lines strings.Builder
}

// Write implements io.Writer.
func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines.Write(p)
}

func (r *records) count(s string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.lines.String(), s)
}

func (r *records) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }
