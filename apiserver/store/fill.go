package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Why a store cannot be filled.
var (
	ErrNotEmpty = errors.New("there is a store already")
	ErrFilling  = errors.New("another replica is filling the store")
)

// fillingTTL is how long, in seconds, a replica that died while it filled a store keeps others from it.
const fillingTTL = 10

// filling is an etcd that this replica alone may fill, while it has no lineage. What was left unfinished has the mark
// fillingKey, by which whoever comes next knows to clear it away.
type filling struct {
	*Store
	created int64 // revision of the lock
	end     func()
}

// startFilling takes the lock and clears what is there. end must be called.
func (s *Store) startFilling(ctx context.Context) (*filling, error) {
	lease, err := s.client.Grant(ctx, fillingTTL)
	if err != nil {
		return nil, fmt.Errorf("lease for the lock: %w", err)
	}
	resp, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(lineageKey), "=", 0), clientv3.Compare(clientv3.CreateRevision(fillingLock), "=", 0)).
		Then(clientv3.OpPut(fillingLock, "", clientv3.WithLease(lease.ID)), clientv3.OpPut(fillingKey, time.Now().UTC().Format(time.RFC3339))).
		Else(clientv3.OpGet(lineageKey)).
		Commit()
	if err == nil && !resp.Succeeded {
		err = ErrFilling
		if len(resp.Responses[0].GetResponseRange().Kvs) > 0 {
			err = ErrNotEmpty
		}
	}
	if err != nil {
		s.revoke(ctx, lease.ID)
		return nil, fmt.Errorf("take the store to fill it: %w", err)
	}
	alive, stop := context.WithCancel(ctx)
	kept, err := s.client.KeepAlive(alive, lease.ID)
	if err != nil {
		stop()
		s.revoke(ctx, lease.ID)
		return nil, fmt.Errorf("keep the lock: %w", err)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for range kept {
		}
	}()
	f := &filling{Store: s, created: resp.Header.Revision, end: func() {
		stop()
		<-drained
		s.revoke(ctx, lease.ID)
	}}
	err = f.commit(ctx,
		clientv3.OpDelete(objectPrefix, clientv3.WithPrefix()),
		clientv3.OpDelete(ownPrefix, clientv3.WithRange(fillingKey)),
		clientv3.OpDelete(fillingLock+"\x00", clientv3.WithRange(clientv3.GetPrefixRangeEnd(ownPrefix))),
	)
	if err != nil {
		f.end()
		return nil, err
	}
	return f, nil
}

// commit does ops while the lock is held and there is no store.
func (f *filling) commit(ctx context.Context, ops ...clientv3.Op) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := f.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(lineageKey), "=", 0), clientv3.Compare(clientv3.CreateRevision(fillingLock), "=", f.created)).
		Then(ops...).
		Commit()
	if err != nil {
		return fmt.Errorf("fill the store: %w", err)
	}
	f.saw(resp.Header.Revision)
	if !resp.Succeeded {
		return errors.New("fill the store: the lock was lost, or somebody began a store meanwhile")
	}
	return nil
}

// clearUnfinished clears away what a restoration left that did not come to its end.
func (s *Store) clearUnfinished(ctx context.Context) error {
	resp, err := s.client.Get(ctx, fillingKey)
	if err != nil {
		return fmt.Errorf("look for an unfinished restoration: %w", err)
	}
	if len(resp.Kvs) == 0 {
		return nil
	}
	f, err := s.startFilling(ctx)
	if errors.Is(err, ErrNotEmpty) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.end()
	return f.commit(ctx, clientv3.OpDelete(fillingKey))
}
