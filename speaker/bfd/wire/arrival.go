package wire

import "time"

// arrival returns when a packet arrived: now less its age by the wall clock, but not before empty, when there was none
// yet, nor after now, however the wall clock was stepped meanwhile. stamp is zero if the kernel gave none.
func arrival(now, empty time.Time, stamp int64) time.Time {
	if stamp == 0 {
		return now
	}
	at := now.Add(-time.Duration(now.UnixNano() - stamp))
	if at.After(now) {
		return now
	}
	if at.Before(empty) {
		return empty
	}
	return at
}
