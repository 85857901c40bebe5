package segment

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/speaker/bfd/shared"
	"github.com/ingot-lb/ingot/speaker/boottime"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// Options configure a Watcher.
type Options struct {
	Log *slog.Logger
	// Engine has the BFD sessions. The watcher does not close it.
	Engine *shared.Engine
	// Ask sends one question on a link: whose is target? source is the node's address that asks; if it is not valid, the
	// question comes from no address. It goes to mac alone, to all if mac is zero. It is called without locks of the watcher, from
	// one goroutine, and must not wait long. An error says that the question was not sent: nobody is silent by that.
	Ask func(link string, source, target netip.Addr, mac ownership.MAC) error
	// Changed is called when what is known of a link changed: a peer's state, an answer, a witness. It is called without locks
	// of the watcher, from one goroutine.
	Changed func(link string)
	// Registerer receives the ingot_speaker_segment_… metrics; nil for none.
	Registerer prometheus.Registerer
}

// farewell is how long peers may take, when the watcher ends, to show that they heard of it.
const farewell = time.Second

// Watcher listens on the node's segments. Its methods may be called from several goroutines at the same time.
type Watcher struct {
	log     *slog.Logger
	ask     func(link string, source, target netip.Addr, mac ownership.MAC) error
	changed func(link string)
	// open is the engine's, now CLOCK_BOOTTIME; tests have others.
	open func(bfd.Key, bfd.Parameters, func(bfd.Status)) (session, error)
	now  func() time.Duration
	// wake has Run look again.
	wake    chan struct{}
	metrics metrics
	// heard is what those look at who must not wait.
	heard atomic.Pointer[index]

	mu       sync.Mutex
	ended    bool
	segments map[string]*segment
	nodes    nodes
	schedule schedule
	dirty    map[string]struct{}
}

// New returns a watcher of nothing.
func New(o Options) *Watcher {
	open := func(k bfd.Key, p bfd.Parameters, changed func(bfd.Status)) (session, error) {
		return o.Engine.Open(k, p, changed)
	}
	return newWatcher(o, open, boottime.Now)
}

func newWatcher(o Options, open func(bfd.Key, bfd.Parameters, func(bfd.Status)) (session, error), now func() time.Duration) *Watcher {
	w := &Watcher{
		log: o.Log, ask: o.Ask, changed: o.Changed, open: open, now: now, wake: make(chan struct{}, 1),
		segments: map[string]*segment{}, dirty: map[string]struct{}{},
	}
	w.heard.Store(&index{})
	w.metrics.register(w, o.Registerer)
	return w
}

// Run asks, and tells what changed, until ctx ends. Then the peers are told that BFD ends on purpose.
func (w *Watcher) Run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		questions, links, wait := w.due()
		for _, q := range questions {
			w.metrics.asked.Add(1)
			if err := w.ask(q.link, q.source, q.target, q.mac); err != nil {
				w.metrics.unasked.Add(1)
				w.log.Debug("cannot ask a host", "op", "ask", "interface", q.link, "host", q.target.String(), "error", err)
				w.notSent(q.host)
			}
		}
		for link := range links {
			w.changed(link)
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			w.end(context.WithoutCancel(ctx))
			return
		case <-timer.C:
		case <-w.wake:
		}
	}
}

// kick has Run look again at once.
func (w *Watcher) kick() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// mark has it told that what is known of a link changed. w.mu is held.
func (w *Watcher) mark(s *segment) {
	w.dirty[s.name] = struct{}{}
	w.kick()
}

// question is one to be asked.
type question struct {
	host           *host
	link           string
	source, target netip.Addr
	mac            ownership.MAC
}

// idle is how long Run sleeps at most.
const idle = time.Hour

// due does what is due. It returns whom to ask, the links of which something changed, and for how long there is nothing more.
func (w *Watcher) due() (questions []question, changed map[string]struct{}, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	for len(w.schedule) > 0 && w.schedule[0].due <= now {
		h := w.schedule[0]
		s := h.segment
		p := s.pace(h, now)
		was := h.state
		ask, news := h.tick(now, p)
		if ask {
			questions = append(questions, question{h, s.name, s.link.Source(h.address), h.address, h.to(p)})
		}
		last := time.Duration(h.heard.Load())
		if peer := s.peerOf(h); peer != nil {
			last = peer.lastHeard()
		}
		if h.arrives(now, last, p) || news {
			w.dirty[s.name] = struct{}{}
		}
		if news {
			w.told(h, was)
		}
		if w.outlived(h, now) {
			w.schedule.drop(h)
			s.dismiss(h)
			w.reindex()
			continue
		}
		w.schedule.put(h)
	}
	if len(w.dirty) > 0 {
		changed, w.dirty = w.dirty, map[string]struct{}{}
	}
	wait = idle
	if len(w.schedule) > 0 {
		wait = min(idle, max(0, w.schedule[0].due-now))
	}
	return questions, changed, wait
}

// notSent takes in that a question which was due could not be sent.
func (w *Watcher) notSent(h *host) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h.position < 0 {
		return // not asked any more
	}
	now := w.now()
	if h.notSent(now, h.segment.pace(h, now)) {
		w.mark(h.segment)
	}
	w.schedule.put(h)
	w.kick()
}

// told logs what became of a host.
func (w *Watcher) told(h *host, was ingotv1.Answer) {
	s := h.segment
	args := []any{"interface", s.name, "host", h.address.String()}
	what := "witness"
	if p := s.peerOf(h); p != nil {
		args, what = append(args, "node", p.node), "node"
	}
	switch h.state {
	case ingotv1.Answer_ANSWER_SILENT:
		if h.counts() {
			w.log.Warn("a "+what+" on the segment does not answer", append(args, "event", "segmentSilent", "misses", h.misses)...)
		}
	case ingotv1.Answer_ANSWER_ANSWERS:
		if was == ingotv1.Answer_ANSWER_SILENT {
			w.log.Info("a "+what+" on the segment answers again", append(args, "event", "segmentAnswers")...)
		}
	}
}

// end tells every peer that BFD ends on purpose (RFC 5880 section 6.8.16), waits a bounded time until they have shown that
// they know, and closes the sessions.
func (w *Watcher) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	w.mu.Lock()
	w.ended = true
	var said []<-chan struct{}
	for _, s := range w.segments {
		for _, p := range s.peers {
			if p.session != nil {
				said = append(said, p.session.AdminDown())
			}
		}
	}
	w.mu.Unlock()
	for _, heard := range said {
		select {
		case <-heard:
		case <-ctx.Done():
			w.log.Warn("not every node has shown that it knows that BFD ends", "op", "adminDown")
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.segments {
		w.close(s)
	}
	clear(w.segments)
	w.reindex()
}

// close ends a segment. w.mu is held.
func (w *Watcher) close(s *segment) {
	for _, h := range s.hosts() {
		w.schedule.drop(h)
	}
	for _, p := range s.peers {
		p.drop()
	}
}
