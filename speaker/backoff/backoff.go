// Package backoff spaces the attempts at something that fails, in every program of Ingot.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is a wait that grows with each failure, and is random so that those who failed together do not come back
// together ("full jitter"). It is for one goroutine.
type Backoff struct {
	// First bounds the first wait, Most every wait; the bound doubles from one to the other.
	First, Most time.Duration

	bound time.Duration
}

// Next returns how long to wait after one more failure: a random time above zero.
func (b *Backoff) Next() time.Duration {
	b.bound = min(max(2*b.bound, b.First), b.Most)
	return 1 + rand.N(b.bound)
}

// Reset begins with First again, after a success.
func (b *Backoff) Reset() { b.bound = 0 }

// Wait waits for Next. It returns the context's error when that ends first.
func (b *Backoff) Wait(ctx context.Context) error { return Sleep(ctx, b.Next()) }

// Sleep waits for d. It returns the context's error when that ends first.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
