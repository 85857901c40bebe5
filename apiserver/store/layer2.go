package store

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Decision says who answers for a layer-2 address.
type Decision struct {
	// Owner is the name of a Node.
	Owner string `json:"owner"`
	// Term grows with every change of owner.
	Term uint64 `json:"term"`
	// SinceMs is when it was decided, in Unix milliseconds; 0 where an older version decided.
	SinceMs int64 `json:"sinceMs,omitempty"`
	// Reason is why the address came to this owner, in words; empty for a first one.
	Reason string `json:"reason,omitempty"`
}

// LoadDecisions returns the stored decisions.
func (s *Store) LoadDecisions(ctx context.Context) (map[netip.Addr]Decision, error) {
	resp, err := s.client.Get(ctx, layer2Prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, fmt.Errorf("read layer-2 decisions: %w", err)
	}
	all := make(map[netip.Addr]Decision, len(resp.Kvs))
	for _, kv := range resp.Kvs {
		addr, err := netip.ParseAddr(strings.TrimPrefix(string(kv.Key), layer2Prefix))
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", kv.Key, err)
		}
		var d Decision
		if err := json.Unmarshal(kv.Value, &d); err != nil {
			return nil, fmt.Errorf("key %s: %w", kv.Key, err)
		}
		all[addr] = d
	}
	return all, nil
}

// maxOpsPerTxn stays below etcd's limit of 128.
const maxOpsPerTxn = 100

// SaveDecisions writes and deletes decisions in the name of the leader of the given epoch. It returns an error
// that wraps ErrNotLeader, and writes nothing more, when that epoch has ended. More than a hundred changes are
// written in several transactions, each compared.
func (s *Store) SaveDecisions(ctx context.Context, epoch int64, put map[netip.Addr]Decision, drop []netip.Addr) error {
	ops := make([]clientv3.Op, 0, len(put)+len(drop))
	for _, addr := range drop {
		ops = append(ops, clientv3.OpDelete(layer2Prefix+addr.String()))
	}
	for addr, d := range put {
		value, err := json.Marshal(d)
		if err != nil {
			return fmt.Errorf("encode the decision for %s: %w", addr, err)
		}
		ops = append(ops, clientv3.OpPut(layer2Prefix+addr.String(), string(value)))
	}
	for len(ops) > 0 {
		n := min(len(ops), maxOpsPerTxn)
		resp, err := s.client.Txn(ctx).
			If(s.leads(epoch)).
			Then(ops[:n]...).
			Commit()
		if err != nil {
			return fmt.Errorf("write layer-2 decisions: %w", err)
		}
		if !resp.Succeeded {
			return fmt.Errorf("write layer-2 decisions in epoch %d: %w", epoch, ErrNotLeader)
		}
		ops = ops[n:]
	}
	return nil
}
