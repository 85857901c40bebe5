package l2

import (
	"container/heap"
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/bfd/shared"
	"github.com/ingot-lb/ingot/speaker/boottime"
	"github.com/ingot-lb/ingot/speaker/endpoints"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
	"github.com/ingot-lb/ingot/speaker/l2/port"
	"github.com/ingot-lb/ingot/speaker/links"
	"github.com/ingot-lb/ingot/speaker/segment"
)

// settle is how long the kernel's changes are collected before links are looked at; those of routes may be many.
const (
	settle       = 20 * time.Millisecond
	settleRoutes = 500 * time.Millisecond
)

// Options configure a Speaker.
type Options struct {
	Log *slog.Logger
	// Node is the name of the node, as in the orders.
	Node string
	// Exclude are expressions for names of interfaces that are left alone; they match anywhere in the name.
	Exclude []*regexp.Regexp
	// Engine has the BFD sessions with other nodes. The speaker does not close it.
	Engine *shared.Engine
	// Registerer receives MetalLB's metallb_layer2_… metrics; nil for none.
	Registerer prometheus.Registerer
}

// Speaker answers for the layer-2 addresses that this node owns. It is one of the agent's announcers.
type Speaker struct {
	log     *slog.Logger
	node    string
	exclude []*regexp.Regexp
	metrics *metrics
	askers  askers
	// segments listens to who is on the links.
	segments *segment.Watcher
	budget   *budget
	// unanswered is how often it is logged that an answer cannot be sent: others decide how many are to be.
	unanswered rate.Sometimes
	health     *endpoints.Poller
	changed    chan struct{}
	urgent     chan struct{}
	stir       chan struct{} // what is heard changed
	thaw       chan struct{} // the process stood still
	wake       chan struct{} // the schedule's head changed
	relink     chan struct{} // links changed, or a port broke

	// centre is when the last round trip to the centre that is complete began, since boot.
	centre atomic.Int64
	// missed says that claims were told that the centre is not heard.
	missed atomic.Bool
	life   life

	// applying serializes what changes mu's fields; it is taken first.
	applying sync.Mutex
	joined   map[membership]*port.Port
	judged   map[string]judgement // by link

	// mu is held for reading while an answer is decided and sent, so that none leaves after Apply withdrew it.
	mu       sync.RWMutex
	ended    bool
	links    []links.Link
	local    map[ownership.MAC]bool // hardware addresses of this node
	linked   bool                   // links were listed
	ports    map[string]*port.Port  // by the name of the link
	owned    map[netip.Addr]*owned
	schedule schedule
	items    []*ingotv1.Item          // last applied, layer 2 only
	watched  []*ingotv1.Layer2Segment // last applied
	refused  map[string]string
	told     map[string]*ingotv1.ItemResult
}

// owned is an address that this node was ordered to own, or to stand by for.
type owned struct {
	order
	// links are those that it could be answered on, and segment those of them over which it is reached: who answers elsewhere,
	// or is heard there, is of no account.
	links, segment []string
	claim          *ownership.Claim
	next           time.Duration
	shown          shown
	counters
}

// New returns a speaker that owns nothing.
func New(o Options) *Speaker {
	s := &Speaker{
		log:        o.Log,
		node:       o.Node,
		exclude:    o.Exclude,
		metrics:    newMetrics(o.Registerer),
		budget:     newBudget(),
		unanswered: rate.Sometimes{Interval: time.Second},
		changed:    make(chan struct{}, 1),
		urgent:     make(chan struct{}, 1),
		stir:       make(chan struct{}, 1),
		thaw:       make(chan struct{}, 1),
		wake:       make(chan struct{}, 1),
		relink:     make(chan struct{}, 1),
		joined:     make(map[membership]*port.Port),
		judged:     make(map[string]judgement),
		ports:      make(map[string]*port.Port),
		owned:      make(map[netip.Addr]*owned),
		refused:    make(map[string]string),
		told:       make(map[string]*ingotv1.ItemResult),
	}
	s.segments = segment.New(segment.Options{
		Log: o.Log, Engine: o.Engine, Ask: s.ask, Changed: func(string) { signal(s.changed); signal(s.urgent); signal(s.stir) }, Registerer: o.Registerer,
	})
	s.health = endpoints.New(o.Log, func() { signal(s.stir) })
	return s
}

// Urgent fires, coalesced, when something changed that the centre decides on.
func (s *Speaker) Urgent() <-chan struct{} { return s.urgent }

// Changed fires, coalesced, when a link, an address or a result changed.
func (s *Speaker) Changed() <-chan struct{} { return s.changed }

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// jitter spreads a duration by a tenth to either side.
func jitter(d time.Duration) time.Duration { return d*9/10 + rand.N(d/5+1) }

// Run follows the links and keeps the schedule until ctx ends. Then nothing is answered any more.
func (s *Speaker) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { links.Watch(ctx, s.log, settle, func() { signal(s.relink) }) })
	running.Go(func() { links.WatchRoutes(ctx, s.log, settleRoutes, func() { signal(s.relink) }) })
	running.Go(func() { s.budget.run(ctx, s.send) })
	running.Go(func() { s.segments.Run(ctx) })
	running.Go(func() { s.health.Run(ctx) })
	running.Go(func() { s.live(ctx) })
	defer func() {
		running.Wait()
		s.end()
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var retry time.Duration // when to look at links again after a failure
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.relink:
			retry = s.refresh()
		case <-s.thaw:
			s.thawed()
		case <-s.stir:
			s.stirred()
		case <-s.wake:
		case <-timer.C:
			if retry != 0 && boottime.Now() >= retry {
				retry = s.refresh()
			}
		}
		next := soonest(s.tick(), retry)
		if next == 0 {
			timer.Stop()
			continue
		}
		timer.Reset(next - boottime.Now())
	}
}

// end closes the ports.
func (s *Speaker) end() {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for name, p := range s.ports {
		p.Close()
		delete(s.ports, name)
	}
}

// refresh brings ports and claims in line with the links that there are. It returns when to try again, if
// something failed.
func (s *Speaker) refresh() (retry time.Duration) {
	s.applying.Lock()
	defer s.applying.Unlock()
	before := working(s.links)
	renewed, err := s.relist()
	if err != nil {
		s.log.Error("cannot follow the node's links", "op", "listLinks", "error", err)
		retry = boottime.Now() + jitter(time.Second)
	}
	s.mu.Lock()
	s.segments.Apply(s.watched, s.links)
	var out []transmission
	for _, o := range s.owned {
		s.place(o)
		out = s.step(out, o, ownership.Links{Names: o.links, Renewed: renewed})
	}
	s.mu.Unlock()
	s.regroup()
	s.transmit(out)
	signal(s.changed)
	if !slices.Equal(before, working(s.links)) {
		signal(s.urgent)
	}
	return retry
}

// tick does what is due, and returns when it wants to be called again.
func (s *Speaker) tick() time.Duration {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	now := boottime.Now()
	out, next := s.judge(now)
	for len(s.schedule) > 0 && s.schedule[0].at <= now {
		due := heap.Pop(&s.schedule).(deadline)
		if o := s.owned[due.address]; o != nil && o.next == due.at {
			out = s.step(out, o, ownership.Tick{})
		}
	}
	if len(s.schedule) > 0 {
		next = soonest(next, s.schedule[0].at)
	}
	s.mu.Unlock()
	s.transmit(out)
	return next
}

// soonest returns the earlier of two moments; zero is never.
func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
