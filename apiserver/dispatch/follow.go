package dispatch

import (
	"context"
	"fmt"
)

// followConfiguration reads the configuration whenever it changed, until ctx ends.
func (h *Hub) followConfiguration(ctx context.Context) {
	h.follow(ctx, "configuration", h.store.Changed, func(ctx context.Context) error {
		config, revision, err := h.store.Snapshot(ctx)
		if err != nil {
			return fmt.Errorf("read the configuration: %w", err)
		}
		h.engine.setConfiguration(config, revision)
		return nil
	})
}

// followAdoption reads the adoption whenever it changed, until ctx ends.
func (h *Hub) followAdoption(ctx context.Context) {
	h.follow(ctx, "adoption", h.store.AdoptionChanged, func(ctx context.Context) error {
		adoption, err := h.store.Adoption(ctx)
		if err != nil {
			return fmt.Errorf("read the adoption: %w", err)
		}
		h.engine.setAdoption(adoption)
		return nil
	})
}

// followLedger has the engine plan whenever the ledger changed, until ctx ends.
func (h *Hub) followLedger(ctx context.Context) {
	for range h.store.LedgerChanged(ctx) {
		h.engine.kick()
	}
}

// follow calls read for each signal of changed, and again while it fails.
func (h *Hub) follow(ctx context.Context, what string, changed func(context.Context) <-chan struct{}, read func(context.Context) error) {
	signals := changed(ctx)
	for retry := retries(); ; {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-signals:
			if !ok {
				return
			}
		}
		failed := false
		for ctx.Err() == nil {
			limited, cancel := context.WithTimeout(ctx, storeTimeout)
			err := read(limited)
			cancel()
			if err == nil {
				break
			}
			if !failed && ctx.Err() == nil {
				h.log.Warn("store does not answer; going on with what is known", "event", "storeUnavailable", "what", what, "error", err)
			}
			failed = true
			if retry.Wait(ctx) != nil {
				return
			}
		}
		retry.Reset()
	}
}
