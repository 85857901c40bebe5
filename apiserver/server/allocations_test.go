package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
)

var v1beta1Of = schema.GroupVersion{Group: "metallb.io", Version: "v1beta1"}.WithResource

// claimObject makes an IPAllocationClaim of a spec in JSON.
func claimObject(t *testing.T, spec string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := json.Unmarshal(fmt.Appendf(nil, `{"apiVersion":"metallb.io/v1beta1","kind":"IPAllocationClaim","spec":%s}`, spec), obj); err != nil {
		t.Fatal(err)
	}
	return obj
}

// TestAllocations: addresses are claimed by IPAllocationClaims, and the IPAllocations are read, selected, watched and
// deleted as other objects are, and not written.
func TestAllocations(t *testing.T) {
	config := serveAlone(t)
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	claims, ledger := client.Resource(v1beta1Of("ipallocationclaims")).Namespace(namespace), client.Resource(v1beta1Of("ipallocations")).Namespace(namespace)
	pool := samples[0].object("web", samples[0].spec)
	if _, err := client.Resource(samples[0].resource).Namespace(namespace).Create(ctx, pool, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ask := func(spec string, options metav1.CreateOptions) (*unstructured.Unstructured, error) {
		t.Helper()
		return claims.Create(ctx, claimObject(t, spec), options)
	}
	began, err := ask(`{"identity":"test"}`, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	term, _, _ := unstructured.NestedInt64(began.Object, "status", "term")
	watched, err := ledger.Watch(ctx, metav1.ListOptions{FieldSelector: "service=b/udp"})
	if err != nil {
		t.Fatal(err)
	}
	defer watched.Stop()

	const shared = `"pool":"web","sharingKey":"dns","addresses":["192.0.2.2"]`
	services := `{"namespace":"a","name":"web","uid":"1","pool":"web","addresses":["192.0.2.1","2001:db8::1"],"ports":[{"protocol":"TCP","port":80}]},
		{"namespace":"a","name":"tcp",` + shared + `,"ports":[{"protocol":"TCP","port":53}]},
		{"namespace":"b","name":"udp",` + shared + `,"ports":[{"protocol":"UDP","port":53}]},
		{"namespace":"b","name":"thief","pool":"web","addresses":["192.0.2.1"]}`
	spec := fmt.Sprintf(`{"term":%d,"services":[%s]}`, term, services)
	for _, options := range []metav1.CreateOptions{{DryRun: []string{metav1.DryRunAll}}, {}} {
		if list, err := ledger.List(ctx, metav1.ListOptions{}); err != nil || len(list.Items) != 0 {
			t.Fatalf("%d allocations before the claim, error %v", len(list.Items), err)
		}
		answer, err := ask(spec, options)
		if err != nil {
			t.Fatal(err)
		}
		var results []string
		list, _, _ := unstructured.NestedSlice(answer.Object, "status", "services")
		for _, r := range list {
			results = append(results, fmt.Sprint(r.(map[string]any)["result"]))
		}
		if want := []string{"Granted", "Granted", "Granted", "Held"}; !slices.Equal(results, want) {
			t.Errorf("%v: %v, want %v", options.DryRun, results, want)
		}
	}
	if ev := nextChange(t, watched); ev.Object.(*unstructured.Unstructured).GetName() != "192.0.2.2" {
		t.Errorf("watching by Service: %v", ev)
	}

	const six = "2001-0db8-0000-0000-0000-0000-0000-0001"
	for selector, want := range map[string]string{
		"":                                      "192.0.2.1 192.0.2.2 " + six,
		"pool=web":                              "192.0.2.1 192.0.2.2 " + six,
		"spec.pool=other":                       "",
		"namespace=a":                           "192.0.2.1 192.0.2.2 " + six,
		"namespace=b,pool=web":                  "192.0.2.2",
		"namespace!=b":                          "192.0.2.1 " + six,
		"service=a/tcp":                         "192.0.2.2",
		"service=b/udp":                         "192.0.2.2",
		"spec.services.name=web":                "192.0.2.1 " + six,
		"spec.address=2001:db8::1":              six,
		"spec.sharingKey=dns":                   "192.0.2.2",
		"metadata.name=192.0.2.1":               "192.0.2.1",
		"service=a/web,metadata.name!=" + six:   "192.0.2.1",
		"spec.services.namespace=a,service=b/x": "",
	} {
		list, err := ledger.List(ctx, metav1.ListOptions{FieldSelector: selector})
		if err != nil {
			t.Fatal(err)
		}
		if got := names(list); got != want {
			t.Errorf("%q selects %q, want %q", selector, got, want)
		}
	}
	for selector, want := range map[string]string{
		"ingot.io/service=web,ingot.io/namespace=a": "192.0.2.1 " + six, "ingot.io/pool=web,!ingot.io/service": "192.0.2.2",
	} {
		if list, err := ledger.List(ctx, metav1.ListOptions{LabelSelector: selector}); err != nil || names(list) != want {
			t.Errorf("label %q selects %q, want %q, error %v", selector, names(list), want, err)
		}
	}

	if _, err := ask(fmt.Sprintf(`{"term":%d}`, term+1), metav1.CreateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("a request of another term: %v", err)
	}
	if _, err := ask(`{"term":1,"services":[{"namespace":"a","name":"web","addresses":["x"]}]}`, metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("a claim of no address: %v", err)
	}
	other := client.Resource(v1beta1Of("ipallocationclaims")).Namespace("default")
	if _, err := other.Create(ctx, claimObject(t, `{}`), metav1.CreateOptions{}); !apierrors.IsBadRequest(err) {
		t.Errorf("a claim in another namespace: %v", err)
	}
	one, err := ledger.Get(ctx, "192.0.2.1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if one.GetUID() == "" || one.GetCreationTimestamp().Year() < 2000 || one.GetNamespace() != namespace {
		t.Errorf("metadata %v", one.Object["metadata"])
	}
	for what, err := range map[string]error{
		"update": second(ledger.Update(ctx, one, metav1.UpdateOptions{})), "create": second(ledger.Create(ctx, one, metav1.CreateOptions{})),
	} {
		if !apierrors.IsMethodNotSupported(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	foreground := metav1.DeletePropagationForeground
	if err := ledger.Delete(ctx, "192.0.2.1", metav1.DeleteOptions{PropagationPolicy: &foreground}); err != nil {
		t.Error(err)
	}
	if err := ledger.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "service=b/udp"}); err != nil {
		t.Error(err)
	}
	if list, err := ledger.List(ctx, metav1.ListOptions{}); err != nil || names(list) != six {
		t.Errorf("%q are left, want %q, error %v", names(list), six, err)
	}

	disco, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	served, err := disco.ServerResourcesForGroupVersion("metallb.io/v1beta1")
	if err != nil {
		t.Fatal(err)
	}
	verbs := map[string]string{}
	for _, r := range served.APIResources {
		verbs[r.Name] = strings.Join(r.Verbs, " ")
	}
	if got, want := verbs["ipallocations"], "delete deletecollection get list watch"; got != want {
		t.Errorf("verbs of ipallocations: %q, want %q", got, want)
	}
	if got, want := verbs["ipallocationclaims"], "create"; got != want {
		t.Errorf("verbs of ipallocationclaims: %q, want %q", got, want)
	}
}
