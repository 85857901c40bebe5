package server

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// heard collects the warnings of responses.
type heard struct {
	mu   sync.Mutex
	said []string
}

func (h *heard) HandleWarningHeader(_ int, _ string, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.said = append(h.said, text)
}

// take returns the warnings since the last call.
func (h *heard) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	said := h.said
	h.said = nil
	return said
}

func TestDeletionIsRefusedOrWarnedAbout(t *testing.T) {
	warnings := &heard{}
	config := rest.CopyConfig(serveAlone(t))
	config.WarningHandler = warnings
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	pools, ads := client.Resource(samples[0].resource).Namespace(namespace), client.Resource(samples[1].resource).Namespace(namespace)
	kept := samples[0].object("kept", map[string]any{"addresses": []any{"10.0.0.0/24"}})
	kept.SetAnnotations(map[string]string{"ingot.io/deletion-protection": "true"})
	if _, err := pools.Create(ctx, kept, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := pools.Create(ctx, samples[0].object("used", map[string]any{"addresses": []any{"10.0.1.0/24"}}), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := ads.Create(ctx, samples[1].object("lan", map[string]any{"ipAddressPools": []any{"used"}}), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	warnings.take()
	dry := metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}
	refusals := map[string]func() error{
		"delete":  func() error { return pools.Delete(ctx, "kept", metav1.DeleteOptions{}) },
		"dry run": func() error { return pools.Delete(ctx, "kept", dry) },
		"delete collection": func() error {
			return pools.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=kept"})
		},
	}
	for what, try := range refusals {
		err := try()
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "metadata.annotations[ingot.io/deletion-protection]") {
			t.Errorf("%s of what is protected: %v, want Invalid that names the annotation", what, err)
		}
	}
	if _, err := pools.Get(ctx, "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("after refused deletions: %v", err)
	}
	if said := warnings.take(); len(said) > 0 {
		t.Errorf("warnings %q", said)
	}

	want := []string{`IPAddressPool "used" is in use by L2Advertisement "lan"`}
	for _, options := range []metav1.DeleteOptions{dry, {}} {
		if err := pools.Delete(ctx, "used", options); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, warnings.take()); diff != "" {
			t.Errorf("delete of what is in use, dry run %v (-want +got):\n%s", options.DryRun, diff)
		}
	}

	if _, err := pools.Patch(ctx, "kept", types.MergePatchType, []byte(`{"metadata":{"annotations":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := pools.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Errorf("delete collection without protection: %v", err)
	}
}
