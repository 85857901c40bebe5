package ownership

import "time"

// Centre says how well the centre is heard.
type Centre int

const (
	// Lost: no round trip began and ended within CentreLost.
	Lost Centre = iota
	// Fading: one did, but not within CentreFresh.
	Fading
	// Fresh: one did within CentreFresh.
	Fresh
)

// Hearing says whether a witness is heard.
type Hearing int

const (
	// NoWitness: none is known.
	NoWitness Hearing = iota
	// WitnessHeard: at least one answers.
	WitnessHeard
	// WitnessSilent: none answers.
	WitnessSilent
)

// Peer is the node of one rank, as heard on the segment.
type Peer struct {
	// Known says that there is a BFD session with it; Up that the session is up.
	Known, Up bool
	// Left says that it took the session down on purpose, as a speaker does that ends.
	Left bool
	// Heard says that its frames arrive, whatever BFD says.
	Heard bool
}

// Senses is what the node hears at one moment.
type Senses struct {
	Centre Centre
	// Segment says that somebody on the segment showed a sign of life within SegmentFresh.
	Segment bool
	Witness Hearing
	// WitnessAt is when a witness last answered; a change of it alone is no reason for a Tick.
	WitnessAt time.Duration
	// Peers by rank; that of the node itself is not looked at.
	Peers [MaxStandbys + 1]Peer
}

// Evidence is when a node last heard from others: times since boot (CLOCK_BOOTTIME), zero for never.
type Evidence struct {
	// Centre is when the last round trip to the centre that is complete began.
	Centre time.Duration
	// Segment is when a BFD session that is up last received a packet, or a witness answered.
	Segment time.Duration
}

// Sense judges evidence by the windows that owners and standbys keep. next is when the result changes unless newer
// evidence comes; zero for never.
func (e Evidence) Sense(now time.Duration) (centre Centre, segment bool, next time.Duration) {
	until := func(at, window time.Duration) bool {
		if at == 0 || now >= at+window {
			return false
		}
		if next == 0 || at+window < next {
			next = at + window
		}
		return true
	}
	if until(e.Centre, CentreLost) {
		centre = Fading
	}
	if until(e.Centre, CentreFresh) {
		centre = Fresh
	}
	segment = until(e.Segment, SegmentFresh)
	return centre, segment, next
}

// Answerable says whether somebody was heard within the windows that owners keep. It is what the phase of a claim with
// standbys follows, looked at again at the last moment before an answer leaves.
func (e Evidence) Answerable(now time.Duration) bool {
	return e.Centre != 0 && now < e.Centre+CentreFresh || e.Segment != 0 && now < e.Segment+SegmentFresh
}
