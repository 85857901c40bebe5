package certs

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// checkInterval is how often everything is compared even if nothing is heard to have changed.
	checkInterval = 2 * time.Minute
	// soon is when to look again at what others are about to do, and least the least time between two looks.
	soon  = 200 * time.Millisecond
	least = 20 * time.Millisecond
)

// Run keeps everything right until ctx ends, and returns ctx's error.
func (k *Keeper) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := make(chan struct{}, 1)
	for _, what := range k.watched() {
		wg.Go(func() { what.follow(ctx, changed, k.log) })
	}
	retry, last := retries(), ""
	for {
		at, err := k.reconcile(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		pause := min(max(at.Sub(k.now()), least), checkInterval)
		if err == nil {
			retry.Reset()
			last = ""
		} else {
			pause = retry.Next()
			if err.Error() != last {
				last = err.Error()
				k.log.Warn("certificates cannot be kept", "event", "certificatesNotKept", "error", err)
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// reconcile makes everything right and takes at most one step of the rotation. It returns when to look again.
func (k *Keeper) reconcile(ctx context.Context) (time.Time, error) {
	// A serving certificate that nears its end needs nobody to be renewed.
	renewed := k.use(k.known())
	stored, err := k.load(ctx, k.known())
	if err != nil {
		return time.Time{}, errors.Join(err, renewed)
	}
	if k.now().Before(stored.trust.current.cert.NotAfter) {
		if err := k.use(stored.trust); err != nil {
			return time.Time{}, err
		}
	}
	published := k.publish(ctx, stored.trust)
	s, at := k.options.Policy.due(k.now(), stored.trust, published == nil)
	if who := Elsewhere(stored.secret); who != "" {
		s, at = stay, k.now().Add(checkInterval) // it is theirs to rotate
	}
	if s != stay {
		next, err := k.advance(ctx, stored, s)
		if err != nil {
			return time.Time{}, err
		}
		return k.now(), k.use(next.trust) // then publish it
	}
	if errors.Is(published, ErrNotYet) {
		return k.now().Add(soon), nil
	}
	return earlier(at, renewal(k.current().Leaf)), published
}
