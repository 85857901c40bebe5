package wire

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/speaker/links"
)

// settle is how long links and addresses may go on changing before sockets are looked at.
const settle = 20 * time.Millisecond

// Transport is the bfd.Transport of Linux's sockets. What cannot be opened at present is no error of Listen or Dial:
// it is tried again, and Wait and Send say why not yet.
type Transport struct {
	log   *slog.Logger
	ports ports
	// binding is held while a receiving socket is bound.
	binding sync.Mutex

	slices sync.Once // asks for short ones

	mu      sync.Mutex
	open    map[watched]struct{}
	echoes  map[netip.Addr]int // sources of echo packets, with how many send from each
	stop    context.CancelFunc // ends the watch of links; nil when nothing is open
	running sync.WaitGroup
}

var _ bfd.Transport = (*Transport)(nil)

// watched is what must be looked at when links or addresses have changed.
type watched interface{ recheck() }

// New returns a Transport with nothing open.
func New(log *slog.Logger) *Transport {
	return &Transport{
		log:    log,
		ports:  ports{taken: map[uint16]struct{}{}},
		open:   map[watched]struct{}{},
		echoes: map[netip.Addr]int{},
	}
}

// Listen implements bfd.Transport.
func (t *Transport) Listen(s bfd.Scope) (bfd.Receiver, error) {
	r := newReceiver(t, s.VRF, parseControl(s))
	r.open = func() (int, error) { return t.openControl(r, s) }
	r.scope = &s
	t.watch(r)
	return r, nil
}

// Dial implements bfd.Transport.
func (t *Transport) Dial(k bfd.Key) (bfd.Sender, error) {
	s := newSender(t, k)
	t.watch(s)
	return s, nil
}

// ListenEcho implements bfd.Transport.
func (t *Transport) ListenEcho() (bfd.Receiver, error) {
	r := newReceiver(t, "", t.parseEcho)
	r.open = openEcho
	t.watch(r)
	return r, nil
}

// DialEcho implements bfd.Transport.
func (t *Transport) DialEcho(k bfd.Key, local netip.Addr) (bfd.Sender, error) {
	e, err := newEcho(t, k, local)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.echoes[e.local]++
	t.mu.Unlock()
	t.watch(e)
	return e, nil
}

// Close waits until all goroutines have ended, after all that was opened was closed.
func (t *Transport) Close() { t.running.Wait() }

// watch has w looked at when links or addresses change.
func (t *Transport) watch(w watched) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[w] = struct{}{}
	if t.stop == nil {
		var ctx context.Context
		ctx, t.stop = context.WithCancel(context.Background())
		t.running.Go(func() { links.Watch(ctx, t.log, settle, t.recheck) })
		t.slices.Do(t.askForShortSlices)
	}
}

func (t *Transport) askForShortSlices() {
	if err := askForShortSlices(); err != nil {
		t.log.Warn("BFD may take a busy machine for a dead neighbour, and neighbours may take this one for dead", "error", err)
	}
}

func (t *Transport) unwatch(w watched) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, w)
	if len(t.open) == 0 && t.stop != nil {
		t.stop()
		t.stop = nil
	}
}

func (t *Transport) recheck() {
	for _, w := range t.all() {
		w.recheck()
	}
}

func (t *Transport) all() []watched {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]watched, 0, len(t.open))
	for w := range t.open {
		all = append(all, w)
	}
	return all
}

// sendsEcho says whether an echo session sends from a.
func (t *Transport) sendsEcho(a netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.echoes[a] > 0
}
