package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ingot-lb/ingot/apiserver/export"
)

// passing are keys that mean something to running processes, or to this very etcd, alone: no export has them. Whoever
// needs one makes it anew. The lineage and the base of epochs are the export's own.
var passing = []string{guardKey, leaderKey, lineageKey, epochBaseKey, fillingKey, fillingLock, ledgerKey, allocatorKey}

// Export returns everything of the store that another one would have to be given, at one moment.
func (s *Store) Export(ctx context.Context) (*export.Content, error) {
	resp, err := s.client.Txn(ctx).Then(
		clientv3.OpGet(objectPrefix, clientv3.WithPrefix()),
		clientv3.OpGet(ownPrefix, clientv3.WithPrefix()),
	).Commit()
	if err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	s.saw(resp.Header.Revision)
	identity := s.Identity()
	c := &export.Content{
		Lineage: identity.Lineage, EpochBase: identity.EpochBase, Revision: resp.Header.Revision, Taken: time.Now().Truncate(time.Second),
	}
	for _, kv := range resp.Responses[0].GetResponseRange().Kvs {
		c.Objects = append(c.Objects, bytes.TrimSpace(kv.Value))
	}
	for _, kv := range resp.Responses[1].GetResponseRange().Kvs {
		switch key := string(kv.Key); {
		case key == leaderKey:
			c.Epoch = identity.EpochBase + kv.CreateRevision
		case key == lineageKey && string(kv.Value) != identity.Lineage:
			return nil, fmt.Errorf("%w: lineage %s is gone", ErrReplaced, identity.Lineage)
		case !slices.Contains(passing, key):
			c.State = append(c.State, export.Entry{Key: key, Value: kv.Value})
		}
	}
	return c, nil
}

// ExportChanged is Changed for what Export returns, but for the status of objects.
func (s *Store) ExportChanged(ctx context.Context) <-chan struct{} {
	return s.notify(ctx, ownPrefix, clientv3.WithPrefix())
}

// Ahead says whether a resource version is of another past: etcd has not got there yet.
func (s *Store) Ahead(ctx context.Context, version int64) (bool, error) {
	if version <= s.seen.Load() {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := s.client.Get(ctx, lineageKey)
	if err != nil {
		return false, fmt.Errorf("ask etcd: %w", err)
	}
	s.saw(resp.Header.Revision)
	return version > resp.Header.Revision, nil
}
