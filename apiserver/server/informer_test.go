package server

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/rest"
)

// queries are those of the requests that a client made.
type queries struct {
	next http.RoundTripper
	mu   sync.Mutex
	all  []string
}

func (q *queries) RoundTrip(r *http.Request) (*http.Response, error) {
	q.mu.Lock()
	q.all = append(q.all, r.URL.RawQuery)
	q.mu.Unlock()
	return q.next.RoundTrip(r)
}

// TestInformersStreamTheirLists: client-go's informers get what there is from the watch itself (WatchList), of every kind, and
// hear of changes and deletions; none falls back to lists.
func TestInformersStreamTheirLists(t *testing.T) {
	config := serveAlone(t)
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, sample := range samples {
		t.Run(sample.kind+" "+sample.resource.Version, func(t *testing.T) {
			ctx := t.Context()
			objects := client.Resource(sample.resource).Namespace(namespace)
			if _, err := objects.Create(ctx, sample.object("example", sample.spec), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			asked := &queries{}
			watching := rest.CopyConfig(config)
			watching.Wrap(func(next http.RoundTripper) http.RoundTripper { asked.next = next; return asked })
			watcher, err := dynamic.NewForConfig(watching)
			if err != nil {
				t.Fatal(err)
			}
			factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(watcher, 0, namespace, nil)
			informer := factory.ForResource(sample.resource)
			lister := informer.Lister().ByNamespace(namespace)
			stop := make(chan struct{})
			factory.Start(stop)
			defer func() { close(stop); factory.Shutdown() }()
			eventually(t, "the informer's first sync", func() error {
				if !informer.Informer().HasSynced() {
					return errors.New("not synced")
				}
				_, err := lister.Get("example")
				return err
			})
			if _, err := objects.Patch(ctx, "example", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the change", func() error {
				o, err := lister.Get("example")
				if err == nil && o.(*unstructured.Unstructured).GetLabels()["a"] != "b" {
					err = errors.New("not yet")
				}
				return err
			})
			if err := objects.Delete(ctx, "example", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the deletion", func() error {
				if _, err := lister.Get("example"); err == nil {
					return errors.New("still there")
				}
				return nil
			})
			asked.mu.Lock()
			defer asked.mu.Unlock()
			for _, query := range asked.all { // more than one where it was told to come back
				if !strings.Contains(query, "watch=true") || !strings.Contains(query, "sendInitialEvents=true") {
					t.Errorf("the informer asked for %q, want a watch that sends what there is first", query)
				}
			}
		})
	}
}
