package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/test/await"
)

// TestFollowingViewIsTheOneReadAnew writes through one replica and follows at another, which reads only what changed.
func TestFollowingViewIsTheOneReadAnew(t *testing.T) {
	all := replicas(t, 2, overlaps)
	writer := pools(t, all[0])
	ctx := inSystemNamespace(t.Context())
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 150 {
		for range r.IntN(4) {
			err := writeSomething(ctx, r, writer)
			if err != nil && !apierrors.IsInvalid(err) && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) {
				t.Fatal(err)
			}
		}
		if i%25 == 24 { // and what the follower has is forgotten
			now, err := all[0].client.Get(ctx, guardKey)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := all[0].client.Compact(ctx, now.Header.Revision); err != nil && now.Header.Revision > 1 {
				t.Logf("compact: %v", err) // nothing was written since the last time
			}
		}
		got, err := all[1].currentView(ctx)
		if err != nil {
			t.Fatal(err)
		}
		want, err := all[1].readView(ctx, &view{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.config, got.config); diff != "" || got.guard != want.guard {
			t.Fatalf("after %d rounds: guard %v, want %v; (-anew +following):\n%s", i, got.guard, want.guard, diff)
		}
	}
}

// TestWritersOfOneProcessDoNotRaceEachOther: each write is judged once, however many come at once.
func TestWritersOfOneProcessDoNotRaceEachOther(t *testing.T) {
	const writers, writes = 32, 5
	var judged atomic.Int64
	storage := pools(t, replicas(t, 1, func(*metallb.Configuration, string, runtime.Object, runtime.Object) field.ErrorList {
		judged.Add(1)
		return nil
	})[0])
	ctx := inSystemNamespace(t.Context())
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range writes {
				if _, err := storage.Create(ctx, span(fmt.Sprintf("p-%d-%d", w, i), 1, 2), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := judged.Load(); got != writers*writes {
		t.Errorf("%d writes were judged %d times", writers*writes, got)
	}
}

// TestStatusExemptionIsNoWayBackToAnOldSpec: what a replica's cache takes for a write of status, because it has not
// heard of another replica's change of the spec, passes the guard.
func TestStatusExemptionIsNoWayBackToAnOldSpec(t *testing.T) {
	all := replicas(t, 2, overlaps)
	here, there := pools(t, all[0]), pools(t, all[1])
	ctx := inSystemNamespace(t.Context())
	to := func(first, last int) rest.UpdatedObjectInfo {
		return rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
			next := old.(*metallb.IPAddressPool).DeepCopy()
			next.Spec = span("web", first, last).Spec
			return next, nil
		})
	}
	if _, err := here.Create(ctx, span("web", 10, 20), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := there.Update(ctx, "web", to(30, 40), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := there.Create(ctx, span("db", 10, 20), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	_, _, err := here.Update(ctx, "web", to(10, 20), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})

	if !apierrors.IsInvalid(err) {
		t.Errorf("back to a range that is taken by now: %v, want Invalid", err)
	}
}

// TestRestoredBackupIsNotTakenForWhatWas restores a backup of etcd behind an open store, and writes until the guard has
// the very revision that the store knows from before, when the configuration was another.
func TestRestoredBackupIsNotTakenForWhatWas(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etcd")
	backup := filepath.Join(t.TempDir(), "backup")
	ctx := inSystemNamespace(t.Context())
	start := func() *embeddedEtcd {
		t.Helper()
		e, err := startEmbedded(ctx, dir, true, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	stop := func(e *embeddedEtcd) {
		t.Helper()
		if err := e.close(); err != nil {
			t.Fatal(err)
		}
	}
	connect := func(e *embeddedEtcd) *Store {
		t.Helper()
		o := testOptions("")
		o.Servers, o.Check = []string{e.endpoint}, overlaps
		s, err := Open(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	create := func(s *Store, pool *metallb.IPAddressPool) error {
		_, err := pools(t, s).Create(ctx, pool, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
		return err
	}

	etcd := start()
	old := connect(etcd)
	if err := create(old, span("always", 1, 5)); err != nil {
		t.Fatal(err)
	}
	stop(etcd)
	if err := os.CopyFS(backup, os.DirFS(filepath.Join(dir, "etcd"))); err != nil {
		t.Fatal(err)
	}
	etcd = start()
	await.Success(t, "etcd is back", func() error { return old.Health(ctx) })
	if err := create(old, span("lost", 10, 20)); err != nil {
		t.Fatal(err)
	}
	_, knew, err := old.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stop(etcd)
	if err := os.RemoveAll(filepath.Join(dir, "etcd")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "etcd"), os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	etcd = start()
	defer func() { stop(etcd) }()

	await.True(t, "the store notices", func() bool { return errors.Is(old.Health(ctx), ErrReplaced) })
	other := connect(etcd)
	if err := create(other, span("new", 30, 40)); err != nil {
		t.Fatal(err)
	}
	_, now, err := old.Snapshot(ctx)
	if err != nil || now != knew {
		t.Fatalf("configuration revision %d, %v; the test needs %d once more", now, err, knew)
	}
	if err := create(old, span("late", 35, 45)); !apierrors.IsInvalid(err) {
		t.Errorf("a pool that overlaps one of the new past: %v, want Invalid", err)
	}
	if err := create(old, span("again", 10, 20)); err != nil {
		t.Errorf("a pool that overlaps one of the lost past: %v", err)
	}
}
