package server

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// TestTwoAppliers: lists belong to one manager as a whole, as with MetalLB's CRDs; another who wants a list otherwise is
// told whose it is, and what nobody manages any more goes.
func TestTwoAppliers(t *testing.T) {
	client, err := dynamic.NewForConfig(serveAlone(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	objects := client.Resource(peersNow).Namespace(namespace)
	apply := func(manager, spec string, force bool) (*unstructured.Unstructured, error) {
		return objects.Apply(ctx, "tor", peerObject(t, "v1beta2", spec), metav1.ApplyOptions{FieldManager: manager, Force: force})
	}
	const first = `{"myASN":64512,"peerASN":64513,"peerAddress":"192.0.2.1","nodeSelectors":[{"matchLabels":{"rack":"a"}}],"vrf":"red"}`
	if _, err := apply("first", first, false); err != nil {
		t.Fatal(err)
	}
	_, err = apply("second", `{"myASN":64512,"holdTime":"9s","nodeSelectors":[{"matchLabels":{"rack":"b"}}]}`, false)
	if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "first"`) || !strings.Contains(err.Error(), ".spec.nodeSelectors") {
		t.Errorf("apply of somebody else's list: %v, want a conflict that names him and the list", err)
	}
	got, err := apply("second", `{"myASN":64512,"holdTime":"9s","nodeSelectors":[{"matchLabels":{"rack":"b"}}]}`, true)
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string][]string{
		"f:myASN": {"first", "second"}, "f:holdTime": {"second"}, "f:nodeSelectors": {"second"}, "f:vrf": {"first"},
	} {
		managers := managersOf(t, got, field)
		slices.Sort(managers)
		if diff := cmp.Diff(want, managers); diff != "" {
			t.Errorf("managers of %s (-want +got):\n%s", field, diff)
		}
	}
	selectors, _, err := unstructured.NestedSlice(got.Object, "spec", "nodeSelectors")
	if diff := cmp.Diff([]any{map[string]any{"matchLabels": map[string]any{"rack": "b"}}}, selectors); diff != "" || err != nil {
		t.Errorf("nodeSelectors, %v (-want +got):\n%s", err, diff)
	}

	// The same again changes nothing at all.
	again, err := apply("second", `{"myASN":64512,"holdTime":"9s","nodeSelectors":[{"matchLabels":{"rack":"b"}}]}`, false)
	if err != nil || again.GetResourceVersion() != got.GetResourceVersion() {
		t.Errorf("the same apply again: %v, resource version %s after %s", err, again.GetResourceVersion(), got.GetResourceVersion())
	}

	got, err = apply("first", `{"myASN":64512,"peerASN":64513,"peerAddress":"192.0.2.1"}`, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, there, _ := unstructured.NestedString(got.Object, "spec", "vrf"); there {
		t.Error("vrf outlives the removal by its only manager")
	}
	if hold, _, _ := unstructured.NestedString(got.Object, "spec", "holdTime"); hold != "9s" {
		t.Errorf("holdTime of the other manager became %q", hold)
	}
}

// TestPatchesOfEveryType: strategic merge patches, which are not offered, replace lists as merge patches do.
func TestPatchesOfEveryType(t *testing.T) {
	client, err := dynamic.NewForConfig(serveAlone(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	pools := sampleOf("IPAddressPool")
	objects := client.Resource(pools.resource).Namespace(namespace)
	if _, err := objects.Create(ctx, pools.object("web", pools.spec), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for i, patch := range []struct {
		kind       types.PatchType
		body, want string
	}{
		{types.MergePatchType, `{"spec":{"addresses":["10.0.1.0/28"]}}`, "10.0.1.0/28"},
		{types.StrategicMergePatchType, `{"spec":{"addresses":["10.0.2.0/28"]}}`, "10.0.2.0/28"},
		{types.JSONPatchType, `[{"op":"test","path":"/spec/addresses/0","value":"10.0.2.0/28"},{"op":"add","path":"/spec/addresses/-","value":"10.0.3.0/28"}]`,
			"10.0.2.0/28 10.0.3.0/28"},
		{types.ApplyYAMLPatchType, "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nspec: {addresses: [10.0.4.0/28]}", "10.0.4.0/28"},
	} {
		options := metav1.PatchOptions{FieldManager: "test"}
		if patch.kind == types.ApplyYAMLPatchType {
			options.Force = new(true)
		}
		got, err := objects.Patch(ctx, "web", patch.kind, []byte(patch.body), options)
		if err != nil {
			t.Errorf("%s: %v", patch.kind, err)
			continue
		}
		addresses, _, _ := unstructured.NestedStringSlice(got.Object, "spec", "addresses")
		if list := strings.Join(addresses, " "); list != patch.want || got.GetGeneration() != int64(i+2) {
			t.Errorf("%s makes addresses %s, generation %d; want %s, %d", patch.kind, list, got.GetGeneration(), patch.want, i+2)
		}
	}
	_, err = objects.Patch(ctx, "web", types.JSONPatchType, []byte(`[{"op":"test","path":"/spec/addresses/0","value":"else"}]`), metav1.PatchOptions{})
	if code(err) != http.StatusUnprocessableEntity {
		t.Errorf("a JSON patch whose test fails: %v, want 422", err)
	}
}

// TestFinalizersHoldObjects: a deleted object with a finalizer is there until that is taken away.
func TestFinalizersHoldObjects(t *testing.T) {
	client, err := dynamic.NewForConfig(serveAlone(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, sample := range samples {
		t.Run(sample.kind+" "+sample.resource.Version, func(t *testing.T) {
			ctx := t.Context()
			objects := client.Resource(sample.resource).Namespace(namespace)
			held := sample.object("example", sample.spec)
			held.SetFinalizers([]string{"example.com/hold"})
			if _, err := objects.Create(ctx, held, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			foreground := metav1.DeletePropagationForeground
			for _, options := range []metav1.DeleteOptions{{}, {PropagationPolicy: &foreground}} {
				if err := objects.Delete(ctx, "example", options); err != nil {
					t.Fatal(err)
				}
			}
			got, err := objects.Get(ctx, "example", metav1.GetOptions{})
			if err != nil || got.GetDeletionTimestamp() == nil || !slices.Contains(got.GetFinalizers(), metav1.FinalizerDeleteDependents) {
				t.Fatalf("a deleted object that is held: %v, finalizers %v, deleted at %v", err, got.GetFinalizers(), got.GetDeletionTimestamp())
			}
			if _, err := objects.Create(ctx, sample.object("example", sample.spec), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
				t.Errorf("create beside it: %v", err)
			}
			if _, err := objects.Patch(ctx, "example", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := objects.Get(ctx, "example", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("after its last finalizer: %v", err)
			}
		})
	}
}
