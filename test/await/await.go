// Package await lets tests wait for conditions, which is what they do instead of sleeping.
package await

import (
	"testing"
	"time"
)

const (
	// patience is how long anything may take, on a busy machine too, before a test gives up.
	patience = time.Minute
	period   = 5 * time.Millisecond
	// leisure is the period of what asks a whole cluster.
	leisure = 100 * time.Millisecond
)

// True returns when ok does. The test ends if that takes too long; what is what was waited for.
func True(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if !until(patience, period, ok) {
		t.Fatalf("not within %v: %s", patience, what)
	}
}

// Success returns when check returns nil. The test ends with its last error if that takes too long.
func Success(t testing.TB, what string, check func() error) {
	t.Helper()
	success(t, patience, period, what, check)
}

// SuccessWithin is Success of what may take longer, or shorter, and is asked less often.
func SuccessWithin(t testing.TB, patience time.Duration, what string, check func() error) {
	t.Helper()
	success(t, patience, leisure, what, check)
}

func success(t testing.TB, patience, period time.Duration, what string, check func() error) {
	t.Helper()
	var err error
	if !until(patience, period, func() bool { err = check(); return err == nil }) {
		t.Fatalf("not within %v: %s: %v", patience, what, err)
	}
}

func until(patience, period time.Duration, ok func() bool) bool {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(period)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return ok() // who was not let run for so long has not looked for as long
		}
	}
	return true
}
