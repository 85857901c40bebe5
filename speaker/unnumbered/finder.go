package unnumbered

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
)

// Finder knows the neighbours on the interfaces that somebody holds.
type Finder struct {
	log *slog.Logger

	// changed is called when a neighbour was found, lost or replaced.
	changed func()

	mu    sync.Mutex
	links map[string]*held
}

// held is an interface that somebody holds.
type held struct {
	holders   int
	stop      context.CancelFunc
	ended     chan struct{}
	poke      chan struct{}
	neighbour netip.Addr
}

// New returns a finder that holds nothing. It calls changed from goroutines of its own, when what Neighbour returns
// changed.
func New(log *slog.Logger, changed func()) *Finder {
	return &Finder{log: log, changed: changed, links: make(map[string]*held)}
}

// Hold begins to look for the neighbour on the interface, whether that exists yet or not, until release is called.
func (f *Finder) Hold(name string) (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.links[name]
	if h == nil {
		ctx, stop := context.WithCancel(context.Background())
		h = &held{stop: stop, ended: make(chan struct{}), poke: make(chan struct{}, 1)}
		f.links[name] = h
		go func() {
			defer close(h.ended)
			(&link{name: name, log: f.log, poke: h.poke, found: func(a netip.Addr) { f.found(h, a) }}).run(ctx)
		}()
	}
	h.holders++
	return sync.OnceFunc(func() { f.release(name, h) })
}

func (f *Finder) release(name string, h *held) {
	f.mu.Lock()
	h.holders--
	last := h.holders == 0
	if last {
		delete(f.links, name)
	}
	f.mu.Unlock()
	if last {
		h.stop()
		<-h.ended
	}
}

func (f *Finder) found(h *held, neighbour netip.Addr) {
	f.mu.Lock()
	news := h.neighbour != neighbour
	h.neighbour = neighbour
	f.mu.Unlock()
	if news {
		f.changed()
	}
}

// Neighbour returns the link-local address, without a zone, of the router at the other end of a held interface; it is
// invalid while none is known.
func (f *Finder) Neighbour(name string) netip.Addr {
	f.mu.Lock()
	defer f.mu.Unlock()
	if h := f.links[name]; h != nil {
		return h.neighbour
	}
	return netip.Addr{}
}

// LinksChanged makes the finder look at once whether its interfaces came, went or changed.
func (f *Finder) LinksChanged() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range f.links {
		select {
		case h.poke <- struct{}{}:
		default: // it is about to look anyway
		}
	}
}
