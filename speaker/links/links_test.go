package links

import (
	"context"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestWatchTellsOfTheStartOfLinksAndOfAddresses makes each change from within the call that the one before caused. It
// needs root, for a network namespace of its own.
func TestWatchTellsOfTheStartOfLinksAndOfAddresses(t *testing.T) {
	runtime.LockOSThread() // never unlocked: the thread's namespace ends with the thread
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("a network namespace of its own, which takes root: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "test0"}}
	steps := []func() error{
		func() error { return netlink.LinkAdd(bridge) },
		func() error {
			addr, err := netlink.ParseAddr("192.0.2.1/24")
			if err != nil {
				return err
			}
			return netlink.AddrAdd(bridge, addr)
		},
		func() error { cancel(); return nil },
	}
	calls := 0

	Watch(ctx, slog.New(slog.DiscardHandler), time.Millisecond, func() {
		if calls < len(steps) {
			if err := steps[calls](); err != nil {
				t.Errorf("step %d: %v", calls, err)
			}
		}
		calls++
	})

	if calls != len(steps) {
		t.Errorf("changed was called %d times, want %d: at the start, for the link and for the address", calls, len(steps))
	}
}
