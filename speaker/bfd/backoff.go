package bfd

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Bounds of the time between attempts at something that the network refuses.
const (
	firstAttempt = 200 * time.Millisecond
	maxAttempt   = 10 * time.Second
)

// backoff is how often something has failed in a row.
type backoff struct{ tries int }

func (b *backoff) reset() { b.tries = 0 }

// next returns how long to wait after one more failure.
func (b *backoff) next() time.Duration {
	d := maxAttempt
	if b.tries < 6 {
		d = min(firstAttempt<<b.tries, maxAttempt)
	}
	b.tries++
	return d/2 + rand.N(d/2)
}

// wait waits after one more failure, and says whether ctx still holds.
func (b *backoff) wait(ctx context.Context) bool {
	t := time.NewTimer(b.next())
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// limiter lets something happen once a minute.
type limiter struct {
	mu   sync.Mutex
	last time.Time
}

func (l *limiter) allow(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.last.IsZero() && now.Sub(l.last) < time.Minute {
		return false
	}
	l.last = now
	return true
}
