package store

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/google/uuid"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Lineage returns the random id that the store got when it was first opened. A store that was emptied has
// another one, by which speakers know it.
func (s *Store) Lineage() string { return s.lineage }

func (s *Store) readOrWriteLineage(ctx context.Context) (string, error) {
	return s.readOrWrite(ctx, lineageKey, uuid.NewString())
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
