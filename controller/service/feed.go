package service

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// feed hands what a reflector hears to three functions. It is used in place of an informer because it keeps apart
// what an informer mixes: what is missing from a list, and what was deleted before our eyes.
type feed[T any] struct {
	replace func([]T) // the answer to a list: everything there is
	put     func(T)   // a watch event: added or modified
	remove  func(T)   // a watch event: deleted, in its last state

	once   sync.Once
	synced chan struct{} // closed after the first replace

	// failing is since when, in Unix nanoseconds, the server has answered with nothing but errors; 0 while it answers.
	failing atomic.Int64
}

func newFeed[T any](replace func([]T), put, remove func(T)) *feed[T] {
	return &feed[T]{replace: replace, put: put, remove: remove, synced: make(chan struct{})}
}

// retry is how a reflector waits while the server is away: never long, so that things go on soon after it is back.
var retry = wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 6, Cap: 5 * time.Second}

// run lists and watches until ctx ends, again and again.
func (f *feed[T]) run(ctx context.Context, client cache.Getter, resource, namespace string, example runtime.Object) {
	lw := cache.NewListWatchFromClient(client, resource, namespace, fields.Everything())
	list, watchFrom := lw.ListWithContextFunc, lw.WatchFuncWithContext
	lw.ListWithContextFunc = func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		objects, err := list(ctx, o)
		f.answered(err)
		return objects, err
	}
	lw.WatchFuncWithContext = func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
		events, err := watchFrom(ctx, o)
		f.answered(err)
		return events, err
	}
	backoff := retry
	r := cache.NewReflectorWithOptions(lw, example, f, cache.ReflectorOptions{Name: resource, Backoff: &backoff})
	r.RunWithContext(ctx)
}

// answered notes how a request to the server went.
func (f *feed[T]) answered(err error) {
	if err == nil {
		f.failing.Store(0)
		return
	}
	f.failing.CompareAndSwap(0, time.Now().UnixNano())
}

// stale reports whether the server has not answered for so long.
func (f *feed[T]) stale(after time.Duration) bool {
	since := f.failing.Load()
	return since != 0 && time.Since(time.Unix(0, since)) > after
}

func (f *feed[T]) typed(obj any) (T, error) {
	t, ok := obj.(T)
	if !ok {
		return t, fmt.Errorf("the server sent a %T", obj)
	}
	return t, nil
}

// Add is a watch event. It implements cache.ReflectorStore, as do the methods below.
func (f *feed[T]) Add(obj any) error { return f.Update(obj) }

// Update is a watch event.
func (f *feed[T]) Update(obj any) error {
	t, err := f.typed(obj)
	if err == nil {
		f.put(t)
	}
	return err
}

// Delete is a watch event.
func (f *feed[T]) Delete(obj any) error {
	t, err := f.typed(obj)
	if err == nil {
		f.remove(t)
	}
	return err
}

// Replace is the answer to a list.
func (f *feed[T]) Replace(objs []any, _ string) error {
	list := make([]T, 0, len(objs))
	for _, obj := range objs {
		t, err := f.typed(obj)
		if err != nil {
			return err
		}
		list = append(list, t)
	}
	f.replace(list)
	f.once.Do(func() { close(f.synced) })
	return nil
}

// Resync does nothing: what was heard is kept elsewhere.
func (f *feed[T]) Resync() error { return nil }
