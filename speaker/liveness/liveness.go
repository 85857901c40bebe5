// Package liveness watches the neighbours of BGP sessions by BFD (RFC 5882): it stands before package bgp and shares its
// items, opens a session of package bfd for each BGP session that asks for one, and tells BGP when a path has failed.
//
// BFD runs beside BGP, not within: a BFD session lasts for as long as it is configured, whether or not there is a BGP
// session. BFD that never came up keeps nothing from coming up, as with FRR without its strict mode; Up to Down ends an
// established BGP session at once, unless either side took BFD down on purpose (AdminDown, RFC 5882 section 3.2). The engine
// ends with this process, so that the C bit (RFC 5880 section 4.1) is never set: a speaker that restarts says AdminDown
// before (RFC 5882 section 4.3).
package liveness

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/speaker/bfd/shared"
	"github.com/ingot-lb/ingot/speaker/links"
)

// BGP is what is watched: package bgp's Speaker.
type BGP interface {
	Apply(ctx context.Context, items []*ingotv1.Item, restored bool) []*ingotv1.ItemResult
	Changed() <-chan struct{}
	Report(*ingotv1.Report)
	Run(context.Context) error
	// States says how each session fares.
	States() []*ingotv1.SessionReport
	// PathDown ends the session with a peer, and says whether there was something to end.
	PathDown(peer, why string) bool
	// PathUp has the session with a peer tried soon.
	PathUp(peer string)
	// HangUp ends the connections of sessions with graceful restart, so that neighbours keep their routes.
	HangUp()
	// Explain gives the reasons for which items leave with the next Apply, by id.
	Explain(reasons map[string]string)
	// Refresh brings counters up to date, for somebody who looks.
	Refresh()
	// Leaving says whether the session with a peer is not configured any more, and goes on for a while.
	Leaving(peer string) bool
}

// Options configure a Watcher.
type Options struct {
	BGP BGP
	// Engine has the BFD sessions. The watcher does not close it.
	Engine *shared.Engine
	Log    *slog.Logger
	// Registerer receives MetalLB's metallb_bfd_… metrics; nil for none.
	Registerer prometheus.Registerer
}

const (
	// settle is how long the kernel's changes are collected before they are looked at.
	settle = 100 * time.Millisecond
	// farewell is how long neighbours may take, when the speaker ends, to show that they heard of it.
	farewell = time.Second
)

// Watcher is a BGP announcer of the agent whose neighbours are watched.
type Watcher struct {
	bgp     BGP
	log     *slog.Logger
	engine  engine
	find    func(*ingotv1.BgpSession, *ingotv1.SessionReport) (bfd.Key, error)
	changed chan struct{}

	// applying serializes what opens and closes sessions.
	applying sync.Mutex
	// wanted are the sessions to watch, by item.
	wanted map[string]*ingotv1.BgpSession
	ended  bool

	mu sync.Mutex
	// byPeer are those that are watched, or are to be and cannot be yet.
	byPeer map[string]*watch
}

// New returns a watcher of nothing.
func New(o Options) *Watcher {
	w := newWatcher(o, opener{o.Engine})
	w.find = (&kernel{}).find
	return w
}

func newWatcher(o Options, e engine) *Watcher {
	w := &Watcher{
		bgp: o.BGP, log: o.Log, engine: e, changed: make(chan struct{}, 1),
		wanted: map[string]*ingotv1.BgpSession{}, byPeer: map[string]*watch{},
	}
	if o.Registerer != nil {
		o.Registerer.MustRegister(collector{w})
	}
	return w
}

// Apply has BGP make the items true, and watches the neighbours of the sessions among them.
func (w *Watcher) Apply(ctx context.Context, items []*ingotv1.Item, restored bool) []*ingotv1.ItemResult {
	results := w.bgp.Apply(ctx, items, restored)
	rejected := map[string]bool{}
	for _, r := range results {
		rejected[r.GetId()] = r.GetStatus() == ingotv1.ItemResult_STATUS_REJECTED
	}
	w.applying.Lock()
	defer w.applying.Unlock()
	wanted := map[string]*ingotv1.BgpSession{}
	for _, item := range items {
		session := item.GetBgpSession()
		if session != nil && rejected[item.GetId()] {
			session = w.wanted[item.GetId()] // as BGP goes on with what it had
		}
		if session.GetBfd() != nil {
			wanted[item.GetId()] = session
		}
	}
	w.wanted = wanted
	w.converge()
	return results
}

