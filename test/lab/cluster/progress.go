package cluster

import (
	"context"
	"encoding/json"
	"io"
	"sync"
	"time"
)

// Event is one line of what a wrapper tells the `lab up` that started it. The last one has Ready or Error.
type Event struct {
	Step  string        `json:"step,omitempty"` // what was done
	Took  time.Duration `json:"took,omitempty"`
	Ready bool          `json:"ready,omitempty"`
	Error string        `json:"error,omitempty"`
}

// progress writes events.
type progress struct {
	mu sync.Mutex
	to io.Writer
}

// tell writes an event. Nobody may be reading any more: then `lab up` has gone, and this process goes with it.
func (p *progress) tell(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = json.NewEncoder(p.to).Encode(e)
}

// step runs f and tells how long it took.
func (p *progress) step(ctx context.Context, name string, f func(context.Context) error) error {
	began := time.Now()
	if err := f(ctx); err != nil {
		return err
	}
	p.tell(Event{Step: name, Took: time.Since(began)})
	return nil
}
