package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/ingot-lb/ingot/apiserver/store"
)

// TestListsAreOfOneRevision: pages show the configuration as it was when the first was asked for, whatever is written
// meanwhile; a list can be had of an exact revision; and revisions that are no more are answered 410, so that clients begin
// anew.
func TestListsAreOfOneRevision(t *testing.T) {
	url, etcd := runEtcd(t, nil)
	config, _ := serveStore(t, store.Options{Servers: []string{url}})
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	profiles := sampleOf("BFDProfile")
	objects := client.Resource(profiles.resource).Namespace(namespace)
	create := func(name string) {
		t.Helper()
		if _, err := objects.Create(ctx, profiles.object(name, profiles.spec), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	for i := range 7 {
		want = append(want, fmt.Sprintf("p%d", i))
		create(want[i])
	}

	page, err := objects.List(ctx, metav1.ListOptions{Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	first, revision := page, page.GetResourceVersion()
	got := strings.Fields(names(page))
	for page.GetContinue() != "" {
		if more := page.GetRemainingItemCount(); more == nil || *more != int64(7-len(got)) {
			t.Errorf("%v objects remain after %d", more, len(got))
		}
		create(fmt.Sprintf("p6-%d", len(got))) // would be on the next page, were that not of the past
		if err := objects.Delete(ctx, fmt.Sprintf("p%d", 7-len(got)/3), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if page, err = objects.List(ctx, metav1.ListOptions{Limit: 3, Continue: page.GetContinue()}); err != nil {
			t.Fatal(err)
		}
		if page.GetResourceVersion() != revision {
			t.Errorf("a page of revision %s, the first was of %s", page.GetResourceVersion(), revision)
		}
		got = append(got, strings.Fields(names(page))...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("all pages (-want +got):\n%s", diff)
	}

	now, err := objects.List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	exact := metav1.ListOptions{ResourceVersion: revision, ResourceVersionMatch: metav1.ResourceVersionMatchExact}
	for _, tt := range []struct {
		options metav1.ListOptions
		want    string
	}{
		{exact, strings.Join(want, " ")},
		{metav1.ListOptions{ResourceVersion: now.GetResourceVersion(), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}, names(now)},
	} {
		list, err := objects.List(ctx, tt.options)
		if err != nil || names(list) != tt.want {
			t.Errorf("%+v lists %q, %v, want %q", tt.options, names(list), err, tt.want)
		}
	}
	for _, mayBeOld := range []metav1.ListOptions{
		{ResourceVersion: "0"}, {ResourceVersion: revision, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan},
	} {
		eventually(t, fmt.Sprintf("a list with %+v of what there is", mayBeOld), func() error {
			list, err := objects.List(ctx, mayBeOld)
			if err == nil && names(list) != names(now) {
				err = fmt.Errorf("got %q, want %q", names(list), names(now))
			}
			return err
		})
	}
	for _, wrong := range []metav1.ListOptions{
		{ResourceVersionMatch: metav1.ResourceVersionMatchExact},
		{ResourceVersion: "0", ResourceVersionMatch: metav1.ResourceVersionMatchExact},
		{ResourceVersion: "x"},
		{Limit: 3, Continue: "x"},
	} {
		if _, err := objects.List(ctx, wrong); code(err) != http.StatusBadRequest && code(err) != http.StatusUnprocessableEntity {
			t.Errorf("%+v: %v, want 400 or 422", wrong, err)
		}
	}
	head, err := etcd.Get(ctx, "head")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Compact(ctx, head.Header.Revision); err != nil {
		t.Fatal(err)
	}
	// A server that starts now knows nothing of what was before; who reads from there must hear it.
	again, _ := serveStore(t, store.Options{Servers: []string{url}})
	if client, err = dynamic.NewForConfig(again); err != nil {
		t.Fatal(err)
	}
	objects = client.Resource(profiles.resource).Namespace(namespace)
	for what, options := range map[string]metav1.ListOptions{"page": {Limit: 3, Continue: first.GetContinue()}, "list": exact} {
		if _, err := objects.List(ctx, options); !apierrors.IsResourceExpired(err) || code(err) != http.StatusGone {
			t.Errorf("a %s of a compacted revision: %v, want 410", what, err)
		}
	}
	w, err := objects.Watch(ctx, metav1.ListOptions{ResourceVersion: revision})
	if err == nil {
		ev := <-w.ResultChan()
		w.Stop()
		if err = apierrors.FromObject(ev.Object); ev.Type != watch.Error {
			t.Errorf("a watch from a compacted revision begins with %s", ev.Type)
		}
	}
	if code(err) != http.StatusGone {
		t.Errorf("a watch from a compacted revision: %v, want 410", err)
	}
	if _, err := objects.Patch(ctx, "p0", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{}); err != nil {
		t.Errorf("a write after the compaction: %v", err)
	}
}

// sampleOf is the first sample of a kind.
func sampleOf(kind string) sample {
	for _, s := range samples {
		if s.kind == kind {
			return s
		}
	}
	panic("no sample of " + kind)
}
