package cluster

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/ingot-lb/ingot/test/lab/control"
)

// Kill ends the part by SIGKILL, and returns when it is gone.
func (p *Part) Kill(ctx context.Context) error { return p.end(ctx, syscall.SIGKILL) }

// Stop ends the part by SIGTERM, and returns when it is gone. A part that is not there is no error here, because
// Stop is also what happens to the process of a deleted Pod.
func (p *Part) Stop(ctx context.Context) error {
	if len(p.live()) == 0 {
		return nil
	}
	return p.end(ctx, syscall.SIGTERM)
}

func (p *Part) end(ctx context.Context, signal syscall.Signal) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	return p.exclusively(ctx, func() error {
		live := p.live()
		if len(live) == 0 {
			return p.notRunning()
		}
		for _, process := range live {
			// A paused process meets no signal but these two.
			if err := errors.Join(process.Signal(signal), process.Signal(syscall.SIGCONT)); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
		for _, process := range live {
			select {
			case <-process.Done():
			case <-ctx.Done():
				return fmt.Errorf("%s still runs after %s: %w", p.name, signal, ctx.Err())
			}
		}
		return nil
	})
}

// Pause stops the part's processes where they are; Resume lets them go on.
func (p *Part) Pause(ctx context.Context) error { return p.signal(ctx, syscall.SIGSTOP) }

// Resume undoes Pause.
func (p *Part) Resume(ctx context.Context) error { return p.signal(ctx, syscall.SIGCONT) }

func (p *Part) signal(ctx context.Context, signal syscall.Signal) error {
	return p.exclusively(ctx, func() error {
		live := p.live()
		if len(live) == 0 {
			return p.notRunning()
		}
		for _, process := range live {
			if err := process.Signal(signal); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
		for signal == syscall.SIGSTOP {
			if state, _ := p.State(); state != control.Running {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s: %w", p.name, ctx.Err())
			case <-time.After(time.Millisecond):
			}
		}
		p.notify()
		return nil
	})
}

func (p *Part) notRunning() error {
	_, reason := p.State()
	return fmt.Errorf("%s does not run (%s)", p.name, reason)
}
