package dispatch

import (
	"context"
	"time"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

// leadership is a time during which this replica leads.
type leadership struct {
	epoch uint64
	// resign gives it up, so that it is campaigned for again.
	resign context.CancelFunc
}

// campaign leads whenever it can, until ctx ends.
func (h *Hub) campaign(ctx context.Context) {
	for retry := retries(); ctx.Err() == nil; {
		term, resign := context.WithCancel(ctx)
		won, err := h.store.Campaign(term, h.replica)
		if err != nil {
			resign()
			if ctx.Err() == nil {
				h.log.Warn("cannot campaign for leadership", "event", "campaignFailed", "error", err)
			}
			if retry.Wait(ctx) != nil {
				return
			}
			continue
		}
		retry.Reset()
		h.log.Info("leading", "event", "leaderElected", "replica", h.replica, "epoch", won.Epoch, "lineage", h.store.Lineage())
		h.lead.Store(&leadership{epoch: won.Epoch, resign: resign})
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

// retries are spaced alike wherever the store does not answer.
func retries() backoff.Backoff {
	return backoff.Backoff{First: 100 * time.Millisecond, Most: 5 * time.Second}
}
