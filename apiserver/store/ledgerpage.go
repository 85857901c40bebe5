package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/ledger"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

// chunk answers claims that go into one transaction.
func (c *claiming) chunk(ctx context.Context, claims []metallb.ServiceClaim) ([]metallb.ServiceClaimResult, error) {
	retry := backoff.Backoff{First: 2 * time.Millisecond, Most: 50 * time.Millisecond}
	for attempt := range ledgerTries {
		if attempt > 0 {
			if err := retry.Wait(ctx); err != nil {
				return nil, err
			}
		}
		p, err := c.read(ctx, claims)
		if err != nil {
			return nil, err
		}
		results, ops, err := c.judge(p, claims)
		if err != nil || len(ops) == 0 || c.dryRun {
			return results, err
		}
		size := sizeOf(ops)
		if size > bytesPerTxn && len(claims) > 1 {
			return c.halves(ctx, claims)
		}
		done, err := c.commit(ctx, p, ops)
		if err != nil && len(claims) == 1 && (errors.Is(err, rpctypes.ErrRequestTooLarge) || size > sendLimit) {
			return []metallb.ServiceClaimResult{{
				Result: metallb.ClaimRetry, Message: fmt.Sprintf("the Service's ports and keys are too long for the ledger: %d bytes", size),
			}}, nil
		}
		if err != nil {
			return nil, err
		}
		if done {
			return results, nil
		}
	}
	results := make([]metallb.ServiceClaimResult, len(claims))
	for i := range results {
		results[i] = metallb.ServiceClaimResult{Result: metallb.ClaimRetry, Message: "others wrote at the same moment"}
	}
	return results, nil
}

// halves answers claims in two transactions, or more.
func (c *claiming) halves(ctx context.Context, claims []metallb.ServiceClaim) ([]metallb.ServiceClaimResult, error) {
	half := len(claims) / 2
	first, err := c.chunk(ctx, claims[:half])
	if err != nil {
		return nil, err
	}
	rest, err := c.chunk(ctx, claims[half:])
	if err != nil {
		return nil, err
	}
	return append(first, rest...), nil
}

// sendLimit is the most that etcd's client sends in one request.
const sendLimit = 2 << 20

func sizeOf(ops []clientv3.Op) (n int) {
	for i := range ops {
		n += len(ops[i].KeyBytes()) + len(ops[i].ValueBytes())
	}
	return n
}

// page is the part of the ledger that some claims are about, as it was at one moment.
type page struct {
	view      *view
	entries   ledger.Entries
	revisions map[netip.Addr]int64
	compares  []clientv3.Cmp
}

// read reads all that decides about claims. It fails where the term has ended.
func (c *claiming) read(ctx context.Context, claims []metallb.ServiceClaim) (*page, error) {
	p := &page{entries: ledger.Entries{}, revisions: map[netip.Addr]int64{}}
	ops := []clientv3.Op{clientv3.OpGet(allocatorKey), clientv3.OpGet(guardKey)}
	var addrs []netip.Addr
	for i := range claims {
		for _, a := range ledger.Addresses(&claims[i]) {
			if _, known := p.revisions[a]; !known {
				p.revisions[a] = 0
				addrs = append(addrs, a)
				ops = append(ops, clientv3.OpGet(c.key(a)))
			}
		}
	}
	resp, err := c.client.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	c.saw(resp.Header.Revision)
	now, revision, err := allocatorOf(first(resp.Responses[0].GetResponseRange().Kvs))
	if err != nil {
		return nil, err
	}
	if now.Term != c.status.Term && !c.dryRun {
		return nil, termEnded(now, c.status.Term)
	}
	p.compares = append(p.compares, clientv3.Compare(clientv3.ModRevision(allocatorKey), "=", revision))
	for i, a := range addrs {
		kv := first(resp.Responses[i+2].GetResponseRange().Kvs)
		if kv == nil {
			p.entries[a] = nil
			continue
		}
		entry, err := c.allocation(kv)
		if err != nil {
			return nil, err
		}
		p.entries[a], p.revisions[a] = entry, kv.ModRevision
	}
	guard, err := guardOf(resp.Responses[1].GetResponseRange().Kvs)
	if err != nil {
		return nil, err
	}
	if p.view = c.cachedView(); p.view.guard != guard {
		p.view, err = c.currentView(ctx) // newer than the rest, if anything, and compared when it counts
	}
	return p, err
}

