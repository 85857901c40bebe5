package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Terminal is the size of one.
type Terminal struct{ Columns, Rows uint16 }

// IO is what a program that is executed in a container talks with. Any of it may be nil.
type IO struct {
	In       io.Reader
	Out, Err io.Writer
	// TTY gives it a terminal: then what it says is all in Out. Resize tells of the terminal's sizes, until it is closed.
	TTY    bool
	Resize <-chan Terminal
}

// stragglers is how long output is waited for after the end of a program, since something that it started may hold it open. It is far
// above what it takes on a busy machine to pass on what the program itself said.
const stragglers = 20 * time.Second

// Run runs a program in the container of a process until it ends, or ctx does, which kills it. The error says why it was not
// started, or that ctx ended.
func (r *Runtime) Run(ctx context.Context, pid int, p Process, talk IO) (syscall.WaitStatus, error) {
	streams, ours, err := talk.open()
	if err != nil {
		return 0, err
	}
	started, err := r.Exec(pid, p, streams)
	err = errors.Join(err, closeAll(streams.Input, streams.Output, streams.Errors))
	if err != nil {
		return 0, errors.Join(err, ours.close())
	}
	copied := ours.copy(talk)
	select {
	case <-started.Done():
	case <-ctx.Done():
		err = errors.Join(ctx.Err(), started.Signal(syscall.SIGKILL))
		<-started.Done()
	}
	select {
	case <-copied:
	case <-time.After(stragglers):
	}
	return started.Status(), errors.Join(err, ours.close())
}

// ends are this process's ends of a program's streams.
type ends struct{ in, out, err, terminal *os.File }

func (e *ends) close() error { return closeAll(e.in, e.out, e.err, e.terminal) }

// closeAll closes what is there, and what several names are for once. What is closed already is no error.
func closeAll(files ...*os.File) error {
	var all []error
	for _, file := range files {
		if file != nil {
			if err := file.Close(); !errors.Is(err, os.ErrClosed) {
				all = append(all, err)
			}
		}
	}
	return errors.Join(all...)
}

func (talk IO) open() (s Streams, e *ends, err error) {
	e = &ends{}
	if talk.TTY {
		var far *os.File
		if e.terminal, far, err = openTerminal(); err != nil {
			return s, nil, err
		}
		return Streams{Input: far, Output: far, Errors: far}, e, nil
	}
	if talk.In != nil {
		if s.Input, e.in, err = os.Pipe(); err != nil {
			return s, nil, err
		}
	}
	if e.out, s.Output, err = os.Pipe(); err == nil {
		e.err, s.Errors, err = os.Pipe()
	}
	if err != nil {
		return s, nil, errors.Join(err, closeAll(s.Input, s.Output), e.close())
	}
	return s, e, nil
}

// copy moves what is said, and closes the channel when the program's side has closed its outputs.
func (e *ends) copy(talk IO) <-chan struct{} {
	done := make(chan struct{})
	var outputs sync.WaitGroup
	output := func(to io.Writer, from *os.File) {
		if to == nil {
			to = io.Discard
		}
		// Either side may go first: that ends it.
		outputs.Go(func() { _, _ = io.Copy(to, from) })
	}
	if e.terminal != nil {
		output(talk.Out, e.terminal)
		if talk.In != nil {
			go func() { _, _ = io.Copy(e.terminal, talk.In) }()
		}
		go func() {
			for size := range talk.Resize {
				_ = unix.IoctlSetWinsize(int(e.terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: size.Columns, Row: size.Rows})
			}
		}()
	} else {
		output(talk.Out, e.out)
		output(talk.Err, e.err)
		if e.in != nil {
			go func() {
				_, _ = io.Copy(e.in, talk.In)
				_ = e.in.Close() // the program reads to the end
			}()
		}
	}
	go func() {
		outputs.Wait()
		close(done)
	}()
	return done
}

// openTerminal makes a pair of ends of a terminal (pts(4)).
func openTerminal() (near, far *os.File, err error) {
	near, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetPointerInt(int(near.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("unlocking a terminal: %w", err), near.Close())
	}
	number, err := unix.IoctlGetInt(int(near.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("naming a terminal: %w", err), near.Close())
	}
	far, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, errors.Join(err, near.Close())
	}
	return near, far, nil
}
