package boottime

import (
	"testing"
	"time"
)

func TestTheClockGoesOn(t *testing.T) {
	first := Now()
	second := Now()
	if first <= 0 || second < first {
		t.Errorf("two readings in a row: %v and %v", first, second)
	}
}

func TestAMomentOfThePastIsAsLongAgoOnTheWallClock(t *testing.T) {
	ago := time.Since(Wall(Now() - time.Hour))
	if ago < time.Hour || ago > time.Hour+time.Minute {
		t.Errorf("an hour since boot is %v on the wall clock", ago)
	}
}
