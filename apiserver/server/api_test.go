package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/ingot-lb/ingot/test/await"
)

const namespace = "metallb-system"

// eventually waits for a condition.
var eventually = await.Success

// sample is one object of a kind, and how to break it.
type sample struct {
	resource schema.GroupVersionResource
	kind     string
	spec     map[string]any
	broken   map[string]any
	// field must be named when it is broken.
	field string
}

var samples = []sample{
	{
		resource: schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "ipaddresspools"},
		kind:     "IPAddressPool",
		spec:     map[string]any{"addresses": []any{"192.0.2.0/28", "2001:db8::1-2001:db8::9"}},
		broken:   map[string]any{"addresses": []any{"192.0.2.9-192.0.2.1"}},
		field:    "spec.addresses[0]",
	},
	{
		resource: schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "l2advertisements"},
		kind:     "L2Advertisement",
		spec:     map[string]any{"ipAddressPools": []any{"example"}},
		broken:   map[string]any{"nodeSelectors": []any{map[string]any{"matchExpressions": []any{map[string]any{"key": "a", "operator": "Near"}}}}},
		field:    "spec.nodeSelectors[0]",
	},
	{
		resource: schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "bgpadvertisements"},
		kind:     "BGPAdvertisement",
		spec:     map[string]any{"ipAddressPools": []any{"example"}, "communities": []any{"65000:1"}},
		broken:   map[string]any{"aggregationLength": int64(33)},
		field:    "spec.aggregationLength",
	},
	{
		resource: schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta2", Resource: "bgppeers"},
		kind:     "BGPPeer",
		spec:     map[string]any{"myASN": int64(64512), "peerASN": int64(64513), "peerAddress": "192.0.2.100"},
		broken:   map[string]any{"myASN": int64(64512), "peerASN": int64(64513), "peerAddress": "router"},
		field:    "spec.peerAddress",
	},
	{
		resource: schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "bgppeers"},
		kind:     "BGPPeer",
		spec:     map[string]any{"myASN": int64(64512), "peerASN": int64(64513), "peerAddress": "192.0.2.101"},
		broken:   map[string]any{"myASN": int64(64512), "peerASN": int64(64513), "peerAddress": "192.0.2.102", "holdTime": "1s"},
		field:    "spec.holdTime",
	},
	{
		resource: schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "bfdprofiles"},
		kind:     "BFDProfile",
		spec:     map[string]any{"receiveInterval": int64(50), "passiveMode": true},
		broken:   map[string]any{"detectMultiplier": int64(1)},
		field:    "spec.detectMultiplier",
	},
	{
		resource: schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "communities"},
		kind:     "Community",
		spec:     map[string]any{"communities": []any{map[string]any{"name": "mine", "value": "65000:1"}}},
		broken:   map[string]any{"communities": []any{map[string]any{"name": "other", "value": "65536:1"}}},
		field:    "spec.communities[0].value",
	},
	{
		resource: schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "addresspools"},
		kind:     "AddressPool",
		spec:     map[string]any{"protocol": "layer2", "addresses": []any{"192.0.2.64/28"}},
		broken:   map[string]any{"protocol": "layer3", "addresses": []any{"192.0.2.96/28"}},
		field:    "spec.protocol",
	},
	{
		resource: schema.GroupVersionResource{Group: "metallb.io", Version: "v1alpha1", Resource: "addresspools"},
		kind:     "AddressPool",
		spec:     map[string]any{"protocol": "bgp", "addresses": []any{"192.0.2.64/28"}},
		broken:   map[string]any{"protocol": "bgp", "addresses": []any{"192.0.2.64"}},
		field:    "spec.addresses[0]",
	},
	{
		resource: schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "ipreservations"},
		kind:     "IPReservation",
		spec:     map[string]any{"addresses": []any{"198.51.100.7/32"}, "namespace": "team"},
		broken:   map[string]any{"addresses": []any{"198.51.100.9-198.51.100.1"}},
		field:    "spec.addresses[0]",
	},
}

func (s sample) object(name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": s.resource.GroupVersion().String(),
		"kind":       s.kind,
		"metadata":   map[string]any{"name": name, "namespace": namespace},
		"spec":       runtime.DeepCopyJSON(spec),
	}}
}

