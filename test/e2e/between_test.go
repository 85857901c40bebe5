package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

// What tests wait for between what was, or what they did, and what they do next.

// noNeighbours waits until the router has forgotten the neighbours of earlier tests. They came by themselves, and while one is
// known it cannot be configured.
func noNeighbours(t testing.TB) {
	t.Helper()
	eventually(t, "the end of the BGP sessions of earlier tests", func() error {
		out, err := tryIn("router", "vtysh", "-c", "show bgp neighbors json")
		if err != nil {
			return err
		}
		all := map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			return fmt.Errorf("show bgp neighbors: %w: %s", err, out)
		}
		var left []string
		for name, raw := range all {
			var n struct{ BgpState string }
			if json.Unmarshal(raw, &n) == nil && n.BgpState != "" { // FRR has other things beside them
				left = append(left, name+" "+n.BgpState)
			}
		}
		if len(left) > 0 {
			slices.Sort(left)
			return fmt.Errorf("the router has %s", strings.Join(left, ", "))
		}
		return nil
	})
}

// listenerEnds waits until nobody listens on a TCP port of a place: the kernel is a moment behind whoever killed a program.
func listenerEnds(t testing.TB, place string, port int) {
	t.Helper()
	eventually(t, fmt.Sprintf("the end of the listener on port %d of %s", port, place), func() error {
		out, err := tryIn(place, "ss", "-Hltn", fmt.Sprintf("sport = :%d", port))
		if err == nil && out != "" {
			err = errors.New(out)
		}
		return err
	})
}

// resource names a resource of the group.
func resource(version, plural string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "metallb.io", Version: version, Resource: plural}
}

// swap deletes an object of the system namespace and creates another in its place, with nothing in between: the controller
// leaves an address without its pool for 2 seconds, which two programs may take to start. The new one is deleted when the test ends.
func swap(t *testing.T, old schema.GroupVersionResource, name string, by schema.GroupVersionResource, manifest string) {
	t.Helper()
	tend(t)
	config, err := clientcmd.BuildConfigFromFlags("", cluster.KubeConfig())
	if err != nil {
		t.Fatal(err)
	}
	config.WarningHandler = rest.NoWarnings{}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	var object unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(manifest), &object.Object); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := tryKubectl(manifest, "delete", "--ignore-not-found", "--wait", "-f", "-"); err != nil {
			t.Error(err)
		}
	})
	if err := client.Resource(old).Namespace(object.GetNamespace()).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Resource(by).Namespace(object.GetNamespace()).Create(t.Context(), &object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
