package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Lineage returns the random id that the store got when it was first opened. A store that was emptied has
// another one, by which speakers know it.
func (s *Store) Lineage() string { return s.lineage }

// readOrWriteLineage is safe against replicas that open a new store at the same time: the first write stays.
func (s *Store) readOrWriteLineage(ctx context.Context) (string, error) {
	fresh := uuid.NewString()
	resp, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(lineageKey), "=", 0)).
		Then(clientv3.OpPut(lineageKey, fresh)).
		Else(clientv3.OpGet(lineageKey)).
		Commit()
	if err != nil {
		return "", fmt.Errorf("read the lineage: %w", err)
	}
	if resp.Succeeded {
		return fresh, nil
	}
	return string(resp.Responses[0].GetResponseRange().Kvs[0].Value), nil
}
