package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// view is the decoded configuration at one revision of the guard. It is never changed. Writes that are exempt
// from the guard (status) may be missing from it.
type view struct {
	revision int64
	// entries are sorted by key, as etcd returns them.
	entries []entry
	config  *metallb.Configuration
}

type entry struct {
	key         string
	modRevision int64
	object      runtime.Object
}

// Snapshot returns the configuration and the configuration revision that it had at some moment after the call
// (linearizable). Status fields may be older. The result is shared: it must not be changed.
func (s *Store) Snapshot(ctx context.Context) (*metallb.Configuration, int64, error) {
	v, err := s.currentView(ctx)
	if err != nil {
		return nil, 0, err
	}
	return v.config, v.revision, nil
}

// Current returns what Snapshot returns, or when etcd does not answer soon the last configuration known. It is
// for early words to users, which the guarded write has the last one on.
func (s *Store) Current() *metallb.Configuration {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if c, _, err := s.Snapshot(ctx); err == nil {
		return c
	}
	return s.cachedView().config
}

func (s *Store) cachedView() *view {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view
}

// remember keeps the newer of the cached view and v.
func (s *Store) remember(v *view) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.revision > s.view.revision {
		s.view = v
	}
}

// currentView reads the guard, and the objects only when it has moved since they were last read.
func (s *Store) currentView(ctx context.Context) (*view, error) {
	guard, err := s.client.Get(ctx, guardKey)
	if err != nil {
		return nil, fmt.Errorf("read the guard: %w", err)
	}
	revision, err := guardRevision(guard.Kvs)
	if err != nil {
		return nil, err
	}
	if cached := s.cachedView(); cached.revision == revision {
		return cached, nil
	}
	return s.readView(ctx)
}

// readView reads guard and objects in one transaction, and decodes what is not decoded already.
func (s *Store) readView(ctx context.Context) (*view, error) {
	resp, err := s.client.Txn(ctx).
		Then(clientv3.OpGet(guardKey), clientv3.OpGet(objectPrefix, clientv3.WithPrefix())).
		Commit()
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	revision, err := guardRevision(resp.Responses[0].GetResponseRange().Kvs)
	if err != nil {
		return nil, err
	}
	cached := s.cachedView()
	kvs := resp.Responses[1].GetResponseRange().Kvs
	entries := make([]entry, 0, len(kvs))
	for _, kv := range kvs {
		e := entry{key: string(kv.Key), modRevision: kv.ModRevision}
		if i, found := cached.find(e.key); found && cached.entries[i].modRevision == e.modRevision {
			e.object = cached.entries[i].object
		} else if e.object, err = s.decode(e.key, kv.Value); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	v := newView(revision, entries)
	s.remember(v)
	return v, nil
}

func guardRevision(kvs []*mvccpb.KeyValue) (int64, error) {
	if len(kvs) != 1 {
		return 0, fmt.Errorf("%w: the guard is gone", ErrReplaced)
	}
	return kvs[0].ModRevision, nil
}

func (s *Store) decode(key string, value []byte) (runtime.Object, error) {
	obj, err := runtime.Decode(s.codec, value)
	if err != nil {
		return nil, fmt.Errorf("stored object %s cannot be read: %w", key, err)
	}
	return obj, nil
}

func newView(revision int64, entries []entry) *view {
	c := &metallb.Configuration{}
	for _, e := range entries {
		switch o := any(e.object).(type) {
		case *metallb.IPAddressPool:
			c.IPAddressPools = append(c.IPAddressPools, o)
		case *metallb.L2Advertisement:
			c.L2Advertisements = append(c.L2Advertisements, o)
		case *metallb.BGPAdvertisement:
			c.BGPAdvertisements = append(c.BGPAdvertisements, o)
		case *metallb.BGPPeer:
			c.BGPPeers = append(c.BGPPeers, o)
		case *metallb.BFDProfile:
			c.BFDProfiles = append(c.BFDProfiles, o)
		case *metallb.Community:
			c.Communities = append(c.Communities, o)
		case *metallb.IPReservation:
			c.IPReservations = append(c.IPReservations, o)
		}
	}
	return &view{revision: revision, entries: entries, config: c}
}

func (v *view) find(key string) (int, bool) {
	return slices.BinarySearchFunc(v.entries, key, func(e entry, key string) int { return strings.Compare(e.key, key) })
}

// object returns the object stored under key, or nil.
func (v *view) object(key string) runtime.Object {
	if i, found := v.find(key); found {
		return v.entries[i].object
	}
	return nil
}

// with returns the view after a commit at revision that stored object under key, or deleted it (nil). So the
// writer of an uncontended series of writes never reads the objects back.
func (v *view) with(key string, object runtime.Object, revision int64) *view {
	i, found := v.find(key)
	tail := i
	if found {
		tail++
	}
	entries := make([]entry, 0, len(v.entries)+1)
	entries = append(entries, v.entries[:i]...)
	if object != nil {
		entries = append(entries, entry{key: key, modRevision: revision, object: object})
	}
	entries = append(entries, v.entries[tail:]...)
	return newView(revision, entries)
}
