package segment

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

const (
	// step is between the questions of a burst, and how long an answer may take before the next one.
	step = 30 * time.Millisecond
	// fewest and most are how many answers in a row are missed until a host is silent; by chance that shall happen once in 1/odds
	// bursts.
	fewest, most = 15, 30
	odds         = 1e-7
	// memory is over about how many questions the loss of the network is averaged. The average is off by margin at times; less
	// than negligible is no loss.
	memory             = 128
	margin, negligible = 0.1, 0.1
	// everyFourth question of a burst is for all, in case the host has another hardware address now.
	everyFourth = 4
	// healing is how often, at least, a silent host of a segment with an owner is asked.
	healing = time.Second
	// Of a quiet segment.
	quietInterval = 10 * time.Second
	quietMisses   = 3
	// prompt is how late a question may be judged and still be judged at once, and how long is waited otherwise: this process had no
	// time, and may not have read yet what came meanwhile.
	prompt = 3 * time.Millisecond
	// skew is how much the kernel's time of an answer and ours of the question may disagree.
	skew = 2 * time.Millisecond
)

// pace is how often a host is asked.
type pace struct {
	interval time.Duration
	quiet    bool
}

// host is one that is asked for its own address. Times are on CLOCK_BOOTTIME. What is not atomic is guarded by Watcher.mu.
type host struct {
	segment *segment
	address netip.Addr
	// source is how a witness is known; unspecified of a node.
	source ingotv1.WitnessReport_Source

	// When a frame of its arrived last, an answer among them, and from which hardware address that came.
	heard, answered atomic.Int64
	mac             atomic.Uint64
	// answering is whether state is ANSWERS.
	answering atomic.Bool

	state ingotv1.Answer
	since time.Time
	// ever says that it answered at some time.
	ever bool
	// node says that a witness turned out to be a node, by its hardware address.
	node bool
	// unsent is how many questions in a row could not be sent.
	unsent int
	// arriving says that its frames arrive, whether it answers or not.
	arriving bool
	// waiting for the answer to the question of asked; misses before that one were not answered, the first of them sent at
	// missing. again says that whether it was answered was to be found out before, and was not because that was late.
	waiting, again bool
	asked, missing time.Duration
	misses         int
	// loss is the part of questions that were missed though the host was there.
	loss float64
	// remacked is when mac changed last.
	remacked time.Duration

	// due is when tick is called next, position where it is in the schedule: -1 if it is not.
	due      time.Duration
	position int
}

func newHost(s *segment, address netip.Addr, source ingotv1.WitnessReport_Source) *host {
	return &host{segment: s, address: address, source: source, position: -1}
}

// tick is called when the host is due. It says whether the host is to be asked now, and whether what is known of it changed.
func (h *host) tick(now time.Duration, p pace) (ask, changed bool) {
	if h.waiting {
		late := now - h.due
		switch {
		case h.answeredAfter(h.asked):
			changed = h.answers()
			h.due = max(now, h.asked+jitter(p.interval))
			return false, changed
		case late > step:
			// It was us who slept; the answer may be on its way from the kernel.
		case late > prompt && !h.again:
			h.again, h.due = true, now+prompt
			return false, false
		default:
			changed = h.missed(p)
		}
	}
	h.waiting, h.again, h.asked = true, false, now
	switch {
	case p.quiet:
		h.due = now + jitter(p.interval)
	case h.state == ingotv1.Answer_ANSWER_SILENT:
		h.due = now + jitter(max(p.interval, healing))
	default:
		h.due = now + step
	}
	return true, changed
}

func (h *host) answeredAfter(t time.Duration) bool { return time.Duration(h.answered.Load()) >= t-skew }

// missed takes in that a question was not answered in time.
func (h *host) missed(p pace) (changed bool) {
	if h.misses == 0 {
		h.missing = h.asked
	}
	h.misses, h.unsent = h.misses+1, 0
	if h.misses < h.limit(p) {
		return false
	}
	return h.become(ingotv1.Answer_ANSWER_SILENT)
}

