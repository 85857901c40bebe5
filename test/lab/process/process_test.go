package process

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func newReaper(t *testing.T) *Reaper {
	t.Helper()
	r := NewReaper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		r.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return r
}

func start(t *testing.T, r *Reaper, script string) (*Process, string) {
	t.Helper()
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	p, err := r.Start(Command{Path: "/bin/sh", Args: []string{"-c", script}, Env: os.Environ(), Output: output})
	if err != nil {
		t.Fatal(err)
	}
	return p, output.Name()
}

func wait(t *testing.T, p *Process) {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		t.Fatalf("process %d is %s", p.PID(), p.Exit())
	}
}

func TestExitIsTold(t *testing.T) {
	r := newReaper(t)
	for script, want := range map[string]string{
		"exit 3":      "ended with exit status 3",
		"kill -9 $$":  "ended by signal killed",
		"echo x":      "ended with exit status 0",
		"sleep 0; :":  "ended with exit status 0",
		"kill -15 $$": "ended by signal terminated",
	} {
		p, _ := start(t, r, script)
		wait(t, p)
		if got := p.Exit(); got != want || p.Alive() {
			t.Errorf("%q %s, want it to have %s", script, got, want)
		}
	}
}

// Children that end at once are the ones whose end could come before they are known.
func TestNoEndIsMissed(t *testing.T) {
	r := newReaper(t)
	var all []*Process
	for range 100 {
		p, _ := start(t, r, "exit 0")
		all = append(all, p)
	}
	for _, p := range all {
		wait(t, p)
	}
}

func TestOutputIsWritten(t *testing.T) {
	p, output := start(t, newReaper(t), "echo out; echo err >&2")
	wait(t, p)
	if text, err := os.ReadFile(output); err != nil || string(text) != "out\nerr\n" {
		t.Errorf("output %q, %v", text, err)
	}
}

func TestPausedIsSeenAndEnds(t *testing.T) {
	p, _ := start(t, newReaper(t), "exec sleep 1000")
	state := func(want bool) {
		t.Helper()
		deadline := time.After(20 * time.Second)
		for p.Paused() != want {
			select {
			case <-deadline:
				t.Fatalf("Paused() stays %v", !want)
			case <-time.After(time.Millisecond):
			}
		}
	}
	for _, step := range []struct {
		signal syscall.Signal
		paused bool
	}{{syscall.SIGSTOP, true}, {syscall.SIGCONT, false}} {
		if err := p.Signal(step.signal); err != nil {
			t.Fatal(err)
		}
		state(step.paused)
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wait(t, p)
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("a signal to a process that is gone: %v", err)
	}
}

func TestMissingProgramIsNamed(t *testing.T) {
	r := newReaper(t)
	path := filepath.Join(t.TempDir(), "absent")
	if _, err := r.Start(Command{Path: path, Output: os.Stderr}); err == nil || !strings.Contains(fmt.Sprint(err), path) {
		t.Errorf("Start = %v", err)
	}
}
