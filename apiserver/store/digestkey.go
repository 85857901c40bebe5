package store

import (
	"context"
	"crypto/rand"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// digestKeyKey holds the key by which digests of orders to speakers are made.
const digestKeyKey = "/ingot/digest-key"

// DigestKey returns 32 random bytes, made when the store was first asked for them. Digests are shown to anyone who may
// look at a speaker, and cover session passwords: only with a key that is not shown they give nothing away. Another
// one makes every item look changed, so all replicas of a store share it.
func (s *Store) DigestKey(ctx context.Context) ([]byte, error) {
	fresh := make([]byte, 32)
	if _, err := rand.Read(fresh); err != nil {
		return nil, fmt.Errorf("make a digest key: %w", err)
	}
	resp, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(digestKeyKey), "=", 0)).
		Then(clientv3.OpPut(digestKeyKey, string(fresh))).
		Else(clientv3.OpGet(digestKeyKey)).
		Commit()
	if err != nil {
		return nil, fmt.Errorf("read the digest key: %w", err)
	}
	if resp.Succeeded {
		return fresh, nil
	}
	return resp.Responses[0].GetResponseRange().Kvs[0].Value, nil
}
