package bench

import (
	"bufio"
	"context"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-lb/ingot/test/lab/labtest"
)

// routes are the changes of the router's routes, as its kernel tells them, so that looking adds nothing to the time.
type routes struct {
	mu   sync.Mutex
	came map[string]time.Time // first time since it was forgotten, by address
	went map[string]time.Time
}

// monitor follows the router's routes until the benchmark ends.
func monitor(ctx context.Context, b *testing.B, l *labtest.Lab) *routes {
	b.Helper()
	cmd := exec.CommandContext(ctx, labProgram(b), "--dir", l.Dir(), "exec", "router", "--", "ip", "-o", "-ts", "monitor", "route")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	r := &routes{came: map[string]time.Time{}, went: map[string]time.Time{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			r.line(lines.Text())
		}
	}()
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait() // it was killed
	})
	return r
}

// line is "[2026-01-02T15:04:05.000000] [Deleted ]10.0.0.1 via …"; the first route to an address is what counts.
func (r *routes) line(text string) {
	stamp, rest, ok := strings.Cut(strings.TrimPrefix(text, "["), "] ")
	at, err := time.ParseInLocation("2006-01-02T15:04:05.000000", stamp, time.Local)
	if !ok || err != nil {
		return // the second half of a route with many next hops
	}
	gone := strings.HasPrefix(rest, "Deleted ")
	address, _, _ := strings.Cut(strings.TrimPrefix(rest, "Deleted "), " ")
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.came
	if gone {
		first = r.went
		delete(r.came, address)
	}
	if _, ok := first[address]; !ok {
		first[address] = at
	}
}

func (r *routes) appeared(b *testing.B, address string) time.Time {
	b.Helper()
	return r.wait(b, "a route to "+address, r.came, address)
}

func (r *routes) vanished(b *testing.B, address string) time.Time {
	b.Helper()
	return r.wait(b, "no route to "+address, r.went, address)
}

// forget lets the next time that the address' route goes count.
func (r *routes) forget(address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.went, address)
}

func (r *routes) wait(b *testing.B, what string, times map[string]time.Time, address string) (at time.Time) {
	b.Helper()
	waitFor(b, what, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		var ok bool
		if at, ok = times[address]; !ok {
			return context.DeadlineExceeded
		}
		return nil
	})
	return at
}
