package l2

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/ingot-lb/ingot/speaker/boottime"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// pulse is how often the process looks whether it stood still.
const pulse = 100 * time.Millisecond

// life knows whether the process stood still: it was stopped, or its machine was. Whoever runs first afterwards finds out,
// the one that looks now and then or the one that has a packet to answer.
type life struct {
	// last is when it looked, since boot; zero before it begins.
	last atomic.Int64
	// stood is set from when that was found out until claims were told.
	stood atomic.Bool
}

// awake says whether it did not stand still until now, and since received.
func (l *life) awake(now, received time.Duration) bool {
	last := time.Duration(l.last.Load())
	if last != 0 && now-last > ownership.FrozenAfter || now-received > ownership.FrozenAfter {
		l.stood.Store(true)
		l.last.Store(int64(now)) // so that it is found out once
	}
	return !l.stood.Load()
}

// live looks, until ctx ends.
func (s *Speaker) live(ctx context.Context) {
	ticker := time.NewTicker(pulse)
	defer ticker.Stop()
	for {
		now := boottime.Now()
		if !s.life.awake(now, now) {
			signal(s.thaw)
		}
		s.life.last.Store(int64(now))
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// thawed tells every claim that the process stood still. What waits in the sockets meanwhile is too old to be answered.
func (s *Speaker) thawed() {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	s.log.Warn("this process, or the machine, stood still; addresses are probed for before they are answered again", "event", "layer2Frozen")
	s.life.stood.Store(false) // first: should it stand still right now, that is news
	out := s.stepAll(nil, ownership.Frozen{})
	s.mu.Unlock()
	s.transmit(out)
}
