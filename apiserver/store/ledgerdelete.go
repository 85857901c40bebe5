package store

import (
	"context"
	"errors"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
)

// allocations is the resource of IPAllocations.
const allocations = "ipallocations"

// ledgered is what the API may write of IPAllocations: it may delete them, as an administrator or the end of the system
// namespace does. The ledger is not complete any more then, and the planner must not take what is missing for released:
// the marker goes in the same transaction, until the controller has entered again what is in use.
type ledgered struct {
	kubernetes.Interface
	store *Store
}

var _ kubernetes.Interface = (*ledgered)(nil)

// OptimisticPut fails: IPAllocations are written by claims.
func (l *ledgered) OptimisticPut(context.Context, string, []byte, int64, kubernetes.PutOptions) (kubernetes.PutResponse, error) {
	return kubernetes.PutResponse{}, errors.New("IPAllocations are written by IPAllocationClaims only")
}

// OptimisticDelete deletes an IPAllocation and the marker.
func (l *ledgered) OptimisticDelete(ctx context.Context, key string, expected int64, _ kubernetes.DeleteOptions) (kubernetes.DeleteResponse, error) {
	resp, err := l.store.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", expected)).
		Then(clientv3.OpDelete(key), clientv3.OpDelete(ledgerKey)).
		Else(clientv3.OpGet(key)).
		Commit()
	if err != nil {
		return kubernetes.DeleteResponse{}, err
	}
	l.store.saw(resp.Header.Revision)
	out := kubernetes.DeleteResponse{Succeeded: resp.Succeeded, Revision: resp.Header.Revision}
	if !resp.Succeeded {
		out.KV = first(resp.Responses[0].GetResponseRange().Kvs)
	}
	return out, nil
}
