package server

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	firstPause = 200 * time.Millisecond
	// lastPause bounds how much later than the host cluster this server is back.
	lastPause = 3 * time.Second
)

// persist calls f until it succeeds or ctx ends, whose error it then returns. Between failures, which are passed to
// failed and logged when they are others than before, it waits a random time that grows.
func persist(ctx context.Context, log *slog.Logger, what string, failed func(error), f func(context.Context) error) error {
	last := ""
	for attempt := 0; ; attempt++ {
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
		if err := sleep(ctx, rand.N(min(firstPause<<min(attempt, 8), lastPause))+1); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
