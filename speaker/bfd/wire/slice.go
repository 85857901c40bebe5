package wire

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// slice is the least that the scheduler can be asked for, in nanoseconds.
const slice = 100_000

// askForShortSlices has the scheduler run this process, which needs little time but needs it soon, ahead of those that
// wait to use up a longer share: with both cores busy, packets leave at most some milliseconds late instead of tens or
// hundreds. It gives the process no more time than others, and needs no capability. Threads that are made later inherit it.
// Linux heeds it from version 6.12, and before that does nothing. What the administrator has chosen, nice or a
// real-time policy, remains.
func askForShortSlices() error {
	asked := map[int]bool{}
	// A thread that was made meanwhile by one that had not been asked for is in the next listing.
	for {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("list threads: %w", err)
		}
		before := len(asked)
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil || asked[id] {
				continue
			}
			asked[id] = true
			if err := askForShortSlice(id); err != nil {
				return err
			}
		}
		if len(asked) == before {
			return nil
		}
	}
}

func askForShortSlice(thread int) error {
	attributes, err := unix.SchedGetAttr(thread, 0)
	if err == nil && attributes.Policy == unix.SCHED_NORMAL {
		attributes.Runtime = slice
		err = unix.SchedSetAttr(thread, attributes, 0)
	}
	if err == unix.ESRCH {
		return nil // it has ended
	}
	if err != nil {
		return fmt.Errorf("ask the scheduler for short slices: %w", err)
	}
	return nil
}
