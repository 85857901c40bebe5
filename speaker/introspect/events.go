package introspect

import (
	"context"
	"log/slog"
	"sync"

	"google.golang.org/protobuf/types/known/timestamppb"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Limits of the fan-out of events.
const (
	maxWatchers   = 16
	watcherBuffer = 256
)

// eventKey is the log key that makes a line an event; spec.md section 9.2.
const eventKey = "event"

// Events hands log lines that tell of an event to those who watch. The log is the one place where events are
// written, so what is watched and what is logged cannot differ.
type Events struct {
	mu       sync.Mutex
	watchers map[chan *ingotv1.WatchEventsResponse]bool // whether only what is logged, too
}

// NewEvents returns events that nobody watches yet.
func NewEvents() *Events {
	return &Events{watchers: map[chan *ingotv1.WatchEventsResponse]bool{}}
}

// Watch returns the events from now on, or those of them that the log has, too. The channel is closed when its reader is too
// slow, or calls stop.
func (e *Events) Watch(logged bool) (events <-chan *ingotv1.WatchEventsResponse, stop func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.watchers) >= maxWatchers {
		return nil, nil, errTooManyWatchers
	}
	ch := make(chan *ingotv1.WatchEventsResponse, watcherBuffer)
	e.watchers[ch] = logged
	return ch, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.drop(ch)
	}, nil
}

func (e *Events) drop(ch chan *ingotv1.WatchEventsResponse) {
	if _, ok := e.watchers[ch]; ok {
		delete(e.watchers, ch)
		close(ch)
	}
}

func (e *Events) publish(ev *ingotv1.WatchEventsResponse, logged bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for ch, only := range e.watchers {
		if only && !logged {
			continue
		}
		select {
		case ch <- ev:
		default:
			e.drop(ch)
		}
	}
}

func (e *Events) watched() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.watchers) > 0
}

// Handler returns a log handler that writes to next and publishes events, to most of those who watch whatever the log level is.
func (e *Events) Handler(next slog.Handler) slog.Handler { return &tap{events: e, next: next} }

// tap is a slog.Handler in front of another.
type tap struct {
	events *Events
	next   slog.Handler
	attrs  []slog.Attr
	// nested says that attributes go into a group, where no event is looked for.
	nested bool
}

func (t *tap) Enabled(ctx context.Context, level slog.Level) bool {
	return t.next.Enabled(ctx, level) || level >= slog.LevelInfo && t.events.watched()
}

func (t *tap) Handle(ctx context.Context, r slog.Record) error {
	logged := t.next.Enabled(ctx, r.Level)
	if ev := t.event(r); ev != nil {
		t.events.publish(ev, logged)
	}
	if !logged {
		return nil
	}
	return t.next.Handle(ctx, r)
}

// event returns the event that r tells of, or nil.
func (t *tap) event(r slog.Record) *ingotv1.WatchEventsResponse {
	ev := &ingotv1.WatchEventsResponse{Time: timestamppb.New(r.Time), Message: r.Message, Attributes: map[string]string{}}
	add := func(a slog.Attr) bool {
		if a.Key == eventKey {
			ev.Event = a.Value.String()
			return true
		}
		ev.Attributes[a.Key] = a.Value.Resolve().String()
		return true
	}
	for _, a := range t.attrs {
		add(a)
	}
	if !t.nested {
		r.Attrs(add)
	}
	if ev.Event == "" {
		return nil
	}
	return ev
}

func (t *tap) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *t
	c.next = t.next.WithAttrs(attrs)
	if !t.nested {
		c.attrs = append(t.attrs[:len(t.attrs):len(t.attrs)], attrs...)
	}
	return &c
}

func (t *tap) WithGroup(name string) slog.Handler {
	c := *t
	c.next, c.nested = t.next.WithGroup(name), true
	return &c
}