// Explain tells BGP why items leave with the next Apply.
func (w *Watcher) Explain(reasons map[string]string) { w.bgp.Explain(reasons) }

// Refresh has BGP bring its counters up to date.
func (w *Watcher) Refresh() { w.bgp.Refresh() }

// Changed fires, coalesced, when something that is reported changed.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

func (w *Watcher) notify() {
	select {
	case w.changed <- struct{}{}:
	default: // it is known already
	}
}

// Report adds the BGP sessions and those that watch them to r.
func (w *Watcher) Report(r *ingotv1.Report) {
	w.bgp.Report(r)
	for _, x := range w.list() {
		r.Bfd = append(r.Bfd, x.report())
	}
}

// list returns the watches, ordered by peer.
func (w *Watcher) list() []*watch {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.SortedFunc(maps.Values(w.byPeer), func(a, b *watch) int { return cmp.Compare(a.peer, b.peer) })
}

// Run runs BGP, and follows the node's links and addresses, until ctx ends. Then neighbours are told that BFD ends on
// purpose. That is no reason to end BGP (RFC 5882 section 3.2), but not all know: those that help a graceful restart see
// the connection end before.
func (w *Watcher) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.bgp.Run(ctx) })
	g.Go(func() error {
		links.Watch(ctx, w.log, settle, w.look)
		return nil
	})
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-w.bgp.Changed():
				w.look()
				w.notify()
			}
		}
	})
	err := g.Wait()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	w.bgp.HangUp()
	w.AdminDown(stop)
	return err
}

// AdminDown tells every neighbour that BFD ends on purpose (RFC 5880 section 6.8.16), and waits until they have shown that
// they know, or ctx ends. Nothing is watched from then on.
func (w *Watcher) AdminDown(ctx context.Context) {
	w.applying.Lock()
	defer w.applying.Unlock()
	w.ended = true
	var said []<-chan struct{}
	for _, x := range w.list() {
		if s := x.end(); s != nil {
			said = append(said, s)
		}
	}
	for _, s := range said {
		select {
		case <-s:
		case <-ctx.Done():
			w.log.Warn("not every neighbour has shown that it knows that BFD ends", "op", "adminDown")
			return
		}
	}
}

// look sees to it that sessions run between the addresses that the node has now.
func (w *Watcher) look() {
	w.applying.Lock()
	defer w.applying.Unlock()
	if len(w.wanted) > 0 || len(w.list()) > 0 {
		w.converge()
	}
}

// converge opens, changes and closes sessions as wanted. w.applying is held.
func (w *Watcher) converge() {
	if w.ended {
		return
	}
	states := map[string]*ingotv1.SessionReport{}
	for _, s := range w.bgp.States() {
		states[s.GetPeer()] = s
	}
	wanted := map[string]bool{}
	for _, s := range w.wanted {
		wanted[s.GetPeer()] = true
	}
	for _, x := range w.list() {
		// A session that leaves is watched to its end: there are neighbours that take the end of BFD for a failure.
		if wanted[x.peer] || w.bgp.Leaving(x.peer) {
			continue
		}
		x.close("removedFromConfig")
		w.mu.Lock()
		delete(w.byPeer, x.peer)
		w.mu.Unlock()
		w.notify()
	}
	for _, s := range slices.SortedFunc(maps.Values(w.wanted), func(a, b *ingotv1.BgpSession) int { return cmp.Compare(a.GetPeer(), b.GetPeer()) }) {
		w.mu.Lock()
		x := w.byPeer[s.GetPeer()]
		if x == nil {
			x = newWatch(w, s)
			w.byPeer[x.peer] = x
		}
		w.mu.Unlock()
		key, err := w.find(s, states[s.GetPeer()])
		x.apply(s, key, err)
	}
}
