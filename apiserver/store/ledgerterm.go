package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/ledger"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

// allocator is the value of allocatorKey: whose claims are granted.
type allocator struct {
	Term     int64     `json:"term"`
	Identity string    `json:"identity,omitempty"`
	Since    time.Time `json:"since"`
}

// established is the value of ledgerKey.
type established struct {
	At time.Time `json:"established"`
	// Term of the controller and Epoch of the leader in which the controller found nothing missing.
	Term  int64 `json:"term"`
	Epoch int64 `json:"epoch"`
}

// past is the value of a key under releasedPrefix.
type past struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	At        time.Time `json:"at"`
}

// begin begins a term: the first of this controller, or the one after its last.
func (c *claiming) begin(ctx context.Context) error {
	retry := backoff.Backoff{First: 5 * time.Millisecond, Most: 200 * time.Millisecond}
	for {
		resp, err := c.client.Get(ctx, allocatorKey)
		if err != nil {
			return fmt.Errorf("read the term: %w", err)
		}
		c.saw(resp.Header.Revision)
		now, revision, err := allocatorOf(first(resp.Kvs))
		if err != nil {
			return err
		}
		if c.spec.Term != 0 && now.Term != c.spec.Term {
			return termEnded(now, c.spec.Term)
		}
		c.status.Term = termAfter(now.Term, time.Now())
		if c.dryRun {
			return nil
		}
		value, err := json.Marshal(allocator{Term: c.status.Term, Identity: c.spec.Identity, Since: time.Now().UTC()})
		if err != nil {
			return fmt.Errorf("encode the term: %w", err)
		}
		txn, err := c.client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(allocatorKey), "=", revision)).
			Then(clientv3.OpPut(allocatorKey, string(value))).
			Commit()
		if err != nil {
			return fmt.Errorf("begin a term: %w", err)
		}
		c.saw(txn.Header.Revision)
		if txn.Succeeded {
			c.log.Info("a controller begins its term", "event", "allocatorTerm", "identity", c.spec.Identity, "term", c.status.Term, "before", now.Identity)
			return c.tellPast(ctx)
		}
		if err := retry.Wait(ctx); err != nil {
			return err
		}
	}
}

// termAfter is the number of the term that begins after one. It does not begin at 1, so that the terms of a store that was
// emptied, or restored from a backup, are none of those that controllers were granted before: one that was stopped all the
// while must not find its own.
func termAfter(last int64, now time.Time) int64 { return max(last+1, now.UnixMilli()) }

func termEnded(now allocator, asked int64) error {
	return fmt.Errorf("%w: %q works in term %d since %s, this request is of term %d", ledger.ErrTermEnded, now.Identity, now.Term,
		now.Since.Format(time.RFC3339), asked)
}

// tellPast tells the controller who had the free addresses last.
func (c *claiming) tellPast(ctx context.Context) error {
	resp, err := c.client.Get(ctx, releasedPrefix, clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("read what was released: %w", err)
	}
	for _, kv := range resp.Kvs {
		var p past
		if err := json.Unmarshal(kv.Value, &p); err != nil {
			return fmt.Errorf("key %s: %w", kv.Key, err)
		}
		c.status.Past = append(c.status.Past, metallb.PastAllocation{
			Address: string(kv.Key[len(releasedPrefix):]), Namespace: p.Namespace, Name: p.Name, Released: metav1.NewTime(p.At),
		})
	}
	return nil
}

// forget drops what is known of the past of addresses.
func (c *claiming) forget(ctx context.Context) error {
	for rest := c.spec.Forget; len(rest) > 0; {
		n := min(len(rest), maxOpsPerTxn)
		p, err := c.read(ctx, nil)
		if err != nil {
			return err
		}
		ops := make([]clientv3.Op, n)
		for i, text := range rest[:n] {
			ops[i] = clientv3.OpDelete(releasedPrefix + text)
		}
		if _, err := c.commit(ctx, p, ops); err != nil { // if the term ended, the next read says so
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// establish enters that nothing is missing, for as long as this leader leads. Without a leader nothing happens.
func (c *claiming) establish(ctx context.Context) error {
	p, err := c.read(ctx, nil)
	if err != nil {
		return err
	}
	now, epoch, err := c.established(ctx)
	if err != nil || epoch == 0 || now.Epoch == epoch {
		return err
	}
	value, err := json.Marshal(established{At: time.Now().UTC(), Term: c.status.Term, Epoch: epoch})
	if err != nil {
		return fmt.Errorf("encode that the ledger is established: %w", err)
	}
	p.compares = append(p.compares, c.leads(epoch))
	if _, err := c.commit(ctx, p, []clientv3.Op{clientv3.OpPut(ledgerKey, string(value))}); err != nil {
		return err
	}
	c.log.Info("the ledger has what the Services show", "event", "ledgerEstablished", "term", c.status.Term, "epoch", epoch)
	return nil
}

// established reads the marker, and the epoch of the leader; 0 where nobody leads.
func (c *claiming) established(ctx context.Context) (e established, epoch int64, err error) {
	resp, err := c.client.Txn(ctx).Then(clientv3.OpGet(ledgerKey), clientv3.OpGet(leaderKey)).Commit()
	if err != nil {
		return e, 0, fmt.Errorf("read whether the ledger is established: %w", err)
	}
	if kv := first(resp.Responses[0].GetResponseRange().Kvs); kv != nil {
		if err := json.Unmarshal(kv.Value, &e); err != nil {
			return e, 0, fmt.Errorf("key %s: %w", ledgerKey, err)
		}
	}
	if kv := first(resp.Responses[1].GetResponseRange().Kvs); kv != nil {
		epoch = c.epochBase() + kv.CreateRevision
	}
	return e, epoch, nil
}

// describe tells what the ledger is like, to whoever still has the term.
func (c *claiming) describe(ctx context.Context) error {
	if _, err := c.read(ctx, nil); err != nil {
		return err
	}
	e, epoch, err := c.established(ctx)
	if err != nil {
		return err
	}
	c.status.Established = epoch != 0 && e.Epoch == epoch
	resp, err := c.client.Get(ctx, allocationPrefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return fmt.Errorf("count allocations: %w", err)
	}
	c.status.Allocations = resp.Count
	return nil
}

func allocatorOf(kv *mvccpb.KeyValue) (a allocator, revision int64, err error) {
	if kv == nil {
		return a, 0, nil
	}
	if err := json.Unmarshal(kv.Value, &a); err != nil {
		return a, 0, fmt.Errorf("key %s: %w", allocatorKey, err)
	}
	return a, kv.ModRevision, nil
}
