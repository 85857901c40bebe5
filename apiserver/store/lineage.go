package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Identity is what a store is known by.
type Identity struct {
	// Lineage is the random id that the store got when it was begun. One that was begun anew has another, by which
	// speakers know it.
	Lineage string
	// EpochBase is added to the create revision of the leader key: 0, unless the store was restored from an export. Of two
	// stores of one lineage, the one with the higher base was restored later.
	EpochBase int64
}

// Identity returns what the store is known by; the zero value while there is none.
func (s *Store) Identity() Identity {
	if i := s.identity.Load(); i != nil {
		return *i
	}
	return Identity{}
}

// Lineage returns Identity's.
func (s *Store) Lineage() string { return s.Identity().Lineage }

// epochBase returns Identity's.
func (s *Store) epochBase() int64 { return s.Identity().EpochBase }

// Look says whether there is a store in etcd, and then knows its identity.
func (s *Store) Look(ctx context.Context) (bool, error) {
	resp, err := s.client.Txn(ctx).Then(clientv3.OpGet(lineageKey), clientv3.OpGet(epochBaseKey)).Commit()
	if err != nil {
		return false, fmt.Errorf("look for a store: %w", err)
	}
	lineage, base := first(resp.Responses[0].GetResponseRange().Kvs), first(resp.Responses[1].GetResponseRange().Kvs)
	if lineage == nil {
		return false, nil
	}
	i := Identity{Lineage: string(lineage.Value)}
	if base != nil {
		if i.EpochBase, err = strconv.ParseInt(string(base.Value), 10, 64); err != nil {
			return false, fmt.Errorf("key %s: %w", epochBaseKey, err)
		}
	}
	s.identity.Store(&i)
	return true, nil
}

// Begin begins a store with a lineage of its own, unless there is one. It is safe against replicas that do so at the
// same time.
func (s *Store) Begin(ctx context.Context) error {
	if err := s.clearUnfinished(ctx); err != nil {
		return err
	}
	resp, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(lineageKey), "=", 0), clientv3.Compare(clientv3.CreateRevision(fillingKey), "=", 0)).
		Then(clientv3.OpPut(lineageKey, uuid.NewString())).
		Else(clientv3.OpGet(lineageKey)).
		Commit()
	if err != nil {
		return fmt.Errorf("begin a store: %w", err)
	}
	if !resp.Succeeded && len(resp.Responses[0].GetResponseRange().Kvs) == 0 {
		return fmt.Errorf("begin a store: %w", ErrFilling)
	}
	if err := s.createGuard(ctx); err != nil {
		return err
	}
	if found, err := s.Look(ctx); err != nil || !found {
		return errors.Join(err, errors.New("the lineage that was just written is gone"))
	}
	return nil
}

// DigestKey returns 32 random bytes that are the store's own: the same on every replica and after every restart.
func (s *Store) DigestKey(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	fresh := make([]byte, 32)
	if _, err := rand.Read(fresh); err != nil {
		return nil, fmt.Errorf("make a key for digests: %w", err)
	}
	key, err := s.readOrWrite(ctx, digestKey, string(fresh))
	return []byte(key), err
}

// readOrWrite is safe against replicas that open a new store at the same time: the first write stays.
func (s *Store) readOrWrite(ctx context.Context, key, fresh string) (string, error) {
	resp, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, fresh)).
		Else(clientv3.OpGet(key)).
		Commit()
	if err != nil {
		return "", fmt.Errorf("read %s: %w", key, err)
	}
	if resp.Succeeded {
		return fresh, nil
	}
	return string(resp.Responses[0].GetResponseRange().Kvs[0].Value), nil
}
