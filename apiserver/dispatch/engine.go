package dispatch

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/plan"
	"github.com/ingot-lb/ingot/apiserver/segment"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

const (
	// quiet is how long nothing must change before a burst is planned; burst is how long it is waited for at most.
	quiet = 10 * time.Millisecond
	burst = 100 * time.Millisecond
	// storeTimeout bounds one request to the store.
	storeTimeout = 5 * time.Second
)

// engine plans, whenever something changed. One goroutine, run, owns all below mu's fields.
type engine struct {
	hub         *Hub
	key         []byte
	class       classes
	ignoreLabel bool
	kicked      chan struct{}
	urged       chan struct{}
	removed     *removals

	mu       sync.Mutex
	config   *metallb.Configuration // nil until it was read
	revision int64
	adoption *Adoption // nil until it was read

	gate      gate
	decisions map[netip.Addr]plan.Decision // as stored, in the epoch loaded
	loaded    uint64
	// last are the plans last made into orders, by lane; said is the output last logged.
	last map[ingotv1.Lane]map[string]*plan.NodePlan
	said *plan.Output
	// inForce is the configuration that the last plan was made from.
	inForce linger
	memory  segment.Memory
	faults  faultLog
	book    book
	retry   backoff.Backoff
	closed  string // why nothing is sent, as last logged
}

func newEngine(h *Hub, o Options) *engine {
	return &engine{hub: h, book: newBook(h), key: o.DigestKey, class: classes{o.LoadBalancerClass, o.ClassOfMetalLB}, ignoreLabel: o.IgnoreExcludeLabel, kicked: make(chan struct{}, 1), urged: make(chan struct{}, 1), removed: newRemovals(), retry: retries(),
		last: map[ingotv1.Lane]map[string]*plan.NodePlan{}}
}

// kick says that something changed.
func (e *engine) kick() {
	select {
	case e.kicked <- struct{}{}:
	default: // it is known already
	}
}

// urge says that something changed that addresses wait for: it is planned without waiting for more.
func (e *engine) urge() {
	select {
	case e.urged <- struct{}{}:
	default: // it is known already
	}
}

func (e *engine) setConfiguration(config *metallb.Configuration, revision int64) {
	e.mu.Lock()
	e.config, e.revision = config, revision
	e.mu.Unlock()
	e.kick()
}

// hasPeer says whether a BGPPeer of that name is configured.
func (e *engine) hasPeer(name string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.config != nil && slices.ContainsFunc(e.config.BGPPeers, func(p *metallb.BGPPeer) bool { return p.Name == name })
}

// setAdoption takes an adoption, unless it is older than what is known.
func (e *engine) setAdoption(adoption Adoption) {
	e.mu.Lock()
	if e.adoption == nil || adoption.TimeMs > e.adoption.TimeMs {
		e.adoption = &adoption
	}
	e.mu.Unlock()
	e.kick()
}

// configured says whether the configuration and the adoption have been read.
func (e *engine) configured() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.config != nil && e.adoption != nil
}

// run plans until ctx ends.
func (e *engine) run(ctx context.Context) {
	again := time.NewTimer(0)
	defer again.Stop()
	watch := time.NewTicker(stall / 2)
	defer watch.Stop()
	e.gate.ticked = time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-watch.C:
			if !e.gate.tick(now) {
				continue
			}
		case <-again.C:
		case <-e.urged:
		case <-e.kicked:
			e.settle(ctx)
		}
		next := e.step(ctx)
		if next.IsZero() {
			again.Stop()
		} else {
			again.Reset(max(time.Until(next), time.Millisecond))
		}
	}
}

// settle waits for a burst of changes to end.
func (e *engine) settle(ctx context.Context) {
	end := time.NewTimer(burst)
	defer end.Stop()
	for {
		select {
		case <-e.kicked:
		case <-e.urged:
			return
		case <-time.After(quiet):
			return
		case <-end.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
