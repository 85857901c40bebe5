package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/ingot-lb/ingot/test/lab/control"
	"github.com/ingot-lb/ingot/test/lab/process"
)

// The files that a wrapper inherits from `lab up`.
const (
	ProgressFD = 3 + iota // where events go
	LockFD                // the lock of the lab's directory, held as long as it is open
	ListenerFD            // a listening socket of the host's network, for the forwarder
)

// Flags are the namespaces that a wrapper must be started in, all of its own.
const Flags = syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID

// Run is the life of a wrapper: it builds the lab, says so, and serves until it is told to go. It must be called on
// the process's main thread, in a process started with Flags and the files above. What it returns has been told to
// `lab up` as well.
func Run(o Options, log *slog.Logger) error {
	l := &Lab{Options: o, log: log, env: environment(o.Bin)}
	l.progress = &progress{to: os.NewFile(ProgressFD, "progress")}
	for fd := ProgressFD; fd <= ListenerFD; fd++ {
		syscall.CloseOnExec(fd)
	}
	klog.SetSlogLogger(log)
	err := l.run()
	if err != nil {
		l.progress.tell(Event{Error: err.Error()})
	}
	return err
}

func (l *Lab) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var err error
	if l.topology, err = l.plan(); err != nil {
		return err
	}
	if l.host, err = openHostPIDs(); err != nil {
		return err
	}
	if err := errors.Join(mounts(), os.Chdir("/")); err != nil {
		return err
	}
	inherited := os.NewFile(ListenerFD, "listener")
	listener, err := net.FileListener(inherited)
	if err := errors.Join(err, inherited.Close()); err != nil {
		return fmt.Errorf("the forwarder's socket: %w", err)
	}
	// Processes are waited for until the very end, when this process takes the rest along.
	l.reaper = process.NewReaper()
	go l.reaper.Run(context.WithoutCancel(ctx))
	defer l.down()
	working, rest := context.WithCancel(ctx)
	defer rest() // before down, so that the kubelet does not watch it
	if err := l.up(working, listener.Addr().String()); err != nil {
		return err
	}
	socket, err := control.Listen(l.Dir)
	if err != nil {
		return err
	}
	// From here on the lab outlives the `lab up` that started it.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("letting go of lab up: %w", err)
	}
	l.progress.tell(Event{Ready: true})

	serving, cancel := context.WithCancel(ctx)
	defer cancel()
	handle := func(ctx context.Context, r control.Request) (any, error) {
		if r.Verb == control.Down {
			cancel()
			return nil, nil
		}
		return l.handle(ctx, r)
	}
	context.AfterFunc(serving, func() { _ = errors.Join(socket.Close(), listener.Close()) })
	var servers sync.WaitGroup
	servers.Go(func() { control.Serve(serving, socket, handle, l.log) })
	servers.Go(func() { l.forward(serving, listener) })
	servers.Wait()
	return nil
}

// mounts gives the wrapper its own /proc, of its pid namespace, and its own empty /run and /var/tmp, where programs
// of several labs, and of the host, would meet.
func mounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	for _, dir := range []string{"/run", "/var/tmp"} {
		if err := unix.Mount("lab", dir, "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("mounting %s: %w", dir, err)
		}
	}
	return nil
}
