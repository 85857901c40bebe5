package store

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ingot-lb/ingot/apiserver/ledger"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

// Ledger is who holds which address. It is shared and is not changed.
type Ledger struct {
	// Epoch is the leader's epoch in which the controller found nothing missing; 0 if it has not, or something was
	// deleted since by another hand.
	Epoch    int64
	Holdings map[netip.Addr]ledger.Holding
}

// heardLedger is what was heard of the ledger.
type heardLedger struct {
	mu      sync.Mutex
	read    bool
	epoch   int64
	entries map[netip.Addr]heardEntry
	shown   *Ledger // what Ledger returned last; nil when something came after
}

type heardEntry struct {
	revision int64
	holding  ledger.Holding
}

// Ledger returns the ledger as it was last heard of, and whether it was. LedgerChanged has to be under way.
func (s *Store) Ledger() (Ledger, bool) {
	h := &s.heard
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.read {
		return Ledger{}, false
	}
	if h.shown == nil {
		h.shown = &Ledger{Epoch: h.epoch, Holdings: make(map[netip.Addr]ledger.Holding, len(h.entries))}
		for a, e := range h.entries {
			h.shown.Holdings[a] = e.holding
		}
	}
	return *h.shown, true
}

// LedgerChanged follows the ledger until ctx ends, and signals as Changed does.
func (s *Store) LedgerChanged(ctx context.Context) <-chan struct{} {
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
			err := s.followLedger(ctx, signal)
			if ctx.Err() != nil {
				return
			}
			if time.Since(began) > time.Minute {
				retry.Reset()
			}
			s.log.Debug("watch of the ledger ended", "error", err)
			if retry.Wait(ctx) != nil {
				return
			}
		}
	}()
	return signals
}

// followLedger reads the ledger and follows it from there, until something fails.
func (s *Store) followLedger(ctx context.Context, signal func()) error {
	limited, done := context.WithTimeout(ctx, requestTimeout)
	resp, err := s.client.Get(limited, ledgerKey, clientv3.WithPrefix())
	done()
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	fresh := heardLedger{entries: make(map[netip.Addr]heardEntry, len(resp.Kvs))}
	for _, kv := range resp.Kvs {
		if err := s.hear(&fresh, kv, false); err != nil {
			return err
		}
	}
	s.heard.mu.Lock()
	s.heard.read, s.heard.epoch, s.heard.entries, s.heard.shown = true, fresh.epoch, fresh.entries, nil
	s.heard.mu.Unlock()
	signal()

	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for resp := range s.client.Watch(ctx, ledgerKey, clientv3.WithPrefix(), clientv3.WithRev(resp.Header.Revision+1)) {
		if err := resp.Err(); err != nil {
			return err
		}
		s.heard.mu.Lock()
		for _, ev := range resp.Events {
			if err = s.hear(&s.heard, ev.Kv, ev.Type == clientv3.EventTypeDelete); err != nil {
				break
			}
		}
		s.heard.mu.Unlock()
		if err != nil {
			return err
		}
		signal()
	}
	return ctx.Err()
}

// hear takes in a key of the ledger. The caller holds mu.
func (s *Store) hear(h *heardLedger, kv *mvccpb.KeyValue, deleted bool) error {
	h.shown = nil
	name, isAllocation := strings.CutPrefix(string(kv.Key), allocationPrefix)
	if !isAllocation {
		var e established
		if string(kv.Key) == ledgerKey && !deleted {
			if err := json.Unmarshal(kv.Value, &e); err != nil {
				return fmt.Errorf("key %s: %w", kv.Key, err)
			}
		}
		h.epoch = e.Epoch
		return nil
	}
	a, ok := ledger.Address(name[strings.LastIndexByte(name, '/')+1:])
	switch {
	case !ok:
		return fmt.Errorf("key %s is of no address", kv.Key)
	case h.entries[a].revision > kv.ModRevision: // it was asked for meanwhile
		return nil
	case deleted:
		delete(h.entries, a)
		return nil
	}
	allocation, err := s.allocation(kv)
	if err != nil {
		return err
	}
	h.entries[a] = heardEntry{kv.ModRevision, ledger.HoldingOf(allocation)}
	return nil
}

// AskLedger reads from etcd who holds some addresses, for those who cannot wait until it is heard. After that, Ledger
// has it.
func (s *Store) AskLedger(ctx context.Context, namespace string, addrs []netip.Addr) error {
	for len(addrs) > 0 {
		n := min(len(addrs), maxOpsPerTxn)
		ops := make([]clientv3.Op, n)
		for i, a := range addrs[:n] {
			ops[i] = clientv3.OpGet(allocationPrefix + namespace + "/" + ledger.Name(a))
		}
		resp, err := s.client.Txn(ctx).Then(ops...).Commit()
		if err != nil {
			return fmt.Errorf("read the ledger: %w", err)
		}
		s.saw(resp.Header.Revision)
		s.heard.mu.Lock()
		for _, r := range resp.Responses {
			if kv := first(r.GetResponseRange().Kvs); kv != nil && err == nil && s.heard.read {
				err = s.hear(&s.heard, kv, false)
			}
		}
		s.heard.mu.Unlock()
		if err != nil {
			return err
		}
		addrs = addrs[n:]
	}
	return nil
}
