// Package local has BGP follow the node's own truth while the centre is away: a route of nothing but Services with
// externalTrafficPolicy Local is withdrawn while kube-proxy says, on their healthCheckNodePorts, that the node has no endpoint of
// any of them, and announced again when it has. A Service that the node had no route for when the centre was last heard cannot be
// announced, for the node does not know of it. It stands before package liveness, and shares its items.
package local

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/agent"
	"github.com/ingot-lb/ingot/speaker/boottime"
	"github.com/ingot-lb/ingot/speaker/endpoints"
)

const (
	// away is how long the centre is not heard until the node trusts itself: a round trip to a node without layer-2 addresses
	// may have begun two heartbeats ago, which are 2 s apart.
	away = 6 * time.Second
	// look is how often is looked whether it is heard.
	look = 500 * time.Millisecond

	withheld = "the centre is away, and the node has no endpoint of a Service with externalTrafficPolicy Local"
)

// Next is the announcer whose routes follow.
type Next interface {
	agent.Announcer
	Explain(reasons map[string]string)
	Refresh()
}

// health says what the node itself knows: package endpoints's Poller.
type health interface {
	Watch(ports []uint32)
	Here(port uint32) (known, here bool)
	Run(ctx context.Context)
}

// Follower is an announcer of the agent: Next, without the routes that the node has no endpoints for while the centre is away.
type Follower struct {
	Next
	log     *slog.Logger
	health  health
	changed chan struct{}
	wake    chan struct{} // the node, or the centre, knows better
	// heard is when the last round trip to the centre that is complete began, since boot.
	heard atomic.Int64
	// alone says that the node trusts itself.
	alone atomic.Bool

	mu    sync.Mutex
	items []*ingotv1.Item
	// hidden are the items that Next does not have, by id; results what it said of others since they were last reported.
	hidden  map[string]bool
	results []*ingotv1.ItemResult
}

// New returns a follower of the node's truth.
func New(next Next, log *slog.Logger) *Follower {
	f := &Follower{Next: next, log: log, changed: make(chan struct{}, 1), wake: make(chan struct{}, 1), hidden: map[string]bool{}}
	f.health = endpoints.New(log, func() { signal(f.wake) })
	f.heard.Store(int64(boottime.Now())) // a speaker that starts is given the time to find the centre
	return f
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default: // it is known already
	}
}

// Changed fires, coalesced, when something that is reported changed.
func (f *Follower) Changed() <-chan struct{} { return f.changed }

// Centre says that a round trip to the centre is complete that began at began, since boot.
func (f *Follower) Centre(began time.Duration) {
	for before := f.heard.Load(); int64(began) > before && !f.heard.CompareAndSwap(before, int64(began)); before = f.heard.Load() {
	}
	if f.alone.Load() {
		signal(f.wake)
	}
}

// Apply makes items the complete set.
func (f *Follower) Apply(ctx context.Context, items []*ingotv1.Item, restored bool) []*ingotv1.ItemResult {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items, f.results = items, nil
	return f.apply(ctx, restored)
}

// apply hands on what is not hidden, and says what became of each item. f.mu is held.
func (f *Follower) apply(ctx context.Context, restored bool) []*ingotv1.ItemResult {
	var hidden []*ingotv1.ItemResult
	shown := make([]*ingotv1.Item, 0, len(f.items))
	for _, item := range f.items {
		if f.hidden[item.GetId()] {
			hidden = append(hidden, &ingotv1.ItemResult{
				Id: item.GetId(), Digest: item.GetDigest(), Status: ingotv1.ItemResult_STATUS_PENDING, Reason: reasonFor(item.GetBgpRoute()),
			})
		} else {
			shown = append(shown, item)
		}
	}
	return append(f.Next.Apply(ctx, shown, restored), hidden...)
}

// Report adds what Next reports to r.
func (f *Follower) Report(r *ingotv1.Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.Results = append(r.Results, f.results...)
	f.results = nil
	f.Next.Report(r)
}

// Run runs Next and follows the node's endpoints until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.Next.Run(ctx) })
	g.Go(func() error { f.health.Run(ctx); return nil })
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-f.Next.Changed():
				signal(f.changed)
			}
		}
	})
	g.Go(func() error {
		ticker := time.NewTicker(look)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-ticker.C:
			case <-f.wake:
			}
			f.follow(ctx, boottime.Now())
		}
	})
	return g.Wait()
}

// follow brings what Next has in line with what the node knows at now.
func (f *Follower) follow(ctx context.Context, now time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	alone := now-time.Duration(f.heard.Load()) > away
	if !f.alone.Swap(alone) && !alone {
		return
	}
	var ports []uint32
	hidden := map[string]bool{}
	changed := false
	for _, item := range f.items {
		id := item.GetId()
		if alone {
			asked := portsOf(item.GetBgpRoute())
			ports = append(ports, asked...)
			if len(asked) > 0 && !slices.ContainsFunc(asked, f.maybe) {
				hidden[id] = true
			}
		}
		if hidden[id] != f.hidden[id] {
			changed = true
			f.log.Info("a route of Services with externalTrafficPolicy Local follows the node's own endpoints, or the centre again",
				"event", "localRoute", "prefix", item.GetBgpRoute().GetPrefix(), "announced", !hidden[id])
		}
	}
	f.health.Watch(ports)
	f.hidden = hidden
	if changed {
		f.results = f.apply(ctx, false)
		signal(f.changed)
	}
}

// maybe says whether the node may have an endpoint of the Service with that healthCheckNodePort: what is not known is no reason
// to withdraw anything.
func (f *Follower) maybe(port uint32) bool {
	known, here := f.health.Here(port)
	return !known || here
}

// reasonFor says why no peer has a hidden route; see ingotv1.ItemResult.
func reasonFor(r *ingotv1.BgpRoute) string {
	var peers []string
	for _, ad := range r.GetAdvertisements() {
		for _, peer := range ad.GetPeers() {
			peers = append(peers, "peer "+peer+": "+withheld)
		}
	}
	slices.Sort(peers)
	return strings.Join(peers, "; ")
}

// portsOf are the healthCheckNodePorts of a route's Services; none if one of them has none.
func portsOf(r *ingotv1.BgpRoute) (ports []uint32) {
	for _, service := range r.GetServices() {
		port := service.GetHealthCheckNodePort()
		if port == 0 {
			return nil
		}
		ports = append(ports, port)
	}
	return ports
}
