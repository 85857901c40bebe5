// Package boottime tells the time since the machine started, whether this process or the machine slept or not
// (CLOCK_BOOTTIME). It is the clock of everything that says how old a sign of life is.
package boottime

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now returns the time since boot.
func Now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("CLOCK_BOOTTIME: " + err.Error()) // every Linux since 2.6.39 has it
	}
	return time.Duration(ts.Nano())
}

// Wall returns the wall-clock time of a moment since boot, as near as the two clocks agree now.
func Wall(at time.Duration) time.Time { return time.Now().Add(at - Now()) }
