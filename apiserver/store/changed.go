package store

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

// Changed returns a channel that receives once at the start and whenever the configuration may have changed since
// the last receive; several changes may give one signal, and an interruption of etcd gives one too. After a
// signal, Snapshot returns at least what caused it. The channel is closed when ctx ends.
func (s *Store) Changed(ctx context.Context) <-chan struct{} {
	return s.notify(ctx, guardKey)
}

// notify signals changes of one key, or of several, as opts say.
func (s *Store) notify(ctx context.Context, key string, opts ...clientv3.OpOption) <-chan struct{} {
	signals := make(chan struct{}, 1)
	signal := func() {
		select {
		case signals <- struct{}{}:
		default: // one is waiting already
		}
	}
	go func() {
		defer close(signals)
		retry := backoff.Backoff{First: 50 * time.Millisecond, Most: 2 * time.Second}
		for {
			began := time.Now()
			err := s.watchOnce(ctx, key, signal, opts)
			if ctx.Err() != nil {
				return
			}
			if time.Since(began) > time.Minute {
				retry.Reset()
			}
			s.log.Debug("watch ended", "key", key, "error", err)
			if retry.Wait(ctx) != nil {
				return
			}
		}
	}()
	return signals
}

// watchOnce signals when the watch is established, which covers what it may have missed, and at each change.
func (s *Store) watchOnce(ctx context.Context, key string, signal func(), opts []clientv3.OpOption) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for resp := range s.client.Watch(ctx, key, append(opts, clientv3.WithCreatedNotify())...) {
		if err := resp.Err(); err != nil {
			return err
		}
		signal()
	}
	return ctx.Err()
}
