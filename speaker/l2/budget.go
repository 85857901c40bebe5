package l2

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// frameRate is how many frames a second a node sends unasked at most, all together: enough to announce a thousand
	// addresses that were taken over at once within a tenth of a second, and not a storm. urgentBurst may go at once.
	frameRate   = 20_000
	urgentBurst = 200
	// repeatRate is the part that repeated announcements may have of it. repeatBurst may go at once.
	repeatRate  = 1_000
	repeatBurst = 50
	// maxRepeats bounds the repeated announcements that wait.
	maxRepeats = 8_192
)

// budget keeps what is to be sent unasked until it may be. Probes and the first announcement after a change go first, and
// none of them is lost; repeated announcements use what is left, spread, and are dropped when more come than may be sent.
// What already waits is not added again, so that the urgent ones are bounded by the number of addresses.
type budget struct {
	all, repeats *rate.Limiter
	wake         chan struct{}

	mu      sync.Mutex
	urgent  fifo
	repeat  fifo
	waiting map[transmission]bool
}

// fifo holds transmissions, the first at head.
type fifo struct {
	items []transmission
	head  int
}

func (f *fifo) len() int { return len(f.items) - f.head }

// push moves what waits to the front before the list would grow: one that is never quite empty does not grow for ever.
func (f *fifo) push(t transmission) {
	if len(f.items) == cap(f.items) && f.head > len(f.items)/2 {
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	f.items = append(f.items, t)
}

func (f *fifo) pop() {
	f.items[f.head] = transmission{}
	if f.head++; f.head == len(f.items) {
		f.items, f.head = f.items[:0], 0
	}
}

func newBudget() *budget {
	return &budget{
		all:     rate.NewLimiter(frameRate, urgentBurst),
		repeats: rate.NewLimiter(repeatRate, repeatBurst),
		wake:    make(chan struct{}, 1),
		waiting: make(map[transmission]bool),
	}
}

// add puts transmissions in line. It returns how many repeated announcements were dropped: there were too many, or the one
// before was not sent yet.
func (b *budget) add(out []transmission) (dropped int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range out {
		repeated := t.kind == repeated
		switch {
		case repeated && (b.waiting[t] || b.repeat.len() >= maxRepeats):
			dropped++
			continue
		case b.waiting[t]:
			continue
		case repeated:
			b.repeat.push(t)
		default:
			b.urgent.push(t)
		}
		b.waiting[t] = true
	}
	if len(out) > 0 {
		signal(b.wake)
	}
	return dropped
}

// next takes what may be sent now, if anything may. Otherwise wait says when to ask again; it is zero when nothing waits.
func (b *budget) next(now time.Time) (t transmission, wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	from, limits := &b.urgent, []*rate.Limiter{b.all}
	if from.len() == 0 {
		from, limits = &b.repeat, append(limits, b.repeats)
	}
	if from.len() == 0 {
		return transmission{}, 0, false
	}
	t = from.items[from.head]
	n := t.frames()
	for _, l := range limits {
		if missing := float64(n) - l.TokensAt(now); missing > 0 {
			wait = max(wait, time.Duration(missing/float64(l.Limit())*float64(time.Second))+1)
		}
	}
	if wait > 0 {
		return transmission{}, wait, false
	}
	for _, l := range limits {
		l.AllowN(now, n)
	}
	from.pop()
	delete(b.waiting, t)
	return t, 0, true
}

// run sends what is in line until ctx ends.
func (b *budget) run(ctx context.Context, send func(transmission)) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		t, wait, ok := b.next(time.Now())
		if ok {
			send(t)
			continue
		}
		if wait == 0 {
			wait = time.Hour
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-b.wake:
		case <-timer.C:
		}
	}
}
