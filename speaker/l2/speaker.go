package l2

import (
	"container/heap"
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/bfd/shared"
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
	exclude []*regexp.Regexp
	metrics *metrics
	askers  askers
	// segments listens to who is on the links.
	segments *segment.Watcher
	budget   *budget
	changed  chan struct{}
	wake     chan struct{} // the schedule's head changed
	relink   chan struct{} // links changed, or a port broke

	// applying serializes what changes mu's fields; it is taken first.
	applying sync.Mutex
	joined   map[membership]*port.Port

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

// owned is an address that this node was ordered to own.
type owned struct {
	address    netip.Addr
	interfaces []string
	claim      *ownership.Claim
	next       time.Time
	counters
}

// New returns a speaker that owns nothing.
func New(o Options) *Speaker {
	s := &Speaker{
		log:     o.Log,
		exclude: o.Exclude,
		metrics: newMetrics(o.Registerer),
		budget:  newBudget(),
		changed: make(chan struct{}, 1),
		wake:    make(chan struct{}, 1),
		relink:  make(chan struct{}, 1),
		joined:  make(map[membership]*port.Port),
		ports:   make(map[string]*port.Port),
		owned:   make(map[netip.Addr]*owned),
		refused: make(map[string]string),
		told:    make(map[string]*ingotv1.ItemResult),
	}
	s.segments = segment.New(segment.Options{
		Log: o.Log, Engine: o.Engine, Ask: s.ask, Changed: func(string) { signal(s.changed) }, Registerer: o.Registerer,
	})
	return s
}

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
	defer func() {
		running.Wait()
		s.end()
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var retry time.Time // when to look at links again after a failure
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.relink:
			retry = s.refresh()
		case <-s.wake:
		case <-timer.C:
			if !retry.IsZero() && !time.Now().Before(retry) {
				retry = s.refresh()
			}
		}
		next := s.tick()
		if next.IsZero() || !retry.IsZero() && retry.Before(next) {
			next = retry
		}
		if next.IsZero() {
			timer.Stop()
			continue
		}
		timer.Reset(time.Until(next))
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
func (s *Speaker) refresh() (retry time.Time) {
	s.applying.Lock()
	defer s.applying.Unlock()
	renewed, err := s.relist()
	if err != nil {
		s.log.Error("cannot follow the node's links", "op", "listLinks", "error", err)
		retry = time.Now().Add(jitter(time.Second))
	}
	s.mu.Lock()
	s.segments.Apply(s.watched, s.links)
	var out []transmission
	for address, o := range s.owned {
		out = s.step(out, o, ownership.Links{Names: s.linksFor(address, o.interfaces)})
		for _, name := range renewed {
			// Its hardware address may be another now.
			if o.claim.Answers(name) {
				out = append(out, transmission{o, name, first})
			}
		}
	}
	s.mu.Unlock()
	s.regroup()
	s.transmit(out)
	signal(s.changed)
	return retry
}

// tick does what is due, and returns when it wants to be called again.
func (s *Speaker) tick() time.Time {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	var out []transmission
	now := time.Now()
	for len(s.schedule) > 0 && !s.schedule[0].at.After(now) {
		due := heap.Pop(&s.schedule).(deadline)
		if o := s.owned[due.address]; o != nil && o.next.Equal(due.at) {
			out = s.step(out, o, ownership.Tick{})
		}
	}
	var next time.Time
	if len(s.schedule) > 0 {
		next = s.schedule[0].at
	}
	s.mu.Unlock()
	s.transmit(out)
	return next
}

// step feeds an event to a claim, schedules what follows and adds what is to be sent to out. s.mu is held.
func (s *Speaker) step(out []transmission, o *owned, ev ownership.Event) []transmission {
	a := o.claim.Step(time.Now(), ev)
	if !a.Next.Equal(o.next) {
		o.next = a.Next
		if !a.Next.IsZero() {
			heap.Push(&s.schedule, deadline{a.Next, o.address})
			signal(s.wake)
		}
	}
	if a.Changed {
		s.log.Info("layer-2 address", "event", "layer2"+phaseEvents[o.claim.Phase()], "ip", o.address.String(),
			"term", o.claim.Term(), "interfaces", o.claim.Interfaces(), "reason", o.claim.Reason())
		signal(s.changed)
	}
	for _, name := range a.Probe {
		out = append(out, transmission{o, name, probing})
	}
	round := repeated
	if a.Changed {
		round = first
	}
	for _, name := range a.Announce {
		out = append(out, transmission{o, name, round})
	}
	return out
}

// phaseEvents end the name of the event that is logged when a claim changed.
var phaseEvents = map[ownership.Phase]string{
	ownership.Idle: "Released", ownership.Waiting: "Waiting", ownership.Probing: "Probing",
	ownership.Blocked: "Blocked", ownership.Answering: "Answering",
}
