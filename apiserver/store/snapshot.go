package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// Snapshot returns the configuration and the configuration revision that it had at some moment after the call
// (linearizable). Status fields may be older. The result is shared: it must not be changed.
func (s *Store) Snapshot(ctx context.Context) (*metallb.Configuration, int64, error) {
	v, err := s.currentView(ctx)
	if err != nil {
		return nil, 0, err
	}
	return v.config, v.guard.revision, nil
}

// Current returns what Snapshot returns, or when etcd does not answer soon the last configuration known. It is
// for early words to users, which the guarded write has the last one on; a dry run has no other word.
func (s *Store) Current() *metallb.Configuration {
	ctx, cancel := context.WithTimeout(context.Background(), currentTimeout)
	defer cancel()
	if c, _, err := s.Snapshot(ctx); err == nil {
		return c
	}
	return s.cachedView().config
}

// currentTimeout bounds Current. A write whose words it is for fails by itself where etcd is away.
const currentTimeout = 3 * time.Second

func (s *Store) cachedView() *view {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view
}

// remember replaces the cached view by one that was made from it or read later: if nobody has replaced it meanwhile by
// a newer one. Revisions are not compared with those of another past (see ErrReplaced).
func (s *Store) remember(from, v *view) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view == from || v.guard.revision > s.view.guard.revision {
		s.view = v
	}
}

// currentView reads the guard, and the objects only when it has moved since they were last read.
func (s *Store) currentView(ctx context.Context) (*view, error) {
	resp, err := s.client.Get(ctx, guardKey)
	if err != nil {
		return nil, fmt.Errorf("read the guard: %w", err)
	}
	s.saw(resp.Header.Revision)
	guard, err := guardOf(resp.Kvs)
	if err != nil {
		return nil, err
	}
	before := s.cachedView()
	if before.guard == guard {
		return before, nil
	}
	if err := s.following.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	defer s.following.Release(1)
	cached := s.cachedView()
	if cached != before && cached.guard.revision >= guard.revision {
		return cached, nil
	}
	v, err := s.readChanges(ctx, cached)
	if err == nil && v == nil {
		v, err = s.readView(ctx, cached)
	}
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	s.remember(cached, v)
	return v, nil
}

// readChanges reads what was written since v, at one moment. It returns nil where that does not tell everything:
// something was deleted, v is too old, or v is of a past that etcd does not remember.
func (s *Store) readChanges(ctx context.Context, v *view) (*view, error) {
	if v.guard.revision == 0 {
		return nil, nil
	}
	resp, err := s.client.Txn(ctx).Then(
		clientv3.OpGet(guardKey),
		clientv3.OpGet(guardKey, clientv3.WithRev(v.guard.revision)),
		clientv3.OpGet(objectPrefix, clientv3.WithPrefix(), clientv3.WithMinModRev(v.guard.revision+1)),
		clientv3.OpGet(objectPrefix, clientv3.WithPrefix(), clientv3.WithCountOnly()),
	).Commit()
	if errors.Is(err, rpctypes.ErrCompacted) || errors.Is(err, rpctypes.ErrFutureRev) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s.saw(resp.Header.Revision)
	guard, err := guardOf(resp.Responses[0].GetResponseRange().Kvs)
	if err != nil {
		return nil, err
	}
	if then := first(resp.Responses[1].GetResponseRange().Kvs); then == nil || string(then.Value) != v.guard.value {
		return nil, nil
	}
	changed, err := s.entriesOf(resp.Responses[2].GetResponseRange().Kvs, v)
	if err != nil {
		return nil, err
	}
	entries := merge(v.entries, changed)
	if int64(len(entries)) != resp.Responses[3].GetResponseRange().Count {
		return nil, nil
	}
	return newView(guard, entries), nil
}

// readView reads guard and objects in one transaction, and decodes what is not in v already.
func (s *Store) readView(ctx context.Context, v *view) (*view, error) {
	resp, err := s.client.Txn(ctx).
		Then(clientv3.OpGet(guardKey), clientv3.OpGet(objectPrefix, clientv3.WithPrefix())).
		Commit()
	if err != nil {
		return nil, err
	}
	s.saw(resp.Header.Revision)
	guard, err := guardOf(resp.Responses[0].GetResponseRange().Kvs)
	if err != nil {
		return nil, err
	}
	entries, err := s.entriesOf(resp.Responses[1].GetResponseRange().Kvs, v)
	if err != nil {
		return nil, err
	}
	return newView(guard, entries), nil
}

// entriesOf decodes what is not in v already.
func (s *Store) entriesOf(kvs []*mvccpb.KeyValue, v *view) ([]*entry, error) {
	entries := make([]*entry, 0, len(kvs))
	for _, kv := range kvs {
		e := &entry{key: string(kv.Key), modRevision: kv.ModRevision, hash: hashOf(kv.Value)}
		var err error
		if i, found := v.find(e.key); found && v.entries[i].modRevision == e.modRevision && v.entries[i].hash == e.hash {
			e.object = v.entries[i].object
		} else if e.object, err = s.decode(e.key, kv.Value); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func (s *Store) decode(key string, value []byte) (runtime.Object, error) {
	obj, err := runtime.Decode(s.codec, value)
	if err != nil {
		return nil, fmt.Errorf("stored object %s cannot be read: %w", key, err)
	}
	return obj, nil
}