// TestEveryKindBehavesAsABuiltInOne goes through a life of an object of each kind as kubectl does.
func TestEveryKindBehavesAsABuiltInOne(t *testing.T) {
	config := serveAlone(t)
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		t.Run(s.kind+" "+s.resource.Version, func(t *testing.T) {
			ctx := t.Context()
			objects := client.Resource(s.resource).Namespace(namespace)

			created, err := objects.Create(ctx, s.object("example", s.spec), metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if created.GetGeneration() != 1 || created.GetUID() == "" || created.GetResourceVersion() == "" {
				t.Errorf("metadata of the created object: %v", created.Object["metadata"])
			}
			w := watchList(t, objects)

			// Refusals name what is wrong, also in a dry run, and change nothing.
			for what, options := range map[string]metav1.CreateOptions{"create": {}, "dry run": {DryRun: []string{metav1.DryRunAll}}} {
				_, err = objects.Create(ctx, s.object("broken", s.broken), options)
				if !apierrors.IsInvalid(err) || code(err) != http.StatusUnprocessableEntity || !strings.Contains(err.Error(), s.field) {
					t.Errorf("%s of a malformed object: %v, want 422 that names %s", what, err, s.field)
				}
			}
			unknown := s.object("unknown", s.spec)
			_ = unstructured.SetNestedField(unknown.Object, "x", "spec", "nonsense")
			if _, err := objects.Create(ctx, unknown, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict}); !apierrors.IsBadRequest(err) {
				t.Errorf("create with an unknown field: %v, want 400", err)
			}
			if err := objects.Delete(ctx, "example", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
				t.Errorf("dry run of a delete: %v", err)
			}

			// Metadata changes leave the generation, and reach watchers.
			if _, err := objects.Patch(ctx, "example", types.MergePatchType, []byte(`{"metadata":{"labels":{"rack":"a"}}}`), metav1.PatchOptions{}); err != nil {
				t.Errorf("merge patch: %v", err)
			}
			ev := nextChange(t, w)
			if got := ev.Object.(*unstructured.Unstructured); ev.Type != watch.Modified || got.GetLabels()["rack"] != "a" || got.GetGeneration() != 1 {
				t.Errorf("watched %s %v", ev.Type, got.Object["metadata"])
			}
			list, err := objects.List(ctx, metav1.ListOptions{LabelSelector: "rack=a"})
			if err != nil || len(list.Items) != 1 {
				t.Errorf("list by label: %d objects, %v, want 1", len(list.Items), err)
			}

			// Server-side apply by another manager owns what it sets.
			applied := s.object("example", s.spec)
			applied.SetAnnotations(map[string]string{"by": "apply"})
			result, err := objects.Apply(ctx, "example", applied, metav1.ApplyOptions{FieldManager: "test", Force: true})
			if err != nil {
				t.Fatalf("server-side apply: %v", err)
			}
			managers := sets.New[string]()
			for _, m := range result.GetManagedFields() {
				managers.Insert(m.Manager)
			}
			if !managers.Has("test") || result.GetAnnotations()["by"] != "apply" {
				t.Errorf("after apply: managers %v, annotations %v", sets.List(managers), result.GetAnnotations())
			}

			// A stale update is a conflict.
			if _, err := objects.Update(ctx, created, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
				t.Errorf("update of an old state: %v, want a conflict", err)
			}
			if table := tableOf(t, config, s); len(table.ColumnDefinitions) < 2 || len(table.Rows) != 1 || table.Rows[0].Cells[0] != "example" {
				t.Errorf("table: %d columns, rows %v", len(table.ColumnDefinitions), table.Rows)
			}

			if err := objects.Delete(ctx, "example", metav1.DeleteOptions{}); err != nil {
				t.Errorf("delete: %v", err)
			}
			if _, err := objects.Get(ctx, "example", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("get after delete: %v", err)
			}
		})
	}
}

func code(err error) int32 {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Code
	}
	return 0
}

