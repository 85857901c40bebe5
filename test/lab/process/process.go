// Package process starts the programs of a lab and takes the place of init for them: the lab's wrapper is process 1
// of its own pid namespace, so that every orphan becomes its child and must be waited for.
package process

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/test/lab/netns"
)

// Command is a program to start.
type Command struct {
	Path   string   // the file
	Args   []string // what follows the program's name
	Name   string   // what it is called by (argv[0]); Path if empty
	Env    []string
	In     *netns.Namespace // nil: that of this process
	Output *os.File         // standard output and error

	// What only containers need. Within is in place of In: it calls start on a thread that is where the program shall be.
	Within func(start func() error) error
	Input  *os.File   // nil: nothing to read
	Errors *os.File   // standard error; nil: Output
	Extra  []*os.File // from file descriptor 3 on
	Flags  uintptr    // the namespaces that it gets of its own, CLONE_NEW…
	// Session makes it the leader of a session, and with a terminal as its Input that terminal's.
	Session bool
}

// Reaper starts processes and waits for all children of this process. There must be one, and nothing else in this
// process may wait for children (os/exec included).
type Reaper struct {
	mu       sync.Mutex
	children map[int]*Process
}

// Process is a started program.
type Process struct {
	reaper *Reaper
	pid    int
	done   chan struct{}
	status syscall.WaitStatus // valid once done is closed
}

// NewReaper returns a Reaper that waits once Run runs.
func NewReaper() *Reaper { return &Reaper{children: map[int]*Process{}} }

// Run waits for children until ctx ends.
func (r *Reaper) Run(ctx context.Context) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	for {
		r.reap()
		select {
		case <-ctx.Done():
			return
		case <-ended:
		}
	}
}

func (r *Reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if p := r.children[pid]; p != nil {
			delete(r.children, pid)
			p.status = status
			close(p.done)
		}
	}
}

// Start starts a program in its namespace. It is a process group of its own.
func (r *Reaper) Start(c Command) (*Process, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	name := c.Name
	if name == "" {
		name = c.Path
	}
	attributes := &syscall.ProcAttr{
		Env:   c.Env,
		Files: []uintptr{null.Fd(), c.Output.Fd(), c.Output.Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: !c.Session, Setsid: c.Session, Cloneflags: c.Flags},
	}
	if c.Input != nil {
		attributes.Files[0] = c.Input.Fd()
		_, err := unix.IoctlGetTermios(int(c.Input.Fd()), unix.TCGETS)
		attributes.Sys.Setctty = c.Session && err == nil
	}
	if c.Errors != nil {
		attributes.Files[2] = c.Errors.Fd()
	}
	for _, file := range c.Extra {
		attributes.Files = append(attributes.Files, file.Fd())
	}
	p := &Process{reaper: r, done: make(chan struct{})}
	// The lock keeps reap from meeting a child that ended before it was entered.
	in := func(f func() error) error { return f() }
	switch {
	case c.Within != nil:
		in = c.Within
	case c.In != nil:
		in = c.In.Do
	}
	err = in(func() (err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		p.pid, err = syscall.ForkExec(c.Path, append([]string{name}, c.Args...), attributes)
		if err == nil {
			r.children[p.pid] = p
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Path, err)
	}
	return p, nil
}

// PID is the process's number as this process sees it.
func (p *Process) PID() int { return p.pid }

// Done is closed once the process is gone.
func (p *Process) Done() <-chan struct{} { return p.done }

// Alive says whether the process is still there.
func (p *Process) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal sends a signal; to a process that is gone, nothing.
func (p *Process) Signal(s syscall.Signal) error {
	p.reaper.mu.Lock()
	defer p.reaper.mu.Unlock()
	if !p.Alive() {
		return nil
	}
	if err := syscall.Kill(p.pid, s); err != nil {
		return fmt.Errorf("signal %s to process %d: %w", s, p.pid, err)
	}
	return nil
}

// Paused says whether the process is stopped by a signal.
func (p *Process) Paused() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return false
	}
	// pid (name) state …, where the name may hold anything.
	_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	return strings.HasPrefix(rest, "T")
}

// Status is how the process ended; valid once Done is closed.
func (p *Process) Status() syscall.WaitStatus { return p.status }

// Exit says how the process ended, once it has.
func (p *Process) Exit() string {
	switch {
	case p.Alive():
		return "running"
	case p.status.Signaled():
		return "ended by signal " + p.status.Signal().String()
	default:
		return fmt.Sprintf("ended with exit status %d", p.status.ExitStatus())
	}
}
