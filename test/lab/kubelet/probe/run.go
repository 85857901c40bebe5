package probe

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Answer is one answer, and what it made of the result.
type Answer struct {
	Err     error
	Result  Result
	Changed bool
}

// Run asks again and again, the first time after the probe's initial delay, and tells every answer until ctx ends.
func Run(ctx context.Context, p *corev1.Probe, initial Result, ask func(context.Context) error, tell func(Answer)) {
	tracker := NewTracker(p, initial)
	timer := time.NewTimer(time.Duration(p.InitialDelaySeconds) * time.Second)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		began := time.Now()
		err := ask(ctx)
		if ctx.Err() != nil {
			return
		}
		changed := tracker.Observe(err == nil)
		tell(Answer{Err: err, Result: tracker.Result(), Changed: changed})
		timer.Reset(time.Until(began.Add(max(time.Duration(p.PeriodSeconds), 1) * time.Second)))
	}
}
