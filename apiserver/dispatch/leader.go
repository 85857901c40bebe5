package dispatch

import (
	"context"
	"math/rand/v2"
	"time"
)

// leadership is a time during which this replica leads.
type leadership struct {
	epoch uint64
	since time.Time
	// resign gives it up, so that it is campaigned for again.
	resign context.CancelFunc
}

// campaign leads whenever it can, until ctx ends.
func (h *Hub) campaign(ctx context.Context) {
	for backoff := newBackoff(); ctx.Err() == nil; {
		term, resign := context.WithCancel(ctx)
		won, err := h.store.Campaign(term, h.replica)
		if err != nil {
			resign()
			if ctx.Err() == nil {
				h.log.Warn("cannot campaign for leadership", "event", "campaignFailed", "error", err)
			}
			backoff.wait(ctx)
			continue
		}
		backoff.reset()
		h.log.Info("leading", "event", "leaderElected", "replica", h.replica, "epoch", won.Epoch, "lineage", h.store.Lineage())
		h.lead.Store(&leadership{epoch: won.Epoch, since: time.Now(), resign: resign})
		h.leadershipChanged()
		select {
		case <-won.Done:
		case <-term.Done():
		}
		resign()
		h.lead.Store(nil)
		h.desired.Store(nil)
		h.leadershipChanged()
		if ctx.Err() == nil {
			h.log.Warn("leadership lost; what was ordered stays ordered", "event", "leaderLost", "replica", h.replica, "epoch", won.Epoch)
		}
	}
}

// epoch is the one in which this replica leads; 0 while it does not.
func (h *Hub) epoch() uint64 {
	if lead := h.lead.Load(); lead != nil {
		return lead.epoch
	}
	return 0
}

// leadershipChanged tells the speakers and the engine.
func (h *Hub) leadershipChanged() {
	h.nodes.wakeAll()
	h.engine.kick()
}

const (
	backoffFirst = 100 * time.Millisecond
	backoffLast  = 5 * time.Second
)

// backoff is an exponential wait with jitter.
type backoff struct{ next time.Duration }

func newBackoff() *backoff { return &backoff{next: backoffFirst} }

func (b *backoff) reset() { b.next = backoffFirst }

// step returns how long to wait now.
func (b *backoff) step() time.Duration {
	d := b.next/2 + rand.N(b.next)
	b.next = min(2*b.next, backoffLast)
	return d
}

// wait waits, or until ctx ends.
func (b *backoff) wait(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(b.step()):
	}
}
