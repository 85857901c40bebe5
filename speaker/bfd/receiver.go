package bfd

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// arrival is when a packet arrived and when it is being handled.
type arrival struct{ at, now time.Time }

// receiver takes packets from a Receiver of the transport, which it opens as soon as that is possible.
type receiver struct {
	engine *Engine
	name   string
	open   func() (Receiver, error)
	handle func(*Datagram, arrival)
	// Sessions that need it; guarded by Engine.mu.
	users int
	// Ended by stop.
	ctx  context.Context
	stop context.CancelFunc
	// Why there is no transport, in words.
	trouble atomic.Pointer[string]

	// Held while packets are taken, so that whoever has held it knows that no packet is on its way to its session.
	mu        sync.Mutex
	transport Receiver
	datagram  Datagram
}

func newReceiver(e *Engine, name string, open func() (Receiver, error)) *receiver {
	r := &receiver{engine: e, name: name, open: open}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

// batch is how many packets are taken before others get their turn, and drainLimit how many when a session's life hangs on
// them: more than a socket buffer holds.
const (
	batch      = 64
	drainLimit = 16384
)

// run opens the transport and takes packets until stop.
func (r *receiver) run() {
	defer r.engine.goroutine.Done()
	defer r.stop()
	var again backoff
	for r.ctx.Err() == nil {
		t, err := r.open()
		if err != nil {
			r.fail(err)
			again.wait(r.ctx)
			continue
		}
		r.serve(t)
		return
	}
}

// serve takes packets from t until stop.
func (r *receiver) serve(t Receiver) {
	r.use(t)
	closed := make(chan struct{})
	closing := context.AfterFunc(r.ctx, func() {
		defer close(closed)
		r.close(t)
	})
	defer func() {
		r.use(nil)
		if closing() {
			r.close(t)
		} else {
			<-closed
		}
	}()
	for {
		err := t.Wait()
		if err == nil {
			r.trouble.Store(nil)
			err = r.take(batch)
		}
		if errors.Is(err, ErrClosed) {
			return
		}
		if err != nil {
			r.fail(err)
		}
	}
}

func (r *receiver) use(t Receiver) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.transport = t
}

func (r *receiver) close(t Receiver) {
	if err := t.Close(); err != nil {
		r.engine.log.Warn("BFD socket does not close", "packets", r.name, "error", err)
	}
}

func (r *receiver) fail(err error) {
	if r.ctx.Err() != nil {
		return
	}
	text := "cannot receive " + r.name + ": " + err.Error()
	if old := r.trouble.Load(); old != nil && *old == text {
		return
	}
	r.trouble.Store(&text)
	r.engine.log.Warn("BFD cannot receive", "packets", r.name, "error", err)
}

// drain handles every packet that has arrived.
func (r *receiver) drain() {
	// An error shows again where run is waiting.
	_ = r.take(drainLimit)
}

// take handles up to limit packets of those that have arrived.
func (r *receiver) take(limit int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.transport == nil {
		return nil
	}
	for range limit {
		ok, err := r.transport.Receive(&r.datagram)
		if !ok || err != nil {
			return err
		}
		r.handle(&r.datagram, arrival{at: r.datagram.At, now: time.Now()})
	}
	return nil
}
