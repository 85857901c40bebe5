package wire

import (
	"os"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestShortSlices(t *testing.T) {
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := askForShortSlices(); err != nil {
		t.Fatal(err)
	}
	// One more thread, besides those that there are.
	done, release := make(chan bool), make(chan bool)
	go func() {
		runtime.LockOSThread()
		done <- true
		<-release
	}()
	<-done
	defer close(release)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		attributes, err := unix.SchedGetAttr(id, 0)
		if err == unix.ESRCH {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		// Kernels before 6.12 show none.
		if attributes.Policy != unix.SCHED_NORMAL || attributes.Nice != before.Nice || attributes.Runtime != slice && attributes.Runtime != 0 {
			t.Errorf("thread %d: %+v", id, attributes)
		}
	}
}
