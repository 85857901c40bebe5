package openapi_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/test/admitted"
)

// TestSchemasAcceptWhatIsAccepted: clients that validate against the published schemas, and server-side apply, never
// refuse what the API serves.
func TestSchemasAcceptWhatIsAccepted(t *testing.T) {
	byName := models(t)
	schemas := map[schema.GroupVersionKind]*spec.Schema{}
	for name, s := range byName {
		kinds, _ := s.Extensions["x-kubernetes-group-version-kind"].([]any)
		for _, k := range kinds {
			k := k.(map[string]any)
			expanded, err := resolver.PopulateRefs(func(ref string) (*spec.Schema, bool) {
				s, ok := byName[ref[len("#/components/schemas/"):]]
				return s, ok
			}, "#/components/schemas/"+name)
			if err != nil {
				t.Fatal(err)
			}
			schemas[schema.GroupVersionKind{Group: fmt.Sprint(k["group"]), Version: fmt.Sprint(k["version"]), Kind: fmt.Sprint(k["kind"])}] = expanded
		}
	}
	converter, err := managedfields.NewTypeConverter(byName, false)
	if err != nil {
		t.Fatal(err)
	}
	checked := map[schema.GroupVersionKind]int{}
	for seed := range uint32(100) {
		accepted, err := admitted.NewBook().Fill(admitted.NewChoices(binary.BigEndian.AppendUint32(nil, seed)), 30)
		if err != nil {
			t.Fatal(err)
		}
		for _, obj := range accepted {
			for _, gvk := range versionsOf(t, obj) {
				tree := asServed(t, obj, gvk)
				checked[gvk]++
				if schemas[gvk] == nil {
					t.Fatalf("%v has no schema", gvk)
				}
				if result := validate.NewSchemaValidator(schemas[gvk], nil, "", strfmt.Default).Validate(tree.Object); !result.IsValid() {
					t.Errorf("%v of seed %d does not fit its schema: %v", tree.Object, seed, result.Errors)
				}
				if _, err := converter.ObjectToTyped(tree); err != nil {
					t.Errorf("%v of seed %d cannot be applied: %v", tree.Object, seed, err)
				}
			}
		}
	}
	for _, gvk := range admitted.Kinds() {
		if checked[gvk] == 0 {
			t.Errorf("no %v was checked", gvk)
		}
	}
}

// versionsOf are those that serve an object.
func versionsOf(t *testing.T, obj runtime.Object) []schema.GroupVersionKind {
	t.Helper()
	kinds, _, err := install.Scheme.ObjectKinds(obj)
	if err != nil {
		t.Fatal(err)
	}
	var versions []schema.GroupVersionKind
	for _, gvk := range admitted.Kinds() {
		if gvk.Kind == kinds[0].Kind {
			versions = append(versions, gvk)
		}
	}
	return versions
}

// asServed is what a client reads.
func asServed(t *testing.T, obj runtime.Object, gvk schema.GroupVersionKind) *unstructured.Unstructured {
	t.Helper()
	obj = obj.DeepCopyObject()
	obj.(metav1.Object).SetUID("0")
	text, err := runtime.Encode(install.Codecs.LegacyCodec(gvk.GroupVersion()), obj)
	if err != nil {
		t.Fatal(err)
	}
	tree := &unstructured.Unstructured{}
	if err := json.Unmarshal(text, tree); err != nil {
		t.Fatal(err)
	}
	return tree
}
