// Package writer stores the conditions that package conditions says, in the one replica that leads. It writes only what
// differs from what is stored, an object at most once a second, a bounded number of objects at once and per second, and
// those first that somebody may be waiting for.
package writer

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/conditions"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

// Objects are the stored objects.
type Objects interface {
	// List returns all objects whose conditions are written here. Unless they must be fresh, they may be as they were a
	// moment ago.
	List(ctx context.Context, fresh bool) ([]metallb.Conditioned, error)
	// Apply makes the conditions of an object what is given, conditions of other types left alone, and returns the
	// resource version that results. The object must still be the one of the UID.
	Apply(ctx context.Context, v conditions.Verdict) (resourceVersion string, err error)
}

const (
	// rate and burst bound the writes per second, workers those at once.
	rate, burst, workers = 200, 200, 4
	// batch is how many objects are written before it is looked anew what is most urgent.
	batch = 50
	// pause is the least time between two writes of one object.
	pause = time.Second
	// relist is how often it is looked whether somebody else has written conditions of ours.
	relist = 30 * time.Second
	// rest is the least time between two looks at what there is to do; it also is so many times what one took.
	rest, restTimes = 10 * time.Millisecond, 5
	// retryFirst and retryLast bound the back-off after a write that failed.
	retryFirst, retryLast = 200 * time.Millisecond, 30 * time.Second
	// applyTimeout bounds one write.
	applyTimeout = 10 * time.Second
)

// Source returns what is to be evaluated now.
type Source func() conditions.Input

// Writer keeps the conditions of all objects.
type Writer struct {
	objects Objects
	log     *slog.Logger
	limiter flowcontrol.RateLimiter
	wake    chan struct{}
	input   atomic.Pointer[input] // nil while another replica leads

	// What follows is Run's.
	term      uint64
	evaluator conditions.Evaluator
	last      conditions.Input
	verdicts  []conditions.Verdict
	records   map[types.UID]*record // nil: not read yet in this leadership
	relistAt  time.Time
	failing   bool
}

// New returns a writer; log may be nil.
func New(objects Objects, log *slog.Logger) *Writer {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Writer{objects: objects, log: log, limiter: flowcontrol.NewTokenBucketRateLimiter(rate, burst), wake: make(chan struct{}, 1)}
}

// input is how to read what is to be evaluated, in one leadership.
type input struct {
	term   uint64
	source Source
}

// Set says that something may have changed, and how to read it, in the leadership term; nil says that another replica
// leads. It does not block.
func (w *Writer) Set(term uint64, source Source) {
	if source == nil {
		w.input.Store(nil)
	} else {
		w.input.Store(&input{term, source})
	}
	select {
	case w.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Run writes until ctx ends.
func (w *Writer) Run(ctx context.Context) {
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-again.C:
		}
		in := w.input.Load()
		if in == nil || in.term != w.term { // what another leader has written since is not known
			w.records, w.verdicts, w.last = nil, nil, conditions.Input{}
		}
		if in == nil {
			continue
		}
		w.term = in.term
		next, looked, err := w.round(ctx, in.source)
		if err != nil && ctx.Err() == nil {
			w.log.Warn("the conditions of objects cannot be read, will try again", "event", "conditionsUnread", "error", err)
		}
		again.Reset(max(time.Until(next), 0))
		if backoff.Sleep(ctx, max(rest, min(restTimes*looked, pause))) != nil {
			return
		}
	}
}

// round brings some objects up to date. It says when there is more to do though nothing changes, and how long it took to
// find out what there is to do.
func (w *Writer) round(ctx context.Context, source Source) (next time.Time, looked time.Duration, err error) {
	now := time.Now()
	if in := source(); w.verdicts == nil || !same(in, w.last) {
		w.last, w.verdicts = in, w.evaluator.Evaluate(in)
	}
	if err := w.read(ctx, now); err != nil {
		return now.Add(retryFirst + rand.N(retryLast/10)), time.Since(now), err
	}
	due, next := w.due(now)
	if next.IsZero() || w.relistAt.Before(next) {
		next = w.relistAt
	}
	if len(due) > batch {
		due, next = due[:batch], now
	}
	looked = time.Since(now)
	w.write(ctx, due)
	return next, looked, nil
}

// read takes what is stored: all of it in the beginning, and what others may have changed from time to time.
func (w *Writer) read(ctx context.Context, now time.Time) error {
	fresh := w.records == nil
	if !fresh && now.Before(w.relistAt) {
		return nil
	}
	objects, err := w.objects.List(ctx, fresh)
	if err != nil {
		return err
	}
	before := w.records
	w.records = make(map[types.UID]*record, len(objects))
	for _, o := range objects {
		r := before[o.GetUID()]
		if r == nil {
			r = &record{}
		}
		if version := versionOf(o.GetResourceVersion()); version > r.version {
			r.version, r.conditions = version, *o.StatusConditions()
		}
		w.records[o.GetUID()] = r
	}
	for _, v := range w.verdicts { // not in the list yet
		uid := v.Object.GetUID()
		if r := before[uid]; r != nil && w.records[uid] == nil {
			w.records[uid] = r
		}
	}
	w.relistAt = now.Add(relist + rand.N(relist/10))
	return nil
}

// write applies verdicts, several at once, and notes what became of them.
func (w *Writer) write(ctx context.Context, due []conditions.Verdict) {
	type result struct {
		verdict conditions.Verdict
		version string
		err     error
	}
	queue, results := make(chan conditions.Verdict), make(chan result)
	for range min(workers, len(due)) {
		go func() {
			for v := range queue {
				r := result{verdict: v}
				if r.err = w.limiter.Wait(ctx); r.err == nil {
					limited, cancel := context.WithTimeout(ctx, applyTimeout)
					r.version, r.err = w.objects.Apply(limited, v)
					cancel()
				}
				results <- r
			}
		}()
	}
	go func() {
		defer close(queue)
		for _, v := range due {
			queue <- v
		}
	}()
	for range due {
		r := <-results
		w.settle(ctx, r.verdict, r.version, r.err)
	}
}

// settle notes what became of one write.
func (w *Writer) settle(ctx context.Context, v conditions.Verdict, version string, err error) {
	r := w.recordOf(v)
	switch {
	case err == nil:
		r.version, r.conditions, r.notBefore = max(versionOf(version), r.version), v.Conditions, time.Now().Add(pause)
		r.retry.Reset()
		w.failing = false
	case apierrors.IsNotFound(err), apierrors.IsConflict(err), apierrors.IsInvalid(err):
		// Gone, or replaced by another of the same name: the next configuration says so.
		r.notBefore = time.Now().Add(pause + r.retry.Next())
		w.log.Debug("the conditions of an object cannot be written as it is", "event", "conditionsUnwritten",
			"resource", v.Resource, "name", v.Object.GetName(), "error", err)
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
	default:
		r.notBefore = time.Now().Add(r.retry.Next())
		if !w.failing {
			w.failing = true
			w.log.Warn("the conditions of an object cannot be written, will try again", "event", "conditionsUnwritten",
				"resource", v.Resource, "name", v.Object.GetName(), "error", err)
		}
	}
}
