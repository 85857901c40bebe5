package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	clientfeatures "k8s.io/client-go/features"
	clientfeaturestesting "k8s.io/client-go/features/testing"
	"k8s.io/client-go/rest"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/live"
	"github.com/ingot-lb/ingot/apiserver/store"
)

var configurationStates = schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "configurationstates"}

func liveSet(states ...string) *live.Set {
	set := live.NewSet(live.Kind{
		Plural: "configurationstates", Singular: "configurationstate",
		New:     func() runtime.Object { return &metallb.ConfigurationState{} },
		NewList: func() runtime.Object { return &metallb.ConfigurationStateList{} },
		Cells:   func(runtime.Object) []any { return nil },
	}, namespace, live.NewClock(time.Now))
	report(set, states...)
	return set
}

// report says of each NAME=RESULT that it is so.
func report(set *live.Set, states ...string) {
	var put []live.Object
	for _, text := range states {
		name, result, _ := strings.Cut(text, "=")
		o := &metallb.ConfigurationState{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"of": name}}}
		o.Status.Result = metallb.ConfigurationResult(result)
		put = append(put, o)
	}
	set.Update(put)
}

// TestLiveKindIsReadOnly: discovery promises get, list and watch, which are served; nothing else is, and etcd is not
// touched by what is reported.
func TestLiveKindIsReadOnly(t *testing.T) {
	set := liveSet("a=Valid", "b=Valid")
	config, s := serveStore(t, store.Options{DataDir: t.TempDir(), UnsafeNoFsync: true}, set)
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	disco, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	resources, err := disco.ServerResourcesForGroupVersion("metallb.io/v1beta1")
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, r := range resources.APIResources {
		if r.Name == "configurationstates" {
			found = true
			if got := strings.Join(append(r.Verbs, r.SingularName, r.Kind, strings.Join(r.Categories, "")), " "); !r.Namespaced || got != "get list watch configurationstate ConfigurationState ingot" {
				t.Errorf("discovery: %s", got)
			}
		}
		if strings.HasPrefix(r.Name, "configurationstates/") {
			t.Errorf("subresource %s", r.Name)
		}
	}
	if !found {
		t.Error("discovery has no configurationstates")
	}

	objects := client.Resource(configurationStates).Namespace(namespace)
	_, before, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		report(set, fmt.Sprintf("a=%d", i))
	}
	a, err := objects.Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if result, _, _ := unstructured.NestedString(a.Object, "status", "result"); result != "99" {
		t.Errorf("got %v", a)
	}
	if _, after, err := s.Snapshot(t.Context()); err != nil || after != before {
		t.Errorf("configuration revision %d after %d, %v", after, before, err)
	}
	list, err := client.Resource(configurationStates).List(t.Context(), metav1.ListOptions{LabelSelector: "of=b", FieldSelector: "metadata.namespace=" + namespace})
	if err != nil || len(list.Items) != 1 || list.Items[0].GetName() != "b" {
		t.Errorf("by label, in all namespaces: %v, %v", list, err)
	}
	for what, err := range map[string]error{
		"create":        second(objects.Create(t.Context(), a, metav1.CreateOptions{})),
		"update":        second(objects.Update(t.Context(), a, metav1.UpdateOptions{})),
		"patch":         second(objects.Patch(t.Context(), "a", "application/merge-patch+json", []byte("{}"), metav1.PatchOptions{})),
		"delete":        objects.Delete(t.Context(), "a", metav1.DeleteOptions{}),
		"delete of all": objects.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}),
	} {
		if !apierrors.IsMethodNotSupported(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// switchboard sends requests to the server that is up.
type switchboard struct {
	to atomic.Pointer[http.RoundTripper]
}

func (s *switchboard) RoundTrip(r *http.Request) (*http.Response, error) {
	return (*s.to.Load()).RoundTrip(r)
}

func (s *switchboard) point(t *testing.T, config *rest.Config) {
	t.Helper()
	next, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	var to http.RoundTripper = roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.URL.Host = strings.TrimPrefix(config.Host, "https://")
		r.Host = ""
		return next.RoundTrip(r)
	})
	s.to.Store(&to)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestInformersSurviveARestart: whatever happened while the apiserver was away reaches an informer, with and without
// WatchList.
func TestInformersSurviveARestart(t *testing.T) {
	for _, watchList := range []bool{true, false} {
		t.Run(fmt.Sprintf("WatchList %t", watchList), func(t *testing.T) {
			clientfeaturestesting.SetFeatureDuringTest(t, clientfeatures.WatchListClient, watchList)
			before, after := liveSet("stays=Valid", "changes=Valid", "goes=Valid"), liveSet("stays=Valid", "changes=Invalid", "comes=Valid")
			first, _ := serveStore(t, store.Options{DataDir: t.TempDir(), UnsafeNoFsync: true}, before)
			second, _ := serveStore(t, store.Options{DataDir: t.TempDir(), UnsafeNoFsync: true}, after)
			board := &switchboard{}
			board.point(t, first)
			client, err := dynamic.NewForConfig(&rest.Config{Host: first.Host, Transport: board, QPS: -1})
			if err != nil {
				t.Fatal(err)
			}
			factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, 0, namespace, nil)
			lister := factory.ForResource(configurationStates).Lister().ByNamespace(namespace)
			stop := make(chan struct{})
			factory.Start(stop)
			defer func() { close(stop); factory.Shutdown() }()
			holds := func(what string, want ...string) {
				t.Helper()
				eventually(t, what, func() error {
					for _, text := range want {
						name, result, _ := strings.Cut(text, "=")
						o, err := lister.Get(name)
						if result == "" && apierrors.IsNotFound(err) {
							continue
						}
						if err != nil {
							return err
						}
						if got, _, _ := unstructured.NestedString(o.(*unstructured.Unstructured).Object, "status", "result"); got != result {
							return errors.New(name + " is " + got)
						}
					}
					return nil
				})
			}
			holds("what there is", "stays=Valid", "changes=Valid", "goes=Valid", "comes=")
			report(before, "changes=Unknown")
			holds("a change", "changes=Unknown")

			board.point(t, second)
			live.NewREST(before).Destroy() // as the process ends, its watches do
			holds("what is so after the restart", "stays=Valid", "changes=Invalid", "goes=", "comes=Valid")
			report(after, "changes=Valid")
			holds("a change after it", "changes=Valid")
		})
	}
}
