package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

var (
	peersBefore = schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "bgppeers"}
	peersNow    = schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta2", Resource: "bgppeers"}
)

// warnings collects what a client is warned of.
type warnings struct {
	mu  sync.Mutex
	all []string
}

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, text)
}

// TestOldVersionChangesOnlyWhatItSays: v1beta1 has no field for most of this peer. Whichever way it is written through
// v1beta1, the rest stays, and stays with the managers that set it.
func TestOldVersionChangesOnlyWhatItSays(t *testing.T) {
	config := serveAlone(t)
	said := &warnings{}
	config.WarningHandler = said
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	before, now := client.Resource(peersBefore).Namespace(namespace), client.Resource(peersNow).Namespace(namespace)
	const rest = `"dynamicASN":"external","localASN":64999,"interface":"eth1","vrf":"red","connectTime":"10s",
		"passwordSecret":{"name":"bgp"},"enableGracefulRestart":true,"dualStackAddressFamily":true,"disableMP":true,
		"holdTime":"0s","keepaliveTime":"0s"`
	full := peerObject(t, "v1beta2", `{"myASN":64512,`+rest+`}`)
	const annotation = "v1beta2.ingot.io/vrf"

	writes := map[string]func(t *testing.T, read *unstructured.Unstructured) error{
		"read, modify, write": func(t *testing.T, read *unstructured.Unstructured) error {
			set(t, read, int64(64600), "spec", "myASN")
			_, err := before.Update(t.Context(), read, metav1.UpdateOptions{FieldManager: "old"})
			return err
		},
		"write of something that never was read": func(t *testing.T, _ *unstructured.Unstructured) error {
			_, err := before.Update(t.Context(), peerObject(t, "v1beta1", `{"myASN":64600,"peerASN":0,"peerAddress":""}`), metav1.UpdateOptions{FieldManager: "old"})
			return err
		},
		"write of an annotation that is out of date": func(t *testing.T, read *unstructured.Unstructured) error {
			set(t, read, int64(64600), "spec", "myASN")
			read.SetAnnotations(map[string]string{annotation: `"blue"`})
			_, err := before.Update(t.Context(), read, metav1.UpdateOptions{FieldManager: "old"})
			return err
		},
		"merge patch": func(t *testing.T, _ *unstructured.Unstructured) error {
			_, err := before.Patch(t.Context(), "tor", types.MergePatchType, []byte(`{"spec":{"myASN":64600}}`), metav1.PatchOptions{FieldManager: "old"})
			return err
		},
		"merge patch that removes the annotation": func(t *testing.T, _ *unstructured.Unstructured) error {
			_, err := before.Patch(t.Context(), "tor", types.MergePatchType,
				[]byte(`{"metadata":{"annotations":{"`+annotation+`":null}},"spec":{"myASN":64600}}`), metav1.PatchOptions{FieldManager: "old"})
			return err
		},
		"JSON patch": func(t *testing.T, _ *unstructured.Unstructured) error {
			_, err := before.Patch(t.Context(), "tor", types.JSONPatchType, []byte(`[{"op":"replace","path":"/spec/myASN","value":64600}]`), metav1.PatchOptions{FieldManager: "old"})
			return err
		},
		"apply": func(t *testing.T, _ *unstructured.Unstructured) error {
			_, err := before.Apply(t.Context(), "tor", peerObject(t, "v1beta1", `{"myASN":64600}`), metav1.ApplyOptions{FieldManager: "old", Force: true})
			return err
		},
	}
	for what, write := range writes {
		t.Run(what, func(t *testing.T) {
			if _, err := now.Apply(t.Context(), "tor", full, metav1.ApplyOptions{FieldManager: "new"}); err != nil {
				t.Fatal(err)
			}
			read, err := before.Get(t.Context(), "tor", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if text := read.GetAnnotations()[annotation]; text != `"red"` {
				t.Errorf("v1beta1 shows the annotation %q", text)
			}
			if err := write(t, read); err != nil {
				t.Fatal(err)
			}

			got, err := now.Get(t.Context(), "tor", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			want := peerObject(t, "v1beta2", `{"myASN":64600,"peerPort":179,"ebgpMultiHop":false,`+rest+`}`)
			if diff := cmp.Diff(want.Object["spec"], got.Object["spec"]); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
			if got.GetAnnotations() != nil {
				t.Errorf("annotations %v were stored", got.GetAnnotations())
			}
			for _, field := range []string{"f:vrf", "f:passwordSecret", "f:dynamicASN", "f:holdTime"} {
				if !slices.Contains(managersOf(t, got, field), "new") {
					t.Errorf("who set it does not manage %s any more", field)
				}
			}
			// It still can be removed by those who set it.
			slim := peerObject(t, "v1beta2", `{"myASN":64512,"dynamicASN":"external","interface":"eth1"}`)
			applied, err := now.Apply(t.Context(), "tor", slim, metav1.ApplyOptions{FieldManager: "new", Force: true})
			if err != nil {
				t.Fatal(err)
			}
			if _, there, _ := unstructured.NestedString(applied.Object, "spec", "vrf"); there {
				t.Error("vrf outlives the removal by its manager")
			}
			if err := now.Delete(t.Context(), "tor", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		})
	}
	if !slices.Contains(said.all, "v1beta1 is deprecated, please use v1beta2") {
		t.Errorf("warnings: %q", said.all)
	}
}

// TestBackupInTheOldVersionRestores: the annotations bring back what the version has no field for.
func TestBackupInTheOldVersionRestores(t *testing.T) {
	client, err := dynamic.NewForConfig(serveAlone(t))
	if err != nil {
		t.Fatal(err)
	}
	before, now := client.Resource(peersBefore).Namespace(namespace), client.Resource(peersNow).Namespace(namespace)
	spec := `{"myASN":64512,"peerASN":64513,"peerAddress":"10.0.0.1","peerPort":1179,"vrf":"red","holdTime":"0s","ebgpMultiHop":true,"dualStackAddressFamily":true,"disableMP":false}`
	if _, err := now.Create(t.Context(), peerObject(t, "v1beta2", spec), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	backup, err := before.Get(t.Context(), "tor", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	unstructured.RemoveNestedField(backup.Object, "metadata", "resourceVersion")
	unstructured.RemoveNestedField(backup.Object, "metadata", "managedFields")
	unstructured.RemoveNestedField(backup.Object, "metadata", "uid")
	restores := map[string]func() error{
		"create": func() error {
			_, err := before.Create(t.Context(), backup.DeepCopy(), metav1.CreateOptions{})
			return err
		},
		"apply": func() error {
			_, err := before.Apply(t.Context(), "tor", backup.DeepCopy(), metav1.ApplyOptions{FieldManager: "restore"})
			return err
		},
	}
	for what, restore := range restores {
		if err := now.Delete(t.Context(), "tor", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := restore(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got, err := now.Get(t.Context(), "tor", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(peerObject(t, "v1beta2", spec).Object["spec"], got.Object["spec"]); diff != "" {
			t.Errorf("%s: spec (-want +got):\n%s", what, diff)
		}
	}
}

// TestBothVersionsCanBeWatchedAtOnce: each watcher sees each change in its own version.
func TestBothVersionsCanBeWatchedAtOnce(t *testing.T) {
	client, err := dynamic.NewForConfig(serveAlone(t))
	if err != nil {
		t.Fatal(err)
	}
	watches := map[string]watch.Interface{}
	for _, resource := range []schema.GroupVersionResource{peersBefore, peersNow} {
		w, err := client.Resource(resource).Namespace(namespace).Watch(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		watches[resource.GroupVersion().String()] = w
	}
	spec := `{"myASN":64512,"peerASN":64513,"peerAddress":"10.0.0.1","vrf":"red"}`
	if _, err := client.Resource(peersNow).Namespace(namespace).Create(t.Context(), peerObject(t, "v1beta2", spec), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for version, w := range watches {
		ev := nextChange(t, w)
		got, ok := ev.Object.(*unstructured.Unstructured)
		if !ok || ev.Type != watch.Added || got.GetAPIVersion() != version || got.GetName() != "tor" {
			t.Errorf("%s: watched %s %v", version, ev.Type, ev.Object)
		}
	}
}

func peerObject(t *testing.T, version, spec string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	text := fmt.Sprintf(`{"apiVersion":"metallb.io/%s","kind":"BGPPeer","metadata":{"name":"tor","namespace":%q},"spec":%s}`, version, namespace, spec)
	if err := u.UnmarshalJSON([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return u
}

func set(t *testing.T, u *unstructured.Unstructured, value any, fields ...string) {
	t.Helper()
	if err := unstructured.SetNestedField(u.Object, value, fields...); err != nil {
		t.Fatal(err)
	}
}

// managersOf lists who manages a field of the spec.
func managersOf(t *testing.T, u *unstructured.Unstructured, field string) []string {
	t.Helper()
	var managers []string
	for _, m := range u.GetManagedFields() {
		var fields map[string]map[string]any
		if err := json.Unmarshal(m.FieldsV1.GetRawBytes(), &fields); err != nil {
			t.Fatal(err)
		}
		if _, there := fields["f:spec"][field]; there {
			managers = append(managers, m.Manager)
		}
	}
	return managers
}
