package dispatch

import (
	"context"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/apiserver/plan"
)

// amends is how long an address stays announced that vanished from the ledger while its Service shows it: the controller
// enters again what somebody deleted, and what it took away itself leaves the status.
const amends = 30 * time.Second

// book reads the ledger for the planner. It is for the engine's goroutine.
type book struct {
	hub *Hub
	// had is what Services show and was announced by the ledger's leave; until when it lingers, where the ledger lacks it now.
	had map[plan.Shown]time.Time
	// asked is what the ledger lacked when it was asked for it.
	asked map[plan.Shown]bool
	again time.Time
}

func newBook(h *Hub) book {
	return book{hub: h, had: map[plan.Shown]time.Time{}, asked: map[plan.Shown]bool{}}
}

// until is when what lingers must be looked at again; zero if nothing does.
func (b *book) until() time.Time { return b.again }

// read returns the ledger for a plan of the epoch, 0 for a follower's, that is at least as new as what the Services of the class show:
// the controller claims an address before it writes it to a status, but the status may be heard of first.
func (b *book) read(ctx context.Context, epoch uint64, services []*corev1.Service, class string) *plan.Ledger {
	l := b.look(epoch)
	all := plan.ShownBy(services, class)
	var ask []netip.Addr
	for _, shown := range all {
		if !l.Has(shown) && !b.asked[shown] {
			ask = append(ask, shown.Address)
		}
	}
	failed := false
	if len(ask) > 0 {
		limited, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		if err := b.hub.store.AskLedger(limited, b.hub.namespace, ask); err != nil {
			b.hub.log.Warn("store does not answer; going on with what is known", "event", "storeUnavailable", "what", "ledger", "error", err)
			failed = true
		}
		l = b.look(epoch)
	}
	now := time.Now()
	b.note(l, all, now)
	if failed {
		clear(b.asked)
		b.wake(now.Add(time.Second))
	}
	return l
}

func (b *book) look(epoch uint64) *plan.Ledger {
	heard, _ := b.hub.store.Ledger() // the caller knows that it was read
	return &plan.Ledger{
		Confirmed: heard.Epoch != 0 && (epoch == 0 || heard.Epoch == epoch),
		Holdings:  heard.Holdings, Lingering: map[plan.Shown]bool{},
	}
}

// note remembers what the ledger has and lacks of what is shown, and lets linger what it had.
func (b *book) note(l *plan.Ledger, all []plan.Shown, now time.Time) {
	had, asked := make(map[plan.Shown]time.Time, len(all)), map[plan.Shown]bool{}
	b.again = time.Time{}
	for _, shown := range all {
		lacks := !l.Has(shown)
		if lacks {
			asked[shown] = true
		}
		until, known := b.had[shown]
		switch {
		case !lacks, !l.Confirmed && len(l.Holdings[shown.Address].Services) == 0:
			had[shown] = time.Time{}
		case known:
			if until.IsZero() {
				until = now.Add(amends)
			}
			had[shown] = until
			if now.Before(until) {
				l.Lingering[shown] = true
				b.wake(until)
			}
		}
	}
	b.had, b.asked = had, asked
}

// wake has the plan made again at a time, or before.
func (b *book) wake(at time.Time) {
	if b.again.IsZero() || at.Before(b.again) {
		b.again = at
	}
}
