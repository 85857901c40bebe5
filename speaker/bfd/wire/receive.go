package wire

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/speaker/backoff"
	"github.com/ingot-lb/ingot/speaker/bfd"
)

// Limits of the wait between attempts to open a socket. Changes of links and addresses cut it short.
const (
	firstWait   = 100 * time.Millisecond
	longestWait = 5 * time.Second
)

// parse fills d with a packet and says whether it is one to hand on.
type parse func(b *batch, i int, d *bfd.Datagram) (a ancillary, ok bool)

// receiver implements bfd.Receiver with a socket that is opened again when it fails.
type receiver struct {
	t      *Transport
	device string
	scope  *bfd.Scope // of control packets
	open   func() (fd int, err error)
	parse  parse
	poll   [1]unix.PollFd
	ready  func(fd uintptr) bool
	retry  backoff.Backoff
	wake   chan struct{} // cuts the wait between attempts short

	mu     sync.Mutex
	closed bool
	file   *os.File // nil while there is none
	raw    syscall.RawConn
	fd     int
	index  int // of the device when the socket was bound to it
	names  names

	batch   *batch
	n, next int
	began   time.Time // the reading of the batch
	now     time.Time // after it
	empty   time.Time // what is in the batch arrived after it
}

func newReceiver(t *Transport, device string, p parse) *receiver {
	r := &receiver{
		t: t, device: device, parse: p, wake: make(chan struct{}, 1),
		retry: backoff.Backoff{First: firstWait, Most: longestWait},
		batch: newBatch(), names: names{},
	}
	r.ready = r.readable
	return r
}

// Wait implements bfd.Receiver.
func (r *receiver) Wait() error {
	r.mu.Lock()
	closed, raw, pending := r.closed, r.raw, r.next < r.n
	r.mu.Unlock()
	switch {
	case closed:
		return bfd.ErrClosed
	case pending:
		return nil
	case raw == nil:
		return r.reopen()
	}
	if err := raw.Read(r.ready); err != nil {
		// It was closed, for good or to be opened again, which the next call sees to.
		return r.ended()
	}
	return nil
}

// ended says whether the receiver was closed for good.
func (r *receiver) ended() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return bfd.ErrClosed
	}
	return nil
}

// readable says whether there is something to read, without reading it: only Receive does.
func (r *receiver) readable(fd uintptr) bool {
	r.poll[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	n, err := unix.Poll(r.poll[:], 0)
	return err == nil && n > 0 // an interrupted call is made again once there is something
}

// reopen opens the socket. When it cannot it waits and returns the reason, so that the next call tries again.
func (r *receiver) reopen() error {
	began := time.Now()
	fd, err := r.open()
	if err == nil {
		return r.use(fd, began)
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.retry.Next())
	defer cancel()
	select {
	case <-r.wake:
		r.retry.Reset()
	case <-ctx.Done():
	}
	if closed := r.ended(); closed != nil {
		return closed
	}
	return err
}

func (r *receiver) use(fd int, began time.Time) error {
	file := os.NewFile(uintptr(fd), "bfd")
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close() // of no use to anybody
		return fmt.Errorf("use socket: %w", err)
	}
	index, err := indexOf(fd, r.device)
	if err != nil {
		_ = file.Close() // of no use to anybody
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		_ = file.Close() // nothing is waiting for it
		return bfd.ErrClosed
	}
	r.file, r.raw, r.fd, r.index = file, raw, fd, index
	r.n, r.next, r.began = 0, 0, began
	r.retry.Reset()
	return nil
}

// Receive implements bfd.Receiver.
func (r *receiver) Receive(d *bfd.Datagram) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		for r.next < r.n {
			i := r.next
			r.next++
			if a, ok := r.parse(r.batch, i, d); ok {
				d.Interface = r.names.of(r.fd, a.index)
				d.At = arrival(r.now, r.empty, a.stamp)
				return true, nil
			}
		}
		if r.closed {
			return false, bfd.ErrClosed
		}
		if r.file == nil {
			return false, nil // Wait says why
		}
		before := time.Now()
		if r.n < batchSize {
			// The reading before left nothing, so what is read now arrived after that began.
			r.empty = r.began
		}
		r.began = before
		n, err := r.batch.receive(r.fd)
		r.n, r.next, r.now = n, 0, time.Now()
		if err != nil {
			r.drop()
			return false, fmt.Errorf("receive: %w", err)
		}
		if n == 0 {
			return false, nil
		}
	}
}

// drop gives up the socket; Wait opens another. r.mu is held.
func (r *receiver) drop() {
	if r.file != nil {
		_ = r.file.Close() // Wait, if it is waiting, returns
		r.file, r.raw, r.fd = nil, nil, -1
	}
	r.n, r.next = 0, 0
}

// recheck implements watched.
func (r *receiver) recheck() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.names)
	if r.file == nil {
		select {
		case r.wake <- struct{}{}:
		default: // it will wake
		}
		return
	}
	// The name may be another interface's by now, or nobody's.
	if index, err := indexOf(r.fd, r.device); err != nil || index != r.index {
		r.drop()
	}
}

// Close implements bfd.Receiver.
func (r *receiver) Close() error {
	r.t.unwatch(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.drop()
	select {
	case r.wake <- struct{}{}:
	default: // it will wake
	}
	return nil
}
