package service

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

// version is what tells two states of an object of the configuration apart, whatever its status.
type version struct {
	uid        types.UID
	generation int64
}

// rounds let many who ask the same thing at once share an answer.
type rounds struct {
	mu sync.Mutex
	// next is the round that has not begun, nil where nobody waits for one.
	next    *round
	running bool
}

type round struct {
	done chan struct{}
	err  error
}

// confirm returns nil when the configuration that was heard of is the one that the server has, at a moment after the call.
// Those who come while the server is being asked share the question after that, so that thousands of Services that
// are made at once, with the same thing wrong with them, do not ask thousands of times.
func (p *Preview) confirm(ctx context.Context) error {
	p.rounds.mu.Lock()
	if p.rounds.next == nil {
		p.rounds.next = &round{done: make(chan struct{})}
	}
	r := p.rounds.next
	if !p.rounds.running {
		p.rounds.running = true
		go p.answer(context.WithoutCancel(ctx))
	}
	p.rounds.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrStale, ctx.Err())
	}
}

// answer goes on for as long as somebody waits.
func (p *Preview) answer(ctx context.Context) {
	for {
		p.rounds.mu.Lock()
		r := p.rounds.next
		p.rounds.next, p.rounds.running = nil, r != nil
		p.rounds.mu.Unlock()
		if r == nil {
			return
		}
		r.err = p.compare(ctx)
		close(r.done)
	}
}

// compare is one question to the server; what was heard may take a moment to become what it has.
func (p *Preview) compare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(p.CatchUp, catchUp))
	defer cancel()
	there, err := p.configured(ctx)
	for err == nil && !p.knows(there) {
		if err = backoff.Sleep(ctx, 10*time.Millisecond); err == nil {
			there, err = p.configured(ctx)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStale, err)
	}
	return nil
}

// configuration is what a decision depends on beside Services and namespaces.
var configuration = []string{"ipaddresspools", "addresspools", "ipreservations"}

// configured asks the server for what there is, by resource and name.
func (p *Preview) configured(ctx context.Context) (map[string]version, error) {
	lists := make([]metav1.PartialObjectMetadataList, len(configuration))
	g, ctx := errgroup.WithContext(ctx)
	for i, resource := range configuration {
		g.Go(func() error {
			body, err := p.Pools.Get().Namespace(p.Namespace).Resource(resource).
				SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").DoRaw(ctx)
			if err == nil {
				err = json.Unmarshal(body, &lists[i])
			}
			if err != nil {
				return fmt.Errorf("list of %s: %w", resource, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	there := map[string]version{}
	for i, list := range lists {
		for j := range list.Items {
			o := &list.Items[j]
			there[configuration[i]+"/"+o.Name] = version{o.UID, o.Generation}
		}
	}
	return there, nil
}

// knows reports whether exactly that has been heard of.
func (p *Preview) knows(there map[string]version) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(there) != len(p.book.pools)+len(p.reservations.reservations) {
		return false
	}
	for key, o := range p.book.pools {
		kind := "ipaddresspools/"
		if key.legacy {
			kind = "addresspools/"
		}
		if there[kind+key.name] != (version{o.UID, o.Generation}) {
			return false
		}
	}
	for name, o := range p.reservations.reservations {
		if there["ipreservations/"+name] != (version{o.UID, o.Generation}) {
			return false
		}
	}
	return true
}
