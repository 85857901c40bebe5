package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ingot-lb/ingot/test/lab/control"
	"github.com/ingot-lb/ingot/test/lab/part"
	"github.com/ingot-lb/ingot/test/lab/process"
	"github.com/ingot-lb/ingot/test/lab/standin"
)

const (
	startTimeout = 90 * time.Second // until a started part is ready
	stopTimeout  = 30 * time.Second // until a part that was asked to has ended
	probeTimeout = 2 * time.Second
	probePeriod  = 50 * time.Millisecond
)

// Part is one thing that can be killed and started: one program, or for frr three.
type Part struct {
	name    part.Name
	place   string
	log     string
	reaper  *process.Reaper
	command []process.Command // in the order they start; Output is filled in
	pod     *standin.Pod      // nil for what is no Pod

	prepare func(context.Context) error // before each start; may be nil
	probe   func(context.Context) error // returns nil if the part is ready
	changed func()                      // called when a process started or ended; may be nil

	// A part is not ready while one that it needs is away. It then counts as started when alive returns nil; running
	// says whether any part of a kind runs. A part without alive waits for what it needs.
	needs   []string
	alive   func(context.Context) error
	running func(kind string) bool

	turn chan struct{} // held during an operation

	mu        sync.Mutex
	processes []*process.Process // parallel to command; nil: never started
	starts    int
}

// Name is what the part is called.
func (p *Part) Name() part.Name { return p.name }

// exclusively runs f when no other operation runs on the part.
func (p *Part) exclusively(ctx context.Context, f func() error) error {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
		return f()
	case <-ctx.Done():
		return fmt.Errorf("%s: waiting for another operation: %w", p.name, ctx.Err())
	}
}

// live are the processes that are there.
func (p *Part) live() []*process.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	var live []*process.Process
	for _, process := range p.processes {
		if process != nil && process.Alive() {
			live = append(live, process)
		}
	}
	return live
}

// Start starts what does not run of the part and waits until it is ready.
func (p *Part) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return p.exclusively(ctx, func() error {
		switch state, _ := p.State(); state {
		case control.Running:
			return fmt.Errorf("%s runs already", p.name)
		case control.Paused:
			return fmt.Errorf("%s is paused: resume it instead", p.name)
		}
		if p.prepare != nil {
			if err := p.prepare(ctx); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
		from, err := p.launch()
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if err := p.await(ctx); err != nil {
			return fmt.Errorf("%s: %w; %s", p.name, err, p.tail(from))
		}
		p.notify()
		return nil
	})
}

// launch starts the processes that are not there, and returns where in the log they begin.
func (p *Part) launch() (from int64, err error) {
	if err := os.MkdirAll(filepath.Dir(p.log), 0o700); err != nil {
		return 0, err
	}
	log, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	if from, err = log.Seek(0, io.SeekEnd); err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starts++
	for i, command := range p.command {
		if p.processes[i] != nil && p.processes[i].Alive() {
			continue
		}
		command.Output = log
		started, err := p.reaper.Start(command)
		if err != nil {
			return from, err
		}
		p.processes[i] = started
		go func() {
			<-started.Done()
			p.notify()
		}()
	}
	return from, nil
}

// await waits until the probe is content, or a process has ended, or ctx has.
func (p *Part) await(ctx context.Context) error {
	ticker := time.NewTicker(probePeriod)
	defer ticker.Stop()
	for {
		err := p.Ready(ctx)
		if err == nil || p.lacks() && p.answersAlive(ctx) {
			return nil
		}
		if state, reason := p.State(); state == control.Dead {
			return errors.New(reason)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready in time: %w", err)
		case <-ticker.C:
		}
	}
}

// lacks says whether the part can be alive without being ready, because it needs something that is away.
func (p *Part) lacks() bool {
	return p.alive != nil && slices.ContainsFunc(p.needs, func(kind string) bool { return !p.running(kind) })
}

func (p *Part) answersAlive(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return p.alive(ctx) == nil
}

// Ready asks the part whether it serves.
func (p *Part) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return p.probe(ctx)
}

// Alive says whether all of the part runs.
func (p *Part) Alive() bool { return len(p.live()) == len(p.command) }

// Starts counts the part's starts.
func (p *Part) Starts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.starts
}

// State is one of control's states, and for a dead part how it ended.
func (p *Part) State() (state, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	state = control.Running
	for i, process := range p.processes {
		if process == nil {
			return control.Dead, "never started"
		}
		if !process.Alive() {
			return control.Dead, fmt.Sprintf("%s %s", filepath.Base(p.command[i].Path), process.Exit())
		}
		if process.Paused() {
			state, reason = control.Paused, "paused"
		}
	}
	return state, reason
}

func (p *Part) notify() {
	if p.changed != nil {
		p.changed()
	}
}
