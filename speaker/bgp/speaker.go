package bgp

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Options configure a Speaker.
type Options struct {
	// Node is the node's name, of which router IDs are made where the node has no IPv4 address.
	Node string
	Log  *slog.Logger
	// PrefixLimit is how many prefixes of a family a neighbour may send, all of which are refused, before its session
	// is closed with Cease, Maximum Number of Prefixes Reached (RFC 4486). 0 means DefaultPrefixLimit.
	PrefixLimit int
	// DrainTime is how long neighbours are given to move traffic away before a session is closed on purpose; 0 for none.
	DrainTime time.Duration
	// Registerer receives MetalLB's metallb_bgp_… metrics; nil for none.
	Registerer prometheus.Registerer
}

// DefaultPrefixLimit is more than a neighbour has reason to send to who takes nothing, and little memory.
const DefaultPrefixLimit = 10_000

// Speaker keeps the BGP sessions of this node. It is one of the agent's announcers.
type Speaker struct {
	nodeName  string
	log       *slog.Logger
	node      node
	opener    opener
	changed   chan struct{}
	drainTime time.Duration

	// applying serializes Apply with the kernel's news.
	applying sync.Mutex
	// configs and routes are the last good content of each item: what a refused change leaves in place.
	configs map[string]sessionConfig
	routes  map[string]*route
	owners  map[netip.Prefix]string // of routes, by prefix
	round   uint64                  // of Apply
	guard   *guard                  // nil: none
	refused map[string]string       // session items by peer: why there is none
	reasons map[string]string       // why items leave with the next Apply, by id
	drained *time.Timer             // until sessions are to be in service again, whatever is configured; nil: they are

	mu       sync.Mutex
	sessions map[string]*session            // by peer
	leaving  map[string]*session            // not configured any more, and being drained
	items    []*ingotv1.Item                // last applied, BGP only
	errors   map[string]string              // items refused, with the reason
	told     map[string]*ingotv1.ItemResult // what the agent knows
	// generation changes with the set of sessions, by more than sessions count verdicts; verdicts are results as of verdictsAge.
	generation, verdictsAge uint64
	verdicts                map[string]verdict // by item
}

// New returns a speaker without sessions.
func New(o Options) *Speaker {
	s := &Speaker{
		nodeName:  o.Node,
		log:       o.Log,
		node:      newKernel(o.Log),
		opener:    &gobgp{log: o.Log, prefixLimit: cmp.Or(o.PrefixLimit, DefaultPrefixLimit)},
		drainTime: o.DrainTime,
		leaving:   make(map[string]*session),
		changed:   make(chan struct{}, 1),
		configs:   make(map[string]sessionConfig),
		routes:    make(map[string]*route),
		owners:    make(map[netip.Prefix]string),
		verdicts:  make(map[string]verdict),
		sessions:  make(map[string]*session),
		told:      make(map[string]*ingotv1.ItemResult),
	}
	if o.Registerer != nil {
		o.Registerer.MustRegister(collector{s})
	}
	return s
}

// Changed fires, coalesced, when a session or a result changed.
func (s *Speaker) Changed() <-chan struct{} { return s.changed }

func (s *Speaker) notify() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Run follows the node's links and addresses until ctx ends. Then it leaves the sessions with graceful restart up: whether
// routes outlive the process is for the neighbours to decide (RFC 4724). The routes of all others will not, so these sessions
// are drained and shut before it returns.
func (s *Speaker) Run(ctx context.Context) error {
	var group sync.WaitGroup
	group.Go(func() { s.keepCounting(ctx) })
	s.node.watch(ctx, s.refresh)
	group.Wait()
	// Not bound to ctx, which has ended: sessions end in order.
	last, enough := context.WithTimeout(context.WithoutCancel(ctx), 2*(s.drainTime+retirePatience))
	defer enough()
	s.retire(last)
	return nil
}

// refresh lets every session look at the node again.
func (s *Speaker) refresh() {
	s.applying.Lock()
	defer s.applying.Unlock()
	for _, session := range s.list() {
		if err := session.refresh(); err != nil {
			session.log.Error("cannot update paths", "op", "sendUpdate", "error", err)
		}
	}
	s.notify()
}

// list returns the sessions, ordered by peer.
func (s *Speaker) list() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*session, 0, len(s.sessions))
	for _, session := range s.sessions {
		list = append(list, session)
	}
	slices.SortFunc(list, func(a, b *session) int { return cmp.Compare(a.cfg.peer, b.cfg.peer) })
	return list
}

// Apply makes items the complete set of sessions and routes; items of other kinds are passed over. It returns when
// every session's RIB is as asked, which does not wait for any neighbour. restored says that the items come from
// saved state: neighbours with graceful restart are then told that we restarted.
func (s *Speaker) Apply(_ context.Context, items []*ingotv1.Item, restored bool) []*ingotv1.ItemResult {
	s.applying.Lock()
	defer s.applying.Unlock()
	errors := make(map[string]string)
	taken := s.take(items, errors)
	s.takeGuard(taken, errors)

	var failed sync.Mutex
	var group sync.WaitGroup
	for id, cfg := range s.configs {
		group.Go(func() {
			if err := s.converge(cfg, taken.deltas[cfg.peer], restored); err != nil {
				failed.Lock()
				errors[id] = err.Error()
				failed.Unlock()
			}
		})
	}
	group.Wait()
	s.closeOthers()

	s.mu.Lock()
	s.items, s.errors = taken.items, errors
	if !maps.Equal(s.refused, taken.refusedBefore) {
		s.generation += 1 << 32
	}
	s.mu.Unlock()
	results := s.results()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.told) != len(results) {
		clear(s.told)
	}
	for _, r := range results {
		if s.told[r.GetId()] != r {
			s.told[r.GetId()] = r
		}
	}
	return results
}

// converge opens, replaces or updates one session.
func (s *Speaker) converge(cfg sessionConfig, d *delta, restored bool) error {
	cfg.drain = cfg.drain || s.drained != nil
	s.mu.Lock()
	old := s.sessions[cfg.peer]
	s.mu.Unlock()
	if old != nil && !old.needsReset(cfg) {
		if d == nil {
			d = newDelta()
		}
		return old.apply(cfg, d, s.guard)
	}
	var before reached
	if old != nil {
		before = old.tally(cfg)
		old.close("changed")
	}
	s.makeWay(cfg)
	session, err := openSession(cfg, s.wanted(cfg.peer), s.guard, s.opener, s.node, s.nodeName, restored, s.drainTime, s.log, s.notify)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation += 1 << 32
	if err != nil {
		delete(s.sessions, cfg.peer)
		return err
	}
	session.goOn(before)
	s.sessions[cfg.peer] = session
	return nil
}

// closeOthers ends the sessions that are not configured any more.
func (s *Speaker) closeOthers() {
	configured := make(map[string]bool, len(s.configs))
	for _, cfg := range s.configs {
		configured[cfg.peer] = true
	}
	for _, session := range s.list() {
		if configured[session.cfg.peer] {
			continue
		}
		s.dismiss(session, s.whyRemoved(session.cfg.peer))
		s.mu.Lock()
		delete(s.sessions, session.cfg.peer)
		s.generation += 1 << 32
		s.mu.Unlock()
	}
}
