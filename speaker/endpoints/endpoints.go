// Package endpoints asks the node itself whether it has endpoints of Services with externalTrafficPolicy Local: kube-proxy
// answers for each on its healthCheckNodePort. It is what there is to know while the centre is away.
package endpoints

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// interval is about how often each port is asked.
	interval = time.Second
	// timeout bounds one question; workers is how many are under way at most.
	timeout = 500 * time.Millisecond
	workers = 8
	// failures in a row are taken for nothing being known.
	failures = 3
)

// state is what is known of one port.
type state struct {
	known, here bool
	failed      int
}

// Poller asks the ports that it is told to watch.
type Poller struct {
	log     *slog.Logger
	changed func()
	client  *http.Client
	wake    chan struct{}

	mu    sync.Mutex
	ports []uint32 // sorted
	state map[uint32]state
}

// New returns a poller that asks nothing. changed is called, from Run, when the answer of a port changed.
func New(log *slog.Logger, changed func()) *Poller {
	return &Poller{
		log: log, changed: changed, wake: make(chan struct{}, 1), state: make(map[uint32]state),
		client: &http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true}},
	}
}

// Watch makes ports the complete set of those to ask. What is not asked any more is forgotten.
func (p *Poller) Watch(ports []uint32) {
	ports = slices.Clone(ports)
	slices.Sort(ports)
	ports = slices.Compact(ports)
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Equal(p.ports, ports) {
		return
	}
	p.ports = ports
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Here says whether the node has endpoints of the Service with that healthCheckNodePort, where it is known.
func (p *Poller) Here(port uint32) (known, here bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.state[port]
	return s.known, s.here
}

// Run asks until ctx ends.
func (p *Poller) Run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if p.sweep(ctx) {
			timer.Reset(interval*9/10 + rand.N(interval/5))
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-timer.C:
		}
	}
}

// sweep asks every port once; it says whether there are any.
func (p *Poller) sweep(ctx context.Context) bool {
	p.mu.Lock()
	ports, changed := p.ports, false
	for port, s := range p.state {
		if _, watched := slices.BinarySearch(ports, port); !watched {
			delete(p.state, port)
			changed = changed || s.known
		}
	}
	p.mu.Unlock()
	var g errgroup.Group
	g.SetLimit(workers)
	for _, port := range ports {
		g.Go(func() error {
			here, err := p.ask(ctx, port)
			p.mu.Lock()
			defer p.mu.Unlock()
			was := p.state[port]
			now := state{known: true, here: here}
			if err != nil {
				now = state{known: was.known, here: was.here, failed: was.failed + 1}
				if now.failed >= failures {
					now.known, now.here = false, false
				}
				p.log.Debug("cannot tell whether the node has endpoints", "op", "healthCheckNodePort", "port", port, "error", err)
			}
			p.state[port] = now
			changed = changed || was.known != now.known || was.here != now.here
			return nil
		})
	}
	_ = g.Wait() // errors are kept by port
	if changed {
		p.changed()
	}
	return len(ports) > 0
}

// ask asks one port. kube-proxy answers 200 where there are endpoints, and 503 where there are none.
func (p *Poller) ask(ctx context.Context, port uint32) (here bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/healthz", port), nil)
	if err != nil {
		return false, fmt.Errorf("port %d: %w", port, err)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return false, fmt.Errorf("port %d: %w", port, err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)); err != nil {
		return false, fmt.Errorf("port %d: %w", port, err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return true, nil
	case http.StatusServiceUnavailable:
		return false, nil
	}
	return false, fmt.Errorf("port %d: unexpected status %s", port, resp.Status)
}
