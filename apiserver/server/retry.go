package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

const (
	firstPause = 200 * time.Millisecond
	// lastPause bounds how much later than the host cluster this server is back.
	lastPause = 3 * time.Second
)

// until returns when ok does, or ctx ends, whose error it then returns.
func until(ctx context.Context, ok func() bool) error {
	for !ok() {
		if err := backoff.Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// persist calls f until it succeeds or ctx ends, whose error it then returns. Between failures, which are passed to
// failed and logged when they are others than before, it waits a random time that grows.
func persist(ctx context.Context, log *slog.Logger, what string, failed func(error), f func(context.Context) error) error {
	retry, last := backoff.Backoff{First: firstPause, Most: lastPause}, ""
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failed(err)
		if err.Error() != last {
			last = err.Error()
			log.Warn("not possible yet", "event", "retry", "what", what, "error", err)
		}
		if err := retry.Wait(ctx); err != nil {
			return err
		}
	}
}
