package registry

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"

	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/apiserver/rules"
)

const namespace = "metallb-system"

// strategyOf is the strategy of pools, beside the given ones.
func strategyOf(known ...*metallb.IPAddressPool) strategy {
	return strategy{install.Scheme, names.SimpleNameGenerator, ipAddressPools, namespace, func() *metallb.Configuration {
		return &metallb.Configuration{IPAddressPools: known}
	}, rules.NewJudge(nil)}
}

func pool(name string, addresses ...string) *metallb.IPAddressPool {
	return &metallb.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec:       metallb.IPAddressPoolSpec{Addresses: addresses},
	}
}

func inNamespace(ns string) context.Context {
	return genericapirequest.WithNamespace(genericapirequest.NewContext(), ns)
}

func TestCreate(t *testing.T) {
	p := pool("web", "10.0.0.0/24")
	p.Generation, p.Status.AssignedIPv4 = 7, 9
	strategyOf().PrepareForCreate(inNamespace(namespace), p)

	want := pool("web", "10.0.0.0/24")
	want.Generation = 1
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
}

func TestUpdateKeepsStatusAndCountsSpecs(t *testing.T) {
	old := pool("web", "10.0.0.0/24")
	old.Generation, old.Status.AssignedIPv4 = 3, 9

	labelled := old.DeepCopy()
	labelled.Labels, labelled.Status.AssignedIPv4 = map[string]string{"a": "b"}, 0
	strategyOf().PrepareForUpdate(inNamespace(namespace), labelled, old)
	if labelled.Generation != 3 || !apiequality.Semantic.DeepEqual(labelled.Status, old.Status) || labelled.Labels["a"] != "b" {
		t.Errorf("after a change of labels: generation %d, status %+v, labels %v", labelled.Generation, labelled.Status, labelled.Labels)
	}

	widened := old.DeepCopy()
	widened.Spec.Addresses = append(widened.Spec.Addresses, "10.0.1.0/24")
	strategyOf().PrepareForUpdate(inNamespace(namespace), widened, old)
	if widened.Generation != 4 {
		t.Errorf("after a change of the spec: generation %d, want 4", widened.Generation)
	}
}

func TestStatusUpdateChangesNothingElse(t *testing.T) {
	old := pool("web", "10.0.0.0/24")
	old.Generation, old.ResourceVersion, old.Labels = 3, "12", map[string]string{"a": "b"}

	changed := pool("web", "10.9.0.0/24")
	changed.Status.AssignedIPv4 = 9
	changed.Labels = map[string]string{"c": "d"}
	changed.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "controller"}}
	statusStrategy{strategyOf()}.PrepareForUpdate(inNamespace(namespace), changed, old)

	want := old.DeepCopy()
	want.Status.AssignedIPv4 = 9
	want.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "controller"}}
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("updated (-want +got):\n%s", diff)
	}
}

func TestOnlyTheSystemNamespace(t *testing.T) {
	p := pool("web", "10.0.0.0/24")
	p.Namespace = "default"
	err := rest.BeforeCreate(strategyOf(), withSystemMeta(t, p, "default"), p)
	if err == nil || !strings.Contains(err.Error(), "resource must be created in metallb-system namespace") {
		t.Errorf("got %v", err)
	}
}

func TestNamesAreDNSNames(t *testing.T) {
	p := pool("Web_1", "10.0.0.0/24")
	err := rest.BeforeCreate(strategyOf(), withSystemMeta(t, p, namespace), p)
	if err == nil || !strings.Contains(err.Error(), `metadata.name: Invalid value: "Web_1"`) {
		t.Errorf("got %v", err)
	}
}

func TestResourceVersionOfSomethingNewIsInvalid(t *testing.T) {
	p := pool("web", "10.0.0.0/24")
	p.ResourceVersion = "7"
	err := rest.BeforeCreate(strategyOf(), withSystemMeta(t, p, namespace), p)
	if err == nil || !strings.Contains(err.Error(), `metadata.resourceVersion: Invalid value: "7"`) {
		t.Errorf("got %v", err)
	}
}

func TestInvalidIsUnprocessable(t *testing.T) {
	p := pool("web", "10.0.0.0/33")
	err := rest.BeforeCreate(strategyOf(), withSystemMeta(t, p, namespace), p)
	want := `IPAddressPool.metallb.io "web" is invalid: spec.addresses[0]: Invalid value: "10.0.0.0/33": invalid CIDR "10.0.0.0/33"`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestOldKnowledgeRefusesNothing: what is known here may be old, so overlap is the guarded write's to judge; only a
// dry run, which never gets there, is judged by it.
func TestOldKnowledgeRefusesNothing(t *testing.T) {
	s := strategyOf(pool("web", "10.0.0.0/24"))
	p := pool("db", "10.0.0.0/25")
	if errs := s.Validate(inNamespace(namespace), p); len(errs) != 0 {
		t.Errorf("write: %v", errs)
	}
	errs := s.Validate(withDryRun(inNamespace(namespace), []string{metav1.DryRunAll}), p)
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), `overlaps 10.0.0.0/24 of IPAddressPool "web"`) {
		t.Errorf("dry run: %v", errs)
	}
}

func TestWarningsComeWithTheSpec(t *testing.T) {
	s := strategyOf()
	s.kind = l2Advertisements
	adv := &metallb.L2Advertisement{Spec: metallb.L2AdvertisementSpec{IPAddressPools: []string{"later"}}}
	want := []string{`spec.ipAddressPools[0]: IPAddressPool "later" does not exist (yet)`}
	ctx := inNamespace(namespace)
	if diff := cmp.Diff(want, s.WarningsOnCreate(ctx, adv)); diff != "" {
		t.Errorf("create (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, s.WarningsOnUpdate(ctx, adv, &metallb.L2Advertisement{})); diff != "" {
		t.Errorf("update of the spec (-want +got):\n%s", diff)
	}
	if got := s.WarningsOnUpdate(ctx, adv, adv.DeepCopy()); got != nil {
		t.Errorf("update of nothing: %v", got)
	}
}

func withSystemMeta(t *testing.T, p *metallb.IPAddressPool, ns string) context.Context {
	t.Helper()
	rest.FillObjectMetaSystemFields(p)
	return inNamespace(ns)
}

func TestEveryKindHasConditions(t *testing.T) {
	for _, k := range kinds {
		obj, ok := k.newObject().(metallb.Conditioned)
		if !ok {
			t.Errorf("%s has no conditions", k.plural)
			continue
		}
		*obj.StatusConditions() = []metav1.Condition{{Type: "Ready"}}
		old := k.newObject()
		s := strategyOf()
		s.kind = k
		errs := statusStrategy{s}.ValidateUpdate(t.Context(), obj, old)
		if len(errs) != 3 { // status, lastTransitionTime and reason
			t.Errorf("%s: a condition without a status: %v", k.plural, errs)
		}
		s.PrepareForUpdate(t.Context(), obj, old)
		if len(*obj.StatusConditions()) != 0 {
			t.Errorf("%s: a write of the spec changed the conditions", k.plural)
		}
	}
}
