package backoff

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestBoundDoublesFromFirstToMost(t *testing.T) {
	b := Backoff{First: 100 * time.Millisecond, Most: 300 * time.Millisecond}
	for range 1000 {
		for failure, bound := range []time.Duration{100, 200, 300, 300} {
			if got := b.Next(); got <= 0 || got > bound*time.Millisecond {
				t.Fatalf("wait after failure %d: got %v, want above 0 and at most %vms", failure+1, got, int(bound))
			}
		}
		b.Reset()
	}
}

func TestWaitTakesNoLongerThanItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Backoff{First: time.Second, Most: time.Minute}
		began := time.Now()
		if err := b.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took <= 0 || took > time.Second {
			t.Errorf("waited %v, want above 0 and at most 1s", took)
		}
	})
}

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		err := Sleep(ctx, time.Hour)
		if took := time.Since(began); took != time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("slept %v and got %v, want 1s and %v", took, err, context.DeadlineExceeded)
		}
	})
}
