package store

import (
	"context"
	"math/rand/v2"
	"time"
)

// pause waits before the next attempt: a random part of base doubled attempt times, at most limit ("full
// jitter"). It returns the context's error when that ends first.
func pause(ctx context.Context, attempt int, base, limit time.Duration) error {
	d := limit
	if attempt < 16 {
		d = min(base<<attempt, limit)
	}
	timer := time.NewTimer(rand.N(d) + 1)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
