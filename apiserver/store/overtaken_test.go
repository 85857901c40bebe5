package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// TestManyWritersOfOneObject: all of them get their change in, and no check is made for a write that cannot commit
// because another one changed the object while it waited for its turn.
func TestManyWritersOfOneObject(t *testing.T) {
	const writers, rounds = 32, 2
	var checks atomic.Int64
	storage := pools(t, replicas(t, 1, func(*metallb.Configuration, string, runtime.Object, runtime.Object) field.ErrorList {
		checks.Add(1)
		return nil
	})[0])
	ctx := inSystemNamespace(t.Context())
	if _, err := storage.Create(ctx, span("web", 10, 20), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	checks.Store(0)

	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for round := range rounds {
				label := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
					next := old.(*metallb.IPAddressPool).DeepCopy()
					metav1.SetMetaDataLabel(&next.ObjectMeta, fmt.Sprintf("of-%d-%d", w, round), "here")
					return next, nil
				})
				_, _, err := storage.Update(ctx, "web", label, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	wg.Wait()

	got, err := storage.Get(ctx, "web", &metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if labels := got.(*metallb.IPAddressPool).Labels; len(labels) != writers*rounds {
		t.Errorf("%d labels, want that of each of %d writes", len(labels), writers*rounds)
	}
	if n := checks.Load(); n != writers*rounds {
		t.Errorf("%d checks for %d writes", n, writers*rounds)
	}
}
