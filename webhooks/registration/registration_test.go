package registration

import (
	"log/slog"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// TestWhatHelmHasIsNotWritten: the class is put in where nobody else says it, and a release says it by itself.
func TestWhatHelmHasIsNotWritten(t *testing.T) {
	const before, class = "!has(object.spec.loadBalancerClass)", `has(object.spec.loadBalancerClass) && object.spec.loadBalancerClass == "example.com/lb"`
	for name, test := range map[string]struct {
		labels  map[string]string
		service string
		want    string
	}{
		"kustomize":       {map[string]string{"app": "metallb"}, "webhooks", class},
		"helm":            {map[string]string{"app": "metallb", "app.kubernetes.io/managed-by": "Helm"}, "webhooks", before},
		"another manager": {map[string]string{"app.kubernetes.io/managed-by": "somebody"}, "webhooks", class},
		"another Service": {nil, "elsewhere", before},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset(&admissionv1.ValidatingWebhookConfiguration{
				ObjectMeta: metav1.ObjectMeta{Name: Name, Labels: test.labels},
				Webhooks: []admissionv1.ValidatingWebhook{{
					Name:            "services.webhooks.ingot.io",
					ClientConfig:    admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: "metallb-system", Name: test.service}},
					MatchConditions: []admissionv1.MatchCondition{{Name: OfOurClass, Expression: before}},
				}},
			})
			o := Options{Client: client, Service: "webhooks", Namespace: "metallb-system", Class: "example.com/lb", Log: slog.New(slog.DiscardHandler)}
			if err := o.reconcile(t.Context()); err != nil {
				t.Fatal(err)
			}
			found, err := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), Name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := found.Webhooks[0].MatchConditions; len(got) != 1 || got[0].Expression != test.want {
				t.Errorf("%+v, want %s", got, test.want)
			}
		})
	}
}