// watchList watches from now on, having seen that the list is closed by its bookmark.
func watchList(t *testing.T, objects dynamic.ResourceInterface) watch.Interface {
	t.Helper()
	yes := true
	w, err := objects.Watch(t.Context(), metav1.ListOptions{
		SendInitialEvents:    &yes,
		AllowWatchBookmarks:  true,
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	var seen []string
	for ev := range w.ResultChan() {
		m, err := meta.Accessor(ev.Object)
		if err != nil {
			t.Fatalf("%s: %v", ev.Type, ev.Object)
		}
		if ev.Type == watch.Bookmark && m.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true" {
			break
		}
		seen = append(seen, fmt.Sprintf("%s %s", ev.Type, m.GetName()))
	}
	if diff := cmp.Diff([]string{"ADDED example"}, seen); diff != "" {
		t.Errorf("initial events (-want +got):\n%s", diff)
	}
	return w
}

// nextChange waits for the next event that is no bookmark: these come when time passes.
func nextChange(t *testing.T, w watch.Interface) watch.Event {
	t.Helper()
	for ev := range w.ResultChan() {
		switch ev.Type {
		case watch.Bookmark:
		case watch.Error:
			t.Fatalf("watch: %v", apierrors.FromObject(ev.Object))
		default:
			return ev
		}
	}
	t.Fatal("the watch ended")
	return watch.Event{}
}

func tableOf(t *testing.T, config *rest.Config, s sample) *metav1.Table {
	t.Helper()
	c := dynamic.ConfigFor(config)
	c.GroupVersion = &schema.GroupVersion{}
	client, err := rest.UnversionedRESTClientFor(c)
	if err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/apis/%s/namespaces/%s/%s", s.resource.GroupVersion(), namespace, s.resource.Resource)
	data, err := client.Get().AbsPath(path).SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(t.Context()).Raw()
	if err != nil {
		t.Fatal(err)
	}
	table := &metav1.Table{}
	decode(t, data, table)
	return table
}

// TestConflictWithAnotherObjectIsRefusedOverTheWire is promise 1 at its simplest: through the whole server.
func TestConflictWithAnotherObjectIsRefusedOverTheWire(t *testing.T) {
	client, err := dynamic.NewForConfig(serveAlone(t))
	if err != nil {
		t.Fatal(err)
	}
	pools := samples[0]
	objects := client.Resource(pools.resource).Namespace(namespace)
	if _, err := objects.Create(t.Context(), pools.object("web", map[string]any{"addresses": []any{"10.0.0.0/24"}}), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := objects.Create(t.Context(), pools.object("db", map[string]any{"addresses": []any{"10.0.1.0/24"}}), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	grow := []byte(`{"spec":{"addresses":["10.0.0.128-10.0.1.9"]}}`)

	for what, options := range map[string]metav1.PatchOptions{"patch": {}, "dry run": {DryRun: []string{metav1.DryRunAll}}} {
		_, err := objects.Patch(t.Context(), "db", types.MergePatchType, grow, options)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), `"web"`) {
			t.Errorf("%s that makes pools overlap: %v, want 422 that names \"web\"", what, err)
		}
	}

	got, err := objects.Get(t.Context(), "db", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	addresses, _, _ := unstructured.NestedStringSlice(got.Object, "spec", "addresses")
	if diff := cmp.Diff([]string{"10.0.1.0/24"}, addresses); diff != "" {
		t.Errorf("addresses after the refusals (-want +got):\n%s", diff)
	}
}

func TestWhoIsNotTheHostClusterIsNotLetIn(t *testing.T) {
	config := rest.AnonymousClientConfig(serveAlone(t))
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}

	_, err = client.Resource(samples[0].resource).Namespace(namespace).List(t.Context(), metav1.ListOptions{})

	if !apierrors.IsUnauthorized(err) {
		t.Errorf("list without credentials: %v, want 401", err)
	}
}

func TestDiscoveryAndSchemas(t *testing.T) {
	config := serveAlone(t)
	client, err := rest.UnversionedRESTClientFor(dynamic.ConfigFor(config))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, accept, want string }{
		{"/apis/metallb.io", "application/json", `"preferredVersion":{"groupVersion":"metallb.io/v1beta2"`},
		{"/apis", "application/json;v=v2;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList", `"ipaddresspools"`},
		{"/openapi/v2", "application/json", `Addresses`},
		{"/openapi/v3/apis/metallb.io/v1beta2", "application/json", `x-kubernetes-group-version-kind`},
	} {
		data, err := client.Get().AbsPath(tt.path).SetHeader("Accept", tt.accept).Do(t.Context()).Raw()
		if err != nil {
			t.Errorf("%s: %v", tt.path, err)
			continue
		}
		if text := strings.ReplaceAll(string(data), " ", ""); !strings.Contains(text, tt.want) && !strings.Contains(strings.ToLower(text), strings.ToLower(tt.want)) {
			t.Errorf("%s does not contain %s", tt.path, tt.want)
		}
	}
}

// TestNoStrategicPatchesAreOffered: kubectl apply --dry-run=client fails where they are. They are taken nevertheless, see
// TestPatchesOfEveryType.
func TestNoStrategicPatchesAreOffered(t *testing.T) {
	client, err := rest.UnversionedRESTClientFor(dynamic.ConfigFor(serveAlone(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/openapi/v2", "/openapi/v3/apis/metallb.io/v1beta1", "/openapi/v3/apis/metallb.io/v1beta2"} {
		data, err := client.Get().AbsPath(path).SetHeader("Accept", "application/json").Do(t.Context()).Raw()
		if err != nil {
			t.Fatal(err)
		}
		if text := string(data); strings.Contains(text, string(types.StrategicMergePatchType)) || !strings.Contains(text, string(types.MergePatchType)) {
			t.Errorf("%s: want merge patches to be offered, and strategic ones not", path)
		}
	}
}
