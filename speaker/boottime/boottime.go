// Package boottime tells time by CLOCK_BOOTTIME, which goes on while the machine is suspended and never jumps: what
// evidence of other machines is dated by.
package boottime

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now is the time since the node's kernel started.
func Now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		// It needs Linux 2.6.39, and no privilege.
		panic("CLOCK_BOOTTIME: " + err.Error())
	}
	return time.Duration(ts.Nano())
}
