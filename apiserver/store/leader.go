package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

// leaderTTL is how long, in seconds, a leader that died keeps others out.
const leaderTTL = 5

// ErrNotLeader says that another replica has led, or leads, since the caller's epoch began.
var ErrNotLeader = errors.New("not the leader")

// Leadership is the time during which one replica leads.
type Leadership struct {
	// Epoch is the create revision of the leader key above the store's base. It grows with every change of leader within a
	// lineage.
	Epoch int64
	// Done is closed when leadership ended or can no longer be proven.
	Done <-chan struct{}
}

// Campaign waits until the replica called id leads. Leadership lasts until ctx ends, which gives it up at once,
// or until the session key is lost. Whoever was paused may see Done late; what must not happen then has to
// compare the epoch, as SaveDecisions and the speakers do.
func (s *Store) Campaign(ctx context.Context, id string) (*Leadership, error) {
	retry := backoff.Backoff{First: 100 * time.Millisecond, Most: 2 * time.Second}
	for {
		lead, err := s.campaignOnce(ctx, id)
		if lead != nil {
			return lead, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil {
			retry.Reset()
			continue
		}
		s.log.Warn("campaign failed", "event", "campaignFailed", "error", err)
		if err := retry.Wait(ctx); err != nil {
			return nil, err
		}
	}
}

// campaignOnce returns a leadership, or nil and no error when it is time to try again.
func (s *Store) campaignOnce(ctx context.Context, id string) (*Leadership, error) {
	held, err := s.client.Get(ctx, leaderKey)
	if err != nil {
		return nil, fmt.Errorf("read the leader key: %w", err)
	}
	if len(held.Kvs) > 0 {
		return nil, s.awaitRelease(ctx, held.Header.Revision+1)
	}
	lease, err := s.client.Grant(ctx, leaderTTL)
	if err != nil {
		return nil, fmt.Errorf("lease for the leader key: %w", err)
	}
	resp, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(leaderKey), "=", 0)).
		Then(clientv3.OpPut(leaderKey, id, clientv3.WithLease(lease.ID))).
		Commit()
	if err != nil || !resp.Succeeded {
		s.revoke(ctx, lease.ID)
		if err != nil {
			return nil, fmt.Errorf("take the leader key: %w", err)
		}
		return nil, nil
	}
	return s.hold(ctx, lease.ID, resp.Header.Revision), nil
}

// awaitRelease returns when the leader key was deleted at or after revision from.
func (s *Store) awaitRelease(ctx context.Context, from int64) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for resp := range s.client.Watch(ctx, leaderKey, clientv3.WithRev(from)) {
		if err := resp.Err(); err != nil {
			return fmt.Errorf("watch the leader key: %w", err)
		}
		for _, ev := range resp.Events {
			if ev.Type == clientv3.EventTypeDelete {
				return nil
			}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.New("watch of the leader key ended")
}

// hold keeps the lease of a leader key that was created at a revision alive, and closes Done when the lease, the key or
// ctx ends.
func (s *Store) hold(ctx context.Context, lease clientv3.LeaseID, created int64) *Leadership {
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(done)
		defer cancel()
		defer s.revoke(ctx, lease)
		alive, err := s.client.KeepAlive(ctx, lease)
		if err != nil {
			s.log.Warn("leader lease lost", "event", "leaderLost", "epoch", s.epochBase()+created, "error", err)
			return
		}
		lost := make(chan struct{})
		go func() {
			defer close(lost)
			if err := s.awaitRelease(ctx, created+1); err != nil && ctx.Err() == nil {
				s.log.Warn("leader key cannot be watched", "event", "leaderLost", "epoch", s.epochBase()+created, "error", err)
			}
		}()
		for {
			select {
			case _, ok := <-alive:
				if !ok {
					return
				}
			case <-lost:
				return
			}
		}
	}()
	return &Leadership{Epoch: s.epochBase() + created, Done: done}
}

// revoke gives a lease back, so that others need not wait for its end; when that fails, they do.
func (s *Store) revoke(ctx context.Context, lease clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := s.client.Revoke(ctx, lease); err != nil {
		s.log.Debug("lease not given back", "error", err)
	}
}

// leads is the comparison that holds in an epoch.
func (s *Store) leads(epoch int64) clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(leaderKey), "=", epoch-s.epochBase())
}

// Leader returns who leads, and in which epoch; "" and 0 where nobody does.
func (s *Store) Leader(ctx context.Context) (id string, epoch int64, err error) {
	resp, err := s.client.Get(ctx, leaderKey)
	if err != nil {
		return "", 0, fmt.Errorf("read the leader key: %w", err)
	}
	if kv := first(resp.Kvs); kv != nil {
		return string(kv.Value), s.epochBase() + kv.CreateRevision, nil
	}
	return "", 0, nil
}
