package container

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/test/lab/netns"
	"github.com/ingot-lb/ingot/test/lab/process"
)

// Runtime starts containers as children of this process.
type Runtime struct {
	Shim   []string // a program, and what makes it call Main
	Reaper *process.Reaper
}

// Streams are where a program reads and writes. No Input is an empty one; Errors may be Output.
type Streams struct {
	Input, Output, Errors *os.File
}

// NotStartedError is why the container's program could not be started, in the runtime's words.
type NotStartedError struct{ Reason string }

// Error implements error.
func (e *NotStartedError) Error() string { return e.Reason }

// Start starts a container in a network (nil: this process's) and returns once its program has begun to run.
func (r *Runtime) Start(s Spec, network *netns.Namespace, streams Streams) (*process.Process, error) {
	return r.launch(s, process.Command{
		Path: r.Shim[0], Args: append(append([]string{}, r.Shim[1:]...), "init"), In: network,
		Flags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS, Session: true,
	}, streams)
}

// Exec runs a program beside that of a running container, in its namespaces.
func (r *Runtime) Exec(pid int, p Process, streams Streams) (*process.Process, error) {
	shim, err := os.Open(r.Shim[0])
	if err != nil {
		return nil, err
	}
	defer shim.Close()
	return r.launch(p, process.Command{
		// The shim's path means nothing in the container, whose /proc knows the child there will be.
		Path: fmt.Sprintf("/proc/self/fd/%d", selfFD), Name: r.Shim[0], Args: append(append([]string{}, r.Shim[1:]...), "exec"),
		Within: func(start func() error) error { return inside(pid, start) }, Session: true,
		Extra: []*os.File{shim},
	}, streams)
}

// launch starts the shim, and waits until it has become the program or says why not.
func (r *Runtime) launch(description any, c process.Command, streams Streams) (*process.Process, error) {
	spec, err := seal(description)
	if err != nil {
		return nil, err
	}
	defer spec.Close()
	failures, failure, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer failures.Close()
	c.Input, c.Output, c.Errors = streams.Input, streams.Output, streams.Errors
	c.Extra = append([]*os.File{spec, failure}, c.Extra...)
	c.Env = []string{"GOMAXPROCS=1"} // of the shim alone
	started, err := r.Reaper.Start(c)
	if err = errors.Join(err, failure.Close()); err != nil {
		return nil, err
	}
	reason, err := io.ReadAll(failures)
	if err != nil {
		return nil, err
	}
	if len(reason) > 0 {
		<-started.Done()
		return nil, &NotStartedError{string(reason)}
	}
	return started, nil
}

// inside calls f on a thread that is in the container of a process, but for its pid namespace: that one is its children's.
func inside(pid int, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the thread ends with this goroutine
		done <- func() error {
			// Mount namespaces are per process, unless a thread says that it shares nothing of the kind.
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return err
			}
			var files []*os.File
			names := []string{"pid", "ipc", "uts", "net", "mnt"}
			for _, name := range names {
				file, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, name))
				if err != nil {
					return fmt.Errorf("the container's namespaces: %w", err)
				}
				defer file.Close()
				files = append(files, file)
			}
			for i, file := range files {
				if err := unix.Setns(int(file.Fd()), 0); err != nil {
					return fmt.Errorf("entering the container's %s namespace: %w", names[i], err)
				}
			}
			return f()
		}()
	}()
	return <-done
}
