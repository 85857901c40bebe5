package store

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Endpoint is where the embedded etcd of s listens.
func Endpoint(s *Store) string { return s.embedded.endpoint }

// Client is the etcd client of s.
func Client(s *Store) *clientv3.Client { return s.client }

// DropGuardComparisons leaves the guarded write of s as it is, but for one thing: its transactions do not compare the
// guard.
func DropGuardComparisons(s *Store) { s.client.KV = careless{s.client.KV} }

// WithoutGuard makes s write as Kubernetes does: one object in one transaction that compares that object alone.
func WithoutGuard(s *Store) {
	s.writes = func(plain kubernetes.Interface, _ schema.GroupKind) kubernetes.Interface { return plain }
}

type careless struct{ clientv3.KV }

func (c careless) Txn(ctx context.Context) clientv3.Txn { return carelessTxn{c.KV.Txn(ctx)} }

type carelessTxn struct{ clientv3.Txn }

func (t carelessTxn) If(compares ...clientv3.Cmp) clientv3.Txn {
	var kept []clientv3.Cmp
	for _, c := range compares {
		if string(c.KeyBytes()) != guardKey {
			kept = append(kept, c)
		}
	}
	return t.Txn.If(kept...)
}