// limit is how many misses in a row are silence.
func (h *host) limit(p pace) int {
	if p.quiet {
		return quietMisses
	}
	if h.source == ingotv1.WitnessReport_SOURCE_ASKER && !h.ever {
		return quietMisses // it was never needed
	}
	if h.loss < negligible {
		return fewest
	}
	loss := min(h.loss+margin, 0.9)
	return min(max(int(math.Ceil(math.Log(odds)/math.Log(loss))), fewest), most)
}

// answers takes in that the host answered.
func (h *host) answers() (changed bool) {
	if h.state == ingotv1.Answer_ANSWER_ANSWERS { // what was missed while it was away says nothing of the network
		for range h.misses {
			h.loss += (1 - h.loss) / memory
		}
		h.loss -= h.loss / memory
	}
	h.waiting, h.misses, h.unsent, h.ever = false, 0, 0, true
	return h.become(ingotv1.Answer_ANSWER_ANSWERS)
}

// notSent takes in that the question asked last could not be sent, which is nobody's silence: it is asked again, and while
// none can be sent for as long as it takes to find out who is silent, nothing is known of the host.
func (h *host) notSent(now time.Duration, p pace) (changed bool) {
	h.waiting = false
	h.unsent++
	if h.state == ingotv1.Answer_ANSWER_UNSPECIFIED && h.unsent > fewest || h.state == ingotv1.Answer_ANSWER_SILENT || p.quiet {
		h.due = now + jitter(max(p.interval, healing))
	} else {
		h.due = now + step
	}
	if h.unsent < fewest && (h.unsent < quietMisses || !p.quiet && h.state != ingotv1.Answer_ANSWER_SILENT) {
		return false
	}
	h.misses = 0
	return h.become(ingotv1.Answer_ANSWER_UNSPECIFIED)
}

func (h *host) become(s ingotv1.Answer) (changed bool) {
	if h.state == s {
		return false
	}
	h.state, h.since = s, time.Now()
	h.answering.Store(s == ingotv1.Answer_ANSWER_ANSWERS)
	return true
}

// forget ends what is known, as when the link went down.
func (h *host) forget() (changed bool) {
	h.waiting, h.misses, h.unsent, h.arriving = false, 0, 0, false
	return h.become(ingotv1.Answer_ANSWER_UNSPECIFIED)
}

// arrives finds out whether the host's frames arrive, the last of them at last, and says whether that changed. Of a silent
// host only those count that came after it ceased to answer.
func (h *host) arrives(now, last time.Duration, p pace) (changed bool) {
	fresh := last > 0 && now-last < max(3*p.interval, 5*healing/2)
	if h.state == ingotv1.Answer_ANSWER_SILENT {
		fresh = fresh && last > h.missing+step
	}
	fresh = fresh || h.state == ingotv1.Answer_ANSWER_ANSWERS
	changed, h.arriving = fresh != h.arriving, fresh
	return changed
}

// rest is the longest that it may be until the next question.
func (h *host) rest(p pace) time.Duration {
	longest := p.interval
	if h.state == ingotv1.Answer_ANSWER_SILENT || h.unsent > 0 {
		longest = max(longest, healing)
	}
	return longest * 11 / 10
}

// to is where the next question goes: to the host alone, if its hardware address is known, but now and then to all.
func (h *host) to(p pace) ownership.MAC {
	if p.quiet || h.misses%everyFourth == everyFourth-2 || h.state == ingotv1.Answer_ANSWER_SILENT {
		return ownership.MAC{}
	}
	return unpack(h.mac.Load())
}

// pack and unpack make an Ethernet address a number, which is 0 for none.
func pack(m ownership.MAC) uint64 {
	return uint64(binary.BigEndian.Uint16(m[:2]))<<32 | uint64(binary.BigEndian.Uint32(m[2:]))
}

func unpack(n uint64) (m ownership.MAC) {
	binary.BigEndian.PutUint16(m[:2], uint16(n>>32))
	binary.BigEndian.PutUint32(m[2:], uint32(n))
	return m
}

// jitter spreads a duration by a tenth to either side, so that nodes do not ask in step.
func jitter(d time.Duration) time.Duration { return d*9/10 + rand.N(d/5+1) }
