package agent

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ingot-lb/ingot/speaker/backoff"
	"github.com/ingot-lb/ingot/speaker/desired"
)

// runner keeps a stream to one address of the centre.
type runner struct {
	endpoint string
	address  string
	// retired asks the runner to end once its stream does: the name no longer resolves to the address.
	retired atomic.Bool
	done    chan struct{}
}

// run connects, again and again, until ctx ends or the address is retired.
func (r *runner) run(ctx context.Context, a *Agent) {
	defer close(r.done)
	defer a.core.forget(r.address)
	a.core.known(r.endpoint, r.address)
	attempt := 0
	for {
		began := time.Now()
		s := &stream{endpoint: r.endpoint, address: r.address, out: newOutbox(), replica: desired.NewReplica()}
		err := a.connect(ctx, s)
		news := a.core.closed(s, err)
		if ctx.Err() != nil {
			return
		}
		if news {
			a.logLoss(r.address, err)
		}
		if time.Since(began) > a.opts.timing.maxDelay {
			attempt = 0
		}
		a.resolveAgain()
		delay := a.delay(attempt, err)
		attempt++
		// Two addresses of one replica: it admits one stream of this node, and that is the other one.
		for status.Code(err) == codes.Aborted && a.core.twin(r.address) && !r.retired.Load() {
			if backoff.Sleep(ctx, a.opts.timing.maxDelay) != nil {
				return
			}
		}
		if backoff.Sleep(ctx, delay) != nil || r.retired.Load() {
			return
		}
	}
}

// delay is how long to wait before the next attempt: full jitter, and slowly where asking again cannot help soon.
func (a *Agent) delay(attempt int, err error) time.Duration {
	t := a.opts.timing
	var drain *drained
	if attempt == 0 && errors.As(err, &drain) {
		return rand.N(t.firstDelay)
	}
	limit := t.maxDelay
	switch status.Code(err) {
	case codes.Unauthenticated, codes.PermissionDenied, codes.FailedPrecondition:
		limit = t.slowDelay
		attempt += 3
	}
	upper := limit
	if shift := attempt + 1; shift < 16 {
		upper = min(limit, t.firstDelay<<shift)
	}
	if upper <= t.firstDelay {
		return upper
	}
	return t.firstDelay + rand.N(upper-t.firstDelay)
}

// logLoss says why there is no stream; callers see to it that only news is said.
func (a *Agent) logLoss(address string, err error) {
	level, msg := slog.LevelWarn, "no stream to the centre; announcements stay as they are"
	text := err.Error()
	switch code := status.Code(err); code {
	case codes.Unauthenticated, codes.PermissionDenied:
		level, msg = slog.LevelError, "the centre does not admit this speaker; announcements stay as they are"
		text = status.Convert(err).Message()
	}
	var drain *drained
	if errors.As(err, &drain) {
		level, msg = slog.LevelInfo, "the centre closes the stream"
	}
	a.log.Log(context.Background(), level, msg, "event", "centreDisconnected", "endpoint", address, "error", text)
}
