package server

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// TestProfileInUseCannotBeDeleted: in whichever way, and it can when the last peer has let go of it.
func TestProfileInUseCannotBeDeleted(t *testing.T) {
	client, err := dynamic.NewForConfig(serveAlone(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	profiles := client.Resource(schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "bfdprofiles"}).Namespace(namespace)
	peers := client.Resource(peersNow).Namespace(namespace)
	profile := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "metallb.io/v1beta1", "kind": "BFDProfile", "metadata": map[string]any{"name": "fast", "namespace": namespace}}}
	created, err := profiles.Create(ctx, profile, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := peers.Create(ctx, peerObject(t, "v1beta2", `{"myASN":1,"peerASN":2,"peerAddress":"10.0.0.1","bfdProfile":"fast"}`), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	dry, foreground := []string{metav1.DryRunAll}, metav1.DeletePropagationForeground
	deletes := map[string]func() error{
		"delete":  func() error { return profiles.Delete(ctx, "fast", metav1.DeleteOptions{}) },
		"dry run": func() error { return profiles.Delete(ctx, "fast", metav1.DeleteOptions{DryRun: dry}) },
		"foreground": func() error {
			return profiles.Delete(ctx, "fast", metav1.DeleteOptions{PropagationPolicy: &foreground})
		},
		"dry run foreground": func() error {
			return profiles.Delete(ctx, "fast", metav1.DeleteOptions{PropagationPolicy: &foreground, DryRun: dry})
		},
		"collection": func() error { return profiles.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}) },
		"dry run collection": func() error {
			return profiles.DeleteCollection(ctx, metav1.DeleteOptions{DryRun: dry}, metav1.ListOptions{})
		},
	}
	for what, remove := range deletes {
		err := remove()
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "failed to delete BFDProfile fast, used by BGPPeer tor") {
			t.Errorf("%s of a profile in use: %v", what, err)
		}
	}
	got, err := profiles.Get(ctx, "fast", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.GetUID() != created.GetUID() || got.GetDeletionTimestamp() != nil || len(got.GetFinalizers()) != 0 {
		t.Errorf("after the refusals: %v", got.Object["metadata"])
	}

	if _, err := peers.Patch(ctx, "tor", types.MergePatchType, []byte(`{"spec":{"bfdProfile":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"dry run", "collection"} {
		if err := deletes[what](); err != nil {
			t.Errorf("%s of a profile that is not in use: %v", what, err)
		}
	}
	if _, err := profiles.Get(ctx, "fast", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after the delete: %v", err)
	}
}

// TestProfileIsNotDeletedWhileAPeerBeginsToUseIt races the two. Whoever comes first, at the revision at which the profile
// vanished nobody used it.
func TestProfileIsNotDeletedWhileAPeerBeginsToUseIt(t *testing.T) {
	client, err := dynamic.NewForConfig(serveAlone(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	profiles := client.Resource(schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "bfdprofiles"}).Namespace(namespace)
	peers := client.Resource(peersNow).Namespace(namespace)
	if _, err := peers.Create(ctx, peerObject(t, "v1beta2", `{"myASN":1,"peerASN":2,"peerAddress":"10.0.0.1"}`), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w, err := profiles.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	use := func(profile string) error {
		_, err := peers.Patch(ctx, "tor", types.MergePatchType, []byte(`{"spec":{"bfdProfile":`+profile+`}}`), metav1.PatchOptions{})
		return err
	}
	deleted, refused := 0, 0
	for range 60 {
		profile := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "metallb.io/v1beta1", "kind": "BFDProfile", "metadata": map[string]any{"name": "fast", "namespace": namespace}}}
		if _, err := profiles.Create(ctx, profile, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
		used := make(chan error, 1)
		go func() { used <- use(`"fast"`) }()
		err := profiles.Delete(ctx, "fast", metav1.DeleteOptions{})
		if err := <-used; err != nil {
			t.Fatal(err)
		}
		if err != nil {
			if !apierrors.IsInvalid(err) {
				t.Fatal(err)
			}
			refused++
		} else {
			deleted++
			at := deletion(t, w)
			then, err := peers.List(ctx, metav1.ListOptions{ResourceVersion: at, ResourceVersionMatch: metav1.ResourceVersionMatchExact})
			if err != nil {
				t.Fatal(err)
			}
			if name, inUse, _ := unstructured.NestedString(then.Items[0].Object, "spec", "bfdProfile"); inUse {
				t.Fatalf("BFDProfile %q was deleted at revision %s, when a peer used it", name, at)
			}
		}
		if err := use("null"); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d deleted, %d refused", deleted, refused)
}

// deletion waits for the next one and returns its revision.
func deletion(t *testing.T, w watch.Interface) string {
	t.Helper()
	for ev := range w.ResultChan() {
		if ev.Type == watch.Deleted {
			return ev.Object.(*unstructured.Unstructured).GetResourceVersion()
		}
	}
	t.Fatal("the watch ended")
	return ""
}
