package agent

import (
	"sync"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// beatsKept is how many of a stream's own heartbeats are remembered: those sent before are too old to prove anything.
const beatsKept = 16

// beats are the heartbeats of one stream: those of the replica, to be answered, and the node's own, which prove a round trip
// once they are echoed. The time counts from their sending, so that what waited in a buffer, or was read late by a process
// that stood still, does not look fresh.
type beats struct {
	mu       sync.Mutex
	answered uint64 // highest of the replica's
	seq      uint64 // last of ours
	sent     [beatsKept]time.Duration
	// waiting is the beginning of the newest round trip that is complete and not taken in; 0 when there is none.
	waiting time.Duration
	taking  bool
	last    uint64 // highest echo
}

// answer returns what to answer to a heartbeat, nil if it was answered before: a replica repeats a number to echo without
// asking.
func (b *beats) answer(h *ingotv1.Heartbeat, now time.Duration) *ingotv1.Heartbeat {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.GetSeq() <= b.answered {
		return nil
	}
	b.answered = h.GetSeq()
	b.seq++
	b.sent[b.seq%beatsKept] = now
	return &ingotv1.Heartbeat{Seq: b.seq, Echo: b.answered}
}

// echoed notes an echo, and says whether the caller has to see to it that it is taken.
func (b *beats) echoed(echo uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if echo <= b.last || echo > b.seq || b.seq-echo >= beatsKept {
		return false
	}
	if b.taking {
		return false // what came before this one waits behind the one that is to be taken
	}
	b.last, b.waiting, b.taking = echo, b.sent[echo%beatsKept], true
	return true
}

// taken returns when the round trip that waits to be taken in began.
func (b *beats) taken() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	began := b.waiting
	b.waiting, b.taking = 0, false
	return began
}