// judge enters the claims that are granted, and says what that writes.
func (c *claiming) judge(p *page, claims []metallb.ServiceClaim) ([]metallb.ServiceClaimResult, []clientv3.Op, error) {
	before := maps.Clone(p.entries)
	released := map[netip.Addr]past{}
	results := make([]metallb.ServiceClaimResult, len(claims))
	law := newLaw(p.view.config)
	now := time.Now().UTC()
	checked := false
	for i := range claims {
		claim := &claims[i]
		held := slices.DeleteFunc(ledger.Addresses(claim), func(a netip.Addr) bool {
			return !ledger.Holds(p.entries[a], claim.Namespace, claim.Name)
		})
		var byLaw bool
		results[i], byLaw = p.entries.Apply(claim, law.judge, now)
		checked = checked || byLaw
		if results[i].Result != metallb.ClaimGranted {
			continue
		}
		for _, a := range held {
			if p.entries[a] == nil {
				released[a] = past{claim.Namespace, claim.Name, now}
			}
		}
	}
	var ops []clientv3.Op
	for a, after := range p.entries {
		if after == before[a] {
			continue
		}
		p.compares = append(p.compares, clientv3.Compare(clientv3.ModRevision(c.key(a)), "=", p.revisions[a]))
		write, err := c.write(a, before[a], after, released[a])
		if err != nil {
			return nil, nil, err
		}
		ops = append(ops, write...)
	}
	if checked {
		p.compares = append(p.compares, p.view.guard.unmoved()...)
	}
	return results, ops, nil
}

// write makes after of the allocation of an address. It is the same object for as long as there is one.
func (c *claiming) write(a netip.Addr, before, after *metallb.IPAllocation, by past) ([]clientv3.Op, error) {
	if after == nil {
		value, err := json.Marshal(by)
		if err != nil {
			return nil, fmt.Errorf("encode who released %s: %w", a, err)
		}
		return []clientv3.Op{clientv3.OpDelete(c.key(a)), clientv3.OpPut(releasedPrefix+a.String(), string(value))}, nil
	}
	after = after.DeepCopy()
	after.Namespace, after.ResourceVersion = c.namespace, ""
	after.UID, after.CreationTimestamp, after.Generation = uuid.NewUUID(), after.Spec.Since, 1
	if before != nil {
		after.UID, after.CreationTimestamp, after.Generation = before.UID, before.CreationTimestamp, before.Generation+1
	}
	value, err := runtime.Encode(c.codec, after)
	if err != nil {
		return nil, fmt.Errorf("encode the allocation of %s: %w", a, err)
	}
	return []clientv3.Op{clientv3.OpPut(c.key(a), string(value)), clientv3.OpDelete(releasedPrefix + a.String())}, nil
}

// commit writes if all is as it was read.
func (c *claiming) commit(ctx context.Context, p *page, ops []clientv3.Op) (bool, error) {
	resp, err := c.client.Txn(ctx).If(p.compares...).Then(ops...).Commit()
	if err != nil {
		return false, fmt.Errorf("write the ledger: %w", err)
	}
	c.saw(resp.Header.Revision)
	return resp.Succeeded, nil
}

// key is that of the IPAllocation of an address.
func (c *claiming) key(a netip.Addr) string {
	return allocationPrefix + c.namespace + "/" + ledger.Name(a)
}

func (s *Store) allocation(kv *mvccpb.KeyValue) (*metallb.IPAllocation, error) {
	obj, err := s.decode(string(kv.Key), kv.Value)
	if err != nil {
		return nil, err
	}
	a, ok := obj.(*metallb.IPAllocation)
	if !ok {
		return nil, fmt.Errorf("key %s holds a %T", kv.Key, obj)
	}
	return a, nil
}
