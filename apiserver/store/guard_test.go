package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/test/await"
)

// replicas returns n stores on one etcd, each with its own caches, as n apiservers have them.
func replicas(t *testing.T, n int, check CheckFunc) []*Store {
	t.Helper()
	o := testOptions(t.TempDir())
	o.Check = check
	var all []*Store
	for i := range n {
		if i > 0 {
			o.Servers = []string{all[0].embedded.endpoint}
		}
		s, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		all = append(all, s)
	}
	return all
}

// TestNoInterleavingOfWritersBreaksARule lets writers on three replicas create, update and delete pools that get
// into each other's way, and then looks at every state that etcd ever was in.
func TestNoInterleavingOfWritersBreaksARule(t *testing.T) {
	const writers, rounds = 9, 40
	all := replicas(t, 3, overlaps)
	var storages []*registry.Store
	for _, s := range all {
		storages = append(storages, pools(t, s))
	}
	history := recordHistory(t, all[0])

	var committed, refused atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			ctx := inSystemNamespace(t.Context())
			r := rand.New(rand.NewPCG(1, uint64(w)))
			storage := storages[w%len(storages)]
			for range rounds {
				switch err := writeSomething(ctx, r, storage); {
				case err == nil:
					committed.Add(1)
				case apierrors.IsInvalid(err):
					refused.Add(1)
				case apierrors.IsNotFound(err), apierrors.IsAlreadyExists(err), apierrors.IsConflict(err):
				default:
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	wg.Wait()

	states := history()
	for _, state := range states {
		for i, p := range state.pools {
			if errs := overlaps(&metallb.Configuration{IPAddressPools: state.pools[i+1:]}, "", nil, p); len(errs) > 0 {
				t.Errorf("at revision %d: pool %s: %v", state.revision, p.Name, errs)
			}
		}
	}
	if committed.Load() < 20 || refused.Load() < 20 {
		t.Errorf("%d writes committed and %d refused: too few to have shown anything", committed.Load(), refused.Load())
	}
	t.Logf("%d committed, %d refused, %d states seen", committed.Load(), refused.Load(), len(states))
	for i, s := range all {
		got, _, err := s.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(specs(states[len(states)-1].pools), specs(got.IPAddressPools)); diff != "" {
			t.Errorf("snapshot of replica %d (-want +got):\n%s", i, diff)
		}
	}
}

// writeSomething creates, updates or deletes one of six pools.
func writeSomething(ctx context.Context, r *rand.Rand, storage *registry.Store) error {
	name := fmt.Sprintf("pool-%d", r.IntN(6))
	first := r.IntN(40)
	pool := span(name, first, first+r.IntN(12))
	switch r.IntN(4) {
	case 0, 1:
		_, err := storage.Create(ctx, pool, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
		return err
	case 2:
		change := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
			next := old.(*metallb.IPAddressPool).DeepCopy()
			next.Spec = pool.Spec
			return next, nil
		})
		_, _, err := storage.Update(ctx, name, change, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false,
			&metav1.UpdateOptions{})
		return err
	default:
		_, _, err := storage.Delete(ctx, name, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{})
		return err
	}
}

type state struct {
	revision int64
	pools    []*metallb.IPAddressPool
}

// recordHistory returns a function that returns every state of the pools since the call.
func recordHistory(t *testing.T, s *Store) func() []state {
	t.Helper()
	begin, err := s.client.Get(t.Context(), guardKey)
	if err != nil {
		t.Fatal(err)
	}
	return func() []state {
		end, err := s.client.Get(t.Context(), guardKey)
		if err != nil {
			t.Fatal(err)
		}
		var states []state
		for revision := begin.Header.Revision; revision <= end.Header.Revision; revision++ {
			resp, err := s.client.Get(t.Context(), objectPrefix, clientv3.WithPrefix(), clientv3.WithRev(revision))
			if err != nil {
				t.Fatal(err)
			}
			st := state{revision: revision}
			for _, kv := range resp.Kvs {
				obj, err := s.decode(string(kv.Key), kv.Value)
				if err != nil {
					t.Fatal(err)
				}
				st.pools = append(st.pools, obj.(*metallb.IPAddressPool))
			}
			states = append(states, st)
		}
		return states
	}
}

func specs(pools []*metallb.IPAddressPool) map[string][]string {
	m := map[string][]string{}
	for _, p := range pools {
		m[p.Name] = p.Spec.Addresses
	}
	return m
}

func TestViolationIsAnInvalidErrorThatNamesTheOther(t *testing.T) {
	storage := pools(t, replicas(t, 1, overlaps)[0])
	ctx := inSystemNamespace(t.Context())
	if _, err := storage.Create(ctx, span("web", 10, 20), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	_, err := storage.Create(ctx, span("db", 20, 30), rest.ValidateAllObjectFunc, &metav1.CreateOptions{})

	if !apierrors.IsInvalid(err) {
		t.Fatalf("create of an overlapping pool: %v, want reason Invalid", err)
	}
	want := `IPAddressPool.metallb.io "db" is invalid: spec.addresses[0]: Invalid value: "10.0.0.20-10.0.0.30": ` +
		`overlaps 10.0.0.10-10.0.0.20 of IPAddressPool "web"`
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

// TestStatusWritesPassTheGuardBy makes sure that controllers that count addresses do not queue behind each other.
func TestStatusWritesPassTheGuardBy(t *testing.T) {
	s := replicas(t, 1, overlaps)[0]
	storage := pools(t, s)
	ctx := inSystemNamespace(t.Context())
	if _, err := storage.Create(ctx, span("web", 10, 20), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, before, err := s.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	count := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		next := old.(*metallb.IPAddressPool).DeepCopy()
		next.Status.AssignedIPv4++
		return next, nil
	})

	for range 3 {
		if _, _, err := storage.Update(ctx, "web", count, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}

	got, err := storage.Get(ctx, "web", &metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n := got.(*metallb.IPAddressPool).Status.AssignedIPv4; n != 3 {
		t.Errorf("status counts %d, want 3", n)
	}
	if _, after, err := s.Snapshot(ctx); err != nil || after != before {
		t.Errorf("configuration revision = %d, %v; was %d", after, err, before)
	}
}

// TestEndlesslyBeatenWriteAsksTheClientToComeBack moves the guard each time the rules are being checked.
func TestEndlesslyBeatenWriteAsksTheClientToComeBack(t *testing.T) {
	var s *Store
	s = replicas(t, 1, func(*metallb.Configuration, string, runtime.Object, runtime.Object) field.ErrorList {
		if _, err := s.client.Put(context.Background(), guardKey, "someone else"); err != nil {
			t.Error(err)
		}
		return nil
	})[0]

	_, err := pools(t, s).Create(inSystemNamespace(t.Context()), span("web", 1, 2), rest.ValidateAllObjectFunc, &metav1.CreateOptions{})

	if seconds, again := apierrors.SuggestsClientDelay(err); !apierrors.IsTooManyRequests(err) || !again || seconds < 1 {
		t.Errorf("error = %v, want TooManyRequests with a delay", err)
	}
}

// TestRefusalIsNeverBasedOnAnObsoleteState changes the conflicting pool after the check saw it.
func TestRefusalIsNeverBasedOnAnObsoleteState(t *testing.T) {
	all := replicas(t, 2, overlaps)
	other := pools(t, all[1])
	ctx := inSystemNamespace(t.Context())
	if _, err := other.Create(ctx, span("web", 10, 20), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	all[0].check = func(c *metallb.Configuration, resource string, old, new runtime.Object) field.ErrorList {
		errs := overlaps(c, resource, old, new)
		once.Do(func() {
			if _, _, err := other.Delete(ctx, "web", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		})
		return errs
	}

	if _, err := pools(t, all[0]).Create(ctx, span("db", 20, 30), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		t.Errorf("pool refused because of one that is gone: %v", err)
	}
}

func TestWatchCacheServesBookmarksOfInitialEvents(t *testing.T) {
	storage := pools(t, replicas(t, 1, overlaps)[0])
	ctx := inSystemNamespace(t.Context())
	for i := range 3 {
		if _, err := storage.Create(ctx, span(fmt.Sprintf("p%d", i), 10*i, 10*i+5), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	yes := true
	await.Success(t, "the cache to be filled", storage.ReadinessCheck)
	w, err := storage.Watch(ctx, &metainternalversion.ListOptions{
		SendInitialEvents:    &yes,
		AllowWatchBookmarks:  true,
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()

	var got []string
	for ev := range w.ResultChan() {
		pool := ev.Object.(*metallb.IPAddressPool)
		got = append(got, strings.TrimSpace(string(ev.Type)+" "+pool.Name))
		if pool.Annotations[metav1.InitialEventsAnnotationKey] == "true" {
			break
		}
	}
	if diff := cmp.Diff([]string{"ADDED p0", "ADDED p1", "ADDED p2", "BOOKMARK"}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestChangedSignalsEachBurstAndOutlivesNothing(t *testing.T) {
	all := replicas(t, 2, overlaps)
	storage := pools(t, all[1])
	ctx, cancel := context.WithCancel(inSystemNamespace(t.Context()))
	changed := all[0].Changed(ctx)
	<-changed

	for i := range 5 {
		if _, err := storage.Create(ctx, span(fmt.Sprintf("p%d", i), 10*i, 10*i+5), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for seen := 0; seen < 5; {
		select {
		case <-changed:
		case <-time.After(time.Minute):
			t.Fatalf("no signal; %d of 5 pools seen", seen)
		}
		c, _, err := all[0].Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		seen = len(c.IPAddressPools)
	}

	cancel()
	for range changed { // ends when it is closed
	}
}

func TestWhatEtcdFindsTooLargeIsTheClientsMistake(t *testing.T) {
	storage := pools(t, replicas(t, 1, nil)[0])
	for _, items := range []int{100_000, 200_000} { // more than etcd takes; more than its client sends
		huge := &metallb.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "huge", Namespace: "metallb-system"}}
		for i := range items {
			huge.Spec.Addresses = append(huge.Spec.Addresses, fmt.Sprintf("2001:db8::%x/128", i))
		}
		_, err := storage.Create(inSystemNamespace(t.Context()), huge, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
		if !apierrors.IsRequestEntityTooLargeError(err) {
			t.Errorf("%d items: got %v, want that it is too large", items, err)
		}
	}
}

// TestReadsDoNotWaitForTheWatchesOfOthers: after a change of the leader there is a watch that begins after the newest
// revision, and the caches of objects are behind it. They must still learn that they are fresh.
func TestReadsDoNotWaitForTheWatchesOfOthers(t *testing.T) {
	s := replicas(t, 1, nil)[0]
	storage := pools(t, s)
	ctx := inSystemNamespace(t.Context())
	await.Success(t, "the cache to be filled", storage.ReadinessCheck)
	put, err := s.client.Put(ctx, "/elsewhere", "x")
	if err != nil {
		t.Fatal(err)
	}
	s.client.Watch(clientv3.WithRequireLeader(ctx), "/elsewhere", clientv3.WithRev(put.Header.Revision+1))
	await.Success(t, "a list that need not wait", func() error { // one that has to, has to every time
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // the cache gives up after three
		defer cancel()
		_, err := storage.List(ctx, &metainternalversion.ListOptions{})
		return err
	})
}
