package segment

import "time"

const (
	// holdFirst is how long a link that has recovered is not trusted yet; it doubles with each relapse, up to holdMost.
	holdFirst = 10 * time.Second
	holdMost  = 5 * time.Minute
	// forgiven is how long it must be well for the next fault to count as the first.
	forgiven = 10 * time.Minute
	// young is how long after a node has connected, or the centre has started, faults are put down to that and are not
	// held against the node later.
	young = 10 * time.Second
)

// hold remembers how often something has failed.
type hold struct {
	// count is how many faults have ended, none of them longer than forgiven before the next; at is when the last did.
	count int
	at    time.Time
	until time.Time
}

// ended notes the end of a fault that began at a time. The first spare ones are free.
func (h *hold) ended(began, now time.Time, spare int) {
	if !h.at.IsZero() && began.Sub(h.at) > forgiven {
		h.count = 0
	}
	h.count++
	h.at, h.until = now, time.Time{}
	if h.count > spare {
		h.until = now.Add(min(holdFirst<<min(h.count-spare-1, 10), holdMost))
	}
}

// held says whether it is not trusted yet.
func (h *hold) held(now time.Time) bool { return now.Before(h.until) }

// over says that nothing of it matters any more.
func (h *hold) over(now time.Time) bool {
	return h.at.IsZero() || !h.held(now) && now.Sub(h.at) > forgiven
}
