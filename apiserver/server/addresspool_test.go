package server

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

var (
	legacyAlpha = schema.GroupVersionResource{Group: "metallb.io", Version: "v1alpha1", Resource: "addresspools"}
	legacyBeta  = schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "addresspools"}
	modernPools = schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "ipaddresspools"}
)

// poolObject is a pool of one kind or the other.
func poolObject(t *testing.T, version, kind, name, spec string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	text := fmt.Sprintf(`{"apiVersion":"metallb.io/%s","kind":%q,"metadata":{"name":%q,"namespace":%q},"spec":%s}`, version, kind, name, namespace, spec)
	if err := u.UnmarshalJSON([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return u
}

// take returns what was said since it was asked last.
func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	said := w.all
	w.all = nil
	return said
}

// TestAddressPoolInBothVersions: each version reads and writes what the other wrote, and every answer says that the kind
// is deprecated; that to a write names what replaces the object.
func TestAddressPoolInBothVersions(t *testing.T) {
	config := serveAlone(t)
	said := &warnings{}
	config.WarningHandler = said
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	alpha, beta := client.Resource(legacyAlpha).Namespace(namespace), client.Resource(legacyBeta).Namespace(namespace)
	expect := func(what string, err error, want ...string) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if diff := cmp.Diff(want, said.take()); diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", what, diff)
		}
	}
	deprecated := func(version, instead string) string {
		return "metallb.io/" + version + " AddressPool is deprecated; use " + instead
	}
	const short = "IPAddressPool and L2Advertisement or BGPAdvertisement"
	const layer2 = `IPAddressPool "doc-example" and L2Advertisement "doc-example" {ipAddressPools: [doc-example]}`
	const bgp = `IPAddressPool "doc-example" and BGPAdvertisement "doc-example" {ipAddressPools: [doc-example], aggregationLength: 24, aggregationLengthV6: 128, localPref: 100, communities: [65535:65282]}`

	// As in the OpenShift documentation.
	created, err := alpha.Create(ctx, poolObject(t, "v1alpha1", "AddressPool", "doc-example",
		`{"protocol":"layer2","addresses":["203.0.113.1-203.0.113.10","203.0.113.65-203.0.113.75"]}`), metav1.CreateOptions{})
	expect("create in v1alpha1", err, deprecated("v1alpha1", layer2))
	read, err := beta.Get(ctx, "doc-example", metav1.GetOptions{})
	expect("get in v1beta1", err, deprecated("v1beta1", short))
	want := map[string]any{"protocol": "layer2", "autoAssign": true, "addresses": []any{"203.0.113.1-203.0.113.10", "203.0.113.65-203.0.113.75"}}
	for _, got := range []*unstructured.Unstructured{created, read} {
		if diff := cmp.Diff(want, got.Object["spec"]); diff != "" {
			t.Errorf("%s: spec (-want +got):\n%s", got.GetAPIVersion(), diff)
		}
		if _, there := got.Object["status"]; there {
			t.Errorf("%s: there is a status: %v", got.GetAPIVersion(), got.Object["status"])
		}
	}

	patch := `{"spec":{"protocol":"bgp","addresses":["203.0.113.0/24"],"bgpAdvertisements":[{"aggregationLength":24,"localPref":100,"communities":["65535:65282"]}]}}`
	_, err = beta.Patch(ctx, "doc-example", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	expect("patch in v1beta1", err, deprecated("v1beta1", bgp))
	read, err = alpha.Get(ctx, "doc-example", metav1.GetOptions{})
	expect("get in v1alpha1", err, deprecated("v1alpha1", short))
	want = map[string]any{"protocol": "bgp", "autoAssign": true, "addresses": []any{"203.0.113.0/24"}, "bgpAdvertisements": []any{
		map[string]any{"aggregationLength": int64(24), "aggregationLengthV6": int64(128), "localPref": int64(100), "communities": []any{"65535:65282"}}}}
	if diff := cmp.Diff(want, read.Object["spec"]); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if read.GetGeneration() != 2 {
		t.Errorf("generation %d after one change", read.GetGeneration())
	}
	_, err = alpha.Update(ctx, read, metav1.UpdateOptions{})
	expect("update in v1alpha1 that changes nothing", err, deprecated("v1alpha1", bgp))

	unstructured.RemoveNestedField(read.Object, "metadata", "managedFields")
	read.SetResourceVersion("")
	_, err = alpha.Apply(ctx, "doc-example", read, metav1.ApplyOptions{FieldManager: "other", Force: true})
	expect("apply in v1alpha1", err, deprecated("v1alpha1", bgp))
	_, err = beta.Create(ctx, poolObject(t, "v1beta1", "AddressPool", "dry", `{"protocol":"layer2","addresses":["10.0.0.0/28"]}`),
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	expect("dry run", err, deprecated("v1beta1", strings.ReplaceAll(layer2, "doc-example", "dry")))
	list, err := beta.List(ctx, metav1.ListOptions{FieldSelector: "spec.protocol=bgp"})
	expect("list", err, deprecated("v1beta1", short))
	if len(list.Items) != 1 {
		t.Errorf("%d pools of protocol bgp", len(list.Items))
	}
	err = alpha.Delete(ctx, "doc-example", metav1.DeleteOptions{})
	expect("delete", err, deprecated("v1alpha1", short))
}

// TestPoolsOfBothKindsShareOneSpace: names and ranges, in either order, also where a dry run asks.
func TestPoolsOfBothKindsShareOneSpace(t *testing.T) {
	client, err := dynamic.NewForConfig(serveAlone(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	old, now := client.Resource(legacyBeta).Namespace(namespace), client.Resource(modernPools).Namespace(namespace)
	if _, err := old.Create(ctx, poolObject(t, "v1beta1", "AddressPool", "old", `{"protocol":"layer2","addresses":["10.0.0.0/24"]}`), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := now.Create(ctx, poolObject(t, "v1beta1", "IPAddressPool", "now", `{"addresses":["10.1.0.0/24"]}`), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, dry := range [][]string{nil, {metav1.DryRunAll}} {
		for _, tt := range []struct {
			pools          dynamic.ResourceInterface
			kind, name, of string
			want           string
		}{
			{now, "IPAddressPool", "old", `{"addresses":["10.2.0.0/24"]}`, `metadata.name: Duplicate value: "old": AddressPool "old" has this name`},
			{old, "AddressPool", "now", `{"protocol":"bgp","addresses":["10.2.0.0/24"]}`, `metadata.name: Duplicate value: "now": IPAddressPool "now" has this name`},
			{now, "IPAddressPool", "new", `{"addresses":["10.0.0.8/29"]}`, `overlaps 10.0.0.0/24 of AddressPool "old"`},
			{old, "AddressPool", "new", `{"protocol":"bgp","addresses":["10.1.0.8/29"]}`, `overlaps 10.1.0.0/24 of IPAddressPool "now"`},
			{old, "AddressPool", "new", `{"protocol":"layer2","addresses":["10.2.0.8/29"],"bgpAdvertisements":[{"localPref":5}]}`, `spec.bgpAdvertisements: Forbidden: needs protocol "bgp"`},
		} {
			_, err := tt.pools.Create(ctx, poolObject(t, "v1beta1", tt.kind, tt.name, tt.of), metav1.CreateOptions{DryRun: dry})
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s %q, dry run %v: %v, want %q", tt.kind, tt.name, dry, err, tt.want)
			}
		}
	}
	protected := `{"metadata":{"annotations":{"ingot.io/deletion-protection":"true"}}}`
	if _, err := old.Patch(ctx, "old", types.MergePatchType, []byte(protected), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := old.Delete(ctx, "old", metav1.DeleteOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("deleting a protected AddressPool: %v", err)
	}
}

// TestOneOfBothKindsWins: writers of both kinds want one range and one name; one object is stored.
func TestOneOfBothKindsWins(t *testing.T) {
	client, err := dynamic.NewForConfig(serveAlone(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	old, now := client.Resource(legacyBeta).Namespace(namespace), client.Resource(modernPools).Namespace(namespace)
	for round := range 10 {
		network := fmt.Sprintf("10.0.%d.0/24", round)
		won := make([]bool, 8)
		var wg sync.WaitGroup
		for i := range won {
			name := fmt.Sprintf("round-%d-writer-%d", round, i%4) // two writers for each name, one of each kind
			pools, object := now, poolObject(t, "v1beta1", "IPAddressPool", name, fmt.Sprintf(`{"addresses":[%q]}`, network))
			if i >= 4 {
				pools, object = old, poolObject(t, "v1beta1", "AddressPool", name, fmt.Sprintf(`{"protocol":"bgp","addresses":[%q]}`, network))
			}
			wg.Go(func() {
				_, err := pools.Create(ctx, object, metav1.CreateOptions{})
				won[i] = err == nil
				if err != nil && !apierrors.IsInvalid(err) {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		wg.Wait()
		if n := len(slices.DeleteFunc(won, func(w bool) bool { return !w })); n != 1 {
			t.Errorf("round %d: %d writers won", round, n)
		}
	}
}
