package deploy

import (
	"bufio"
	"bytes"
	"io/fs"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// TestWebhooksAreInNobodysWay: none may refuse because it is away, make anybody wait for long, or be asked about more
// than it has something to say of.
func TestWebhooksAreInNobodysWay(t *testing.T) {
	content, err := fs.ReadFile(Base(), "webhooks.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var c admissionv1.ValidatingWebhookConfiguration
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for c.Kind != "ValidatingWebhookConfiguration" {
		document, err := documents.Read()
		if err != nil {
			t.Fatal(err)
		}
		c = admissionv1.ValidatingWebhookConfiguration{}
		if err := yaml.Unmarshal(document, &c); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.Webhooks) != 2 {
		t.Errorf("%d webhooks, want those of Services and of Secrets", len(c.Webhooks))
	}
	for _, w := range c.Webhooks {
		if *w.FailurePolicy != admissionv1.Ignore || *w.TimeoutSeconds != 3 || *w.SideEffects != admissionv1.SideEffectClassNone || *w.MatchPolicy != admissionv1.Equivalent {
			t.Errorf("%s: %v %v %v %v", w.Name, *w.FailurePolicy, *w.TimeoutSeconds, *w.SideEffects, *w.MatchPolicy)
		}
		if len(w.MatchConditions) == 0 || w.ClientConfig.Service == nil || len(w.ClientConfig.CABundle) > 0 {
			t.Errorf("%s: %+v %+v", w.Name, w.MatchConditions, w.ClientConfig)
		}
		for _, r := range w.Rules {
			if slices.ContainsFunc(r.Resources, func(resource string) bool { return strings.ContainsAny(resource, "/*") }) {
				t.Errorf("%s is asked about %v", w.Name, r.Resources)
			}
			deleting := slices.Contains(r.Operations, admissionv1.Delete)
			if secrets := slices.Equal(r.Resources, []string{"secrets"}); deleting != secrets || secrets && w.NamespaceSelector == nil {
				t.Errorf("%s: %v of %v in %v", w.Name, r.Operations, r.Resources, w.NamespaceSelector)
			}
		}
	}
}
