package server

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/ingot-lb/ingot/apiserver/store"
)

// TestDryRunsLeaveNoTrace: every verb of every kind answers as if it had been done; no object, no generation, and not the
// configuration revision moves.
func TestDryRunsLeaveNoTrace(t *testing.T) {
	config, s := serveStore(t, store.Options{DataDir: t.TempDir(), UnsafeNoFsync: true})
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	dry := []string{metav1.DryRunAll}
	for _, sample := range samples {
		t.Run(sample.kind+" "+sample.resource.Version, func(t *testing.T) {
			ctx := t.Context()
			objects := client.Resource(sample.resource).Namespace(namespace)
			made, err := objects.Create(ctx, sample.object("example", sample.spec), metav1.CreateOptions{DryRun: dry})
			if err != nil || made.GetUID() == "" || made.GetGeneration() != 1 {
				t.Errorf("create: %v, %v", err, made)
			}
			was, err := objects.Create(ctx, sample.object("example", sample.spec), metav1.CreateOptions{})
			if err != nil {
				t.Fatalf("create after its dry run: %v", err)
			}
			_, revision, err := s.Snapshot(ctx)
			if err != nil {
				t.Fatal(err)
			}
			label := []byte(`{"metadata":{"labels":{"a":"b"}}}`)
			changed := was.DeepCopy()
			changed.SetLabels(map[string]string{"a": "b"})
			applied := sample.object("example", sample.spec)
			applied.SetLabels(map[string]string{"a": "b"})
			for what, do := range map[string]func() (labels map[string]string, err error){
				"update": func() (map[string]string, error) {
					o, err := objects.Update(ctx, changed, metav1.UpdateOptions{DryRun: dry})
					return o.GetLabels(), err
				},
				"merge patch": func() (map[string]string, error) {
					o, err := objects.Patch(ctx, "example", types.MergePatchType, label, metav1.PatchOptions{DryRun: dry})
					return o.GetLabels(), err
				},
				"strategic merge patch": func() (map[string]string, error) {
					o, err := objects.Patch(ctx, "example", types.StrategicMergePatchType, label, metav1.PatchOptions{DryRun: dry})
					return o.GetLabels(), err
				},
				"JSON patch": func() (map[string]string, error) {
					o, err := objects.Patch(ctx, "example", types.JSONPatchType,
						[]byte(`[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]`), metav1.PatchOptions{DryRun: dry})
					return o.GetLabels(), err
				},
				"apply": func() (map[string]string, error) {
					o, err := objects.Apply(ctx, "example", applied, metav1.ApplyOptions{FieldManager: "dry", Force: true, DryRun: dry})
					return o.GetLabels(), err
				},
				"delete": func() (map[string]string, error) {
					return map[string]string{"a": "b"}, objects.Delete(ctx, "example", metav1.DeleteOptions{DryRun: dry})
				},
				"delete of the collection": func() (map[string]string, error) {
					return map[string]string{"a": "b"}, objects.DeleteCollection(ctx, metav1.DeleteOptions{DryRun: dry}, metav1.ListOptions{})
				},
			} {
				labels, err := do()
				if err != nil {
					t.Errorf("%s: %v", what, err)
				} else if labels["a"] != "b" {
					t.Errorf("%s: the answer does not show the change", what)
				}
				is, err := objects.Get(ctx, "example", metav1.GetOptions{})
				if err != nil {
					t.Fatalf("after %s: %v", what, err)
				}
				if diff := cmp.Diff(was.Object, is.Object); diff != "" {
					t.Errorf("%s changed what is stored (-was +is):\n%s", what, diff)
				}
			}
			if _, now, err := s.Snapshot(ctx); err != nil || now != revision {
				t.Errorf("the configuration revision went from %d to %d, %v", revision, now, err)
			}
			if err := objects.Delete(ctx, "example", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		})
	}
}
