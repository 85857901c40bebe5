package server

import (
	"strconv"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// TestWatchFromAnotherPastExpires: whoever comes with a version from before the store was restored lists anew, and does not
// wait for ever. From the version that a list gave, a watch begins.
func TestWatchFromAnotherPastExpires(t *testing.T) {
	client, err := dynamic.NewForConfig(serveAlone(t))
	if err != nil {
		t.Fatal(err)
	}
	pools := client.Resource(schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "ipaddresspools"}).Namespace(namespace)
	list, err := pools.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	now, err := strconv.ParseInt(list.GetResourceVersion(), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	for version, want := range map[int64]bool{now: false, now + 1_000_000: true} {
		w, err := pools.Watch(t.Context(), metav1.ListOptions{ResourceVersion: strconv.FormatInt(version, 10)})
		if w != nil {
			w.Stop()
		}
		if apierrors.IsResourceExpired(err) != want || !want && err != nil {
			t.Errorf("a watch from version %d, where the store is at %d: %v; expired wanted: %v", version, now, err, want)
		}
	}
}
