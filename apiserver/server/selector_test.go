package server

import (
	"fmt"
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

// TestFieldSelectors: lists, watches and collections that are deleted take the fields that a kind declares; whoever
// names another field hears which there are.
func TestFieldSelectors(t *testing.T) {
	client, err := dynamic.NewForConfig(serveAlone(t))
	if err != nil {
		t.Fatal(err)
	}
	for i, version := range []string{"v1beta2", "v1beta1"} {
		t.Run(version, func(t *testing.T) {
			ctx := t.Context()
			peers := client.Resource(peersNow.GroupResource().WithVersion(version)).Namespace(namespace)
			for name, spec := range map[string]string{
				"a": fmt.Sprintf(`{"myASN":64512,"peerASN":64513,"peerAddress":"192.0.2.%d","bfdProfile":"fast"}`, 10*i+1),
				"b": fmt.Sprintf(`{"myASN":64512,"peerASN":64514,"peerAddress":"192.0.2.%d","bfdProfile":"fast"}`, 10*i+2),
				"c": fmt.Sprintf(`{"myASN":64512,"peerASN":64513,"peerAddress":"192.0.2.%d"}`, 10*i+3),
			} {
				p := peerObject(t, version, spec)
				p.SetName(name)
				if _, err := peers.Create(ctx, p, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			named := func(selector string) string {
				t.Helper()
				list, err := peers.List(ctx, metav1.ListOptions{FieldSelector: selector})
				if err != nil {
					t.Fatal(err)
				}
				return names(list)
			}
			for selector, want := range map[string]string{
				fmt.Sprintf("spec.peerAddress=192.0.2.%d", 10*i+2): "b",
				"spec.peerASN=64513":                      "a c",
				"spec.peerASN!=64513":                     "b",
				"spec.bfdProfile=fast,spec.peerASN=64513": "a",
				"spec.bfdProfile=":                        "c",
				"spec.vrf=":                               "a b c",
				"spec.vrf=red":                            "",
				"metadata.name=c":                         "c",
				"metadata.namespace=other":                "",
			} {
				if got := named(selector); got != want {
					t.Errorf("%s selects %q, want %q", selector, got, want)
				}
			}

			_, err := peers.List(ctx, metav1.ListOptions{FieldSelector: "spec.password=x"})
			if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), `"spec.password" is not a field that BGPPeer can be selected by: those are metadata.name, `) {
				t.Errorf("a selector by the password: %v, want 400", err)
			}
			if _, err := peers.Watch(ctx, metav1.ListOptions{FieldSelector: "spec.password=x"}); code(err) != http.StatusBadRequest {
				t.Errorf("a watch by the password: %v, want 400", err)
			}

			// Those who watch a selection see objects come into it and leave it.
			w, err := peers.Watch(ctx, metav1.ListOptions{FieldSelector: "spec.bfdProfile=fast", ResourceVersion: "0"})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Stop()
			next := func() string {
				ev := nextChange(t, w)
				return fmt.Sprintf("%s %s", ev.Type, ev.Object.(*unstructured.Unstructured).GetName())
			}
			first := []string{next(), next()}
			slices.Sort(first)
			patch := func(name, profile string) {
				t.Helper()
				if _, err := peers.Patch(ctx, name, types.MergePatchType, fmt.Appendf(nil, `{"spec":{"bfdProfile":%q}}`, profile), metav1.PatchOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			patch("a", "slow")
			patch("c", "slow")
			patch("c", "fast")
			if err := peers.Delete(ctx, "c", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			seen := append(first, next(), next(), next())
			if diff := cmp.Diff([]string{"ADDED a", "ADDED b", "DELETED a", "ADDED c", "DELETED c"}, seen); diff != "" {
				t.Errorf("watched (-want +got):\n%s", diff)
			}

			if err := peers.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "spec.bfdProfile=fast"}); err != nil {
				t.Fatal(err)
			}
			if got := named(""); got != "a" {
				t.Errorf("%q are left, want a", got)
			}
			if err := peers.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// names are those of a list, in its order.
func names(list *unstructured.UnstructuredList) string {
	var all []string
	for _, o := range list.Items {
		all = append(all, o.GetName())
	}
	return strings.Join(all, " ")
}
