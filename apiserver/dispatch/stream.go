package dispatch

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

const (
	// ackTimeout closes a stream whose speaker leaves an update unacknowledged for so long.
	ackTimeout = 30 * time.Second
	// streamAge is when a stream is drained, give or take a tenth, so that callers prove anew who they are and
	// spread over replicas. The transport's own age (server.go) comes after it.
	streamAge = 27 * time.Minute
	// drainGrace is how long a drained speaker may take to be gone.
	drainGrace = 30 * time.Second
	// outbox is how many messages wait for the transport at most: one for each lane, and some small ones.
	outbox = 8
	// farewell is how long what is queued for a speaker has to go out when its stream ends; less than stopGrace.
	farewell = 3 * time.Second
)

// stream is one speaker's connection. One goroutine owns it; others only call wakeUp and supersede.
type stream struct {
	hub     *Hub
	node    *node
	hello   uint64 // its number among all of this replica
	wake    chan struct{}
	aborted chan struct{} // closed when another stream of the node took over

	out     chan *ingotv1.ConnectResponse
	lanes   map[ingotv1.Lane]*lane
	welcome uint64 // epoch last told; 0 when told that this replica does not lead
	greeted bool
	// settings are those last told; nil after each welcome.
	settings *ingotv1.Settings
	pulse    pulse
	drained  time.Time // when asked to leave; zero when not
	// heard is when something of the speaker last arrived, in Unix nanoseconds; stalled that this was too long ago.
	heard   atomic.Int64
	stalled bool
}

// run owns the stream until it ends, and says why in a gRPC status.
func (s *stream) run(ctx context.Context, in <-chan *ingotv1.ConnectRequest, recvErr, sendErr <-chan error) error {
	tick := time.NewTicker(heartbeatInterval)
	defer tick.Stop()
	age := time.NewTimer(streamAge*9/10 + rand.N(streamAge/5))
	defer age.Stop()
	s.flush(time.Now())
	for {
		select {
		case m := <-in:
			if err := s.handle(m, time.Now()); err != nil {
				return s.end(sendErr, err)
			}
		case now := <-tick.C:
			if err := s.beat(now); err != nil {
				return s.end(nil, err)
			}
		case <-s.wake:
		case <-age.C:
			s.drain("the stream has reached its age; connect again", time.Now())
		case <-s.hub.draining:
			s.drain("this replica is shutting down", time.Now())
			return s.end(sendErr, status.Error(codes.Unavailable, "this replica is shutting down"))
		case <-s.aborted:
			return s.end(sendErr, status.Errorf(codes.Aborted, "superseded by a newer stream of node %q", s.node.name))
		case err := <-recvErr:
			return err
		case err := <-sendErr:
			return err
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
		s.flush(time.Now())
		s.echo()
	}
}

// end lets what is queued go out, if the transport takes it soon, and returns reason.
func (s *stream) end(sendErr <-chan error, reason error) error {
	close(s.out)
	select {
	case <-sendErr:
	case <-time.After(farewell):
		// The transport is stuck; the return of the handler ends the sender.
	}
	return reason
}

// drain asks the speaker to leave.
func (s *stream) drain(reason string, now time.Time) {
	if s.drained.IsZero() {
		s.drained = now
		s.post(&ingotv1.ConnectResponse{Message: &ingotv1.ConnectResponse_Drain{Drain: &ingotv1.Drain{Reason: reason}}})
	}
}

// post queues a message, if there is room; it says whether there was.
func (s *stream) post(m *ingotv1.ConnectResponse) bool {
	select {
	case s.out <- m:
		return true
	default:
		return false
	}
}

// handle takes one message of the speaker.
func (s *stream) handle(m *ingotv1.ConnectRequest, now time.Time) error {
	s.hears(now)
	switch m := m.GetMessage().(type) {
	case *ingotv1.ConnectRequest_Ack:
		return s.acknowledge(m.Ack, now)
	case *ingotv1.ConnectRequest_Heartbeat:
		s.pulse.echoed(m.Heartbeat.GetEcho(), now)
		s.pulse.asked(m.Heartbeat.GetSeq())
		return nil
	case *ingotv1.ConnectRequest_Report:
		s.report(m.Report, now)
		return nil
	case *ingotv1.ConnectRequest_Hello:
		return status.Error(codes.InvalidArgument, "hello comes first, and only once")
	}
	return nil // a message of a later version
}

// flush sends what there is to send.
func (s *stream) flush(now time.Time) {
	if !s.greet() || !s.instruct() {
		return
	}
	if s.welcome == 0 || !s.drained.IsZero() {
		return
	}
	d := s.hub.desired.Load()
	for _, id := range allLanes {
		o := d.order(s.node.name, id)
		if o == nil || o.epoch != s.welcome || id == layer2Lane && d.heard < s.hello {
			continue
		}
		if len(s.out) == cap(s.out) {
			return
		}
		u := s.lanes[id].next(o, now)
		if u == nil {
			continue
		}
		if u.GetFullBegin() {
			s.hub.metrics.resyncs.WithLabelValues(laneName(id)).Inc()
		}
		s.hub.nodes.setUnacked(s, id, now)
		s.out <- &ingotv1.ConnectResponse{Message: &ingotv1.ConnectResponse_Update{Update: u}}
	}
}

// greet says who answers, at first and whenever the leadership changed. Nothing may be sent before it went out.
func (s *stream) greet() bool {
	epoch := s.hub.epoch()
	if s.greeted && epoch == s.welcome {
		return true
	}
	if !s.post(&ingotv1.ConnectResponse{Message: &ingotv1.ConnectResponse_Welcome{Welcome: &ingotv1.Welcome{
		Replica:             s.hub.replica,
		Lineage:             s.hub.store.Lineage(),
		Epoch:               epoch,
		Leading:             epoch != 0,
		HeartbeatIntervalMs: uint32(heartbeatInterval.Milliseconds()),
		HeartbeatValidityMs: uint32(heartbeatValidity.Milliseconds()),
	}}}) {
		return false
	}
	s.greeted, s.welcome, s.settings = true, epoch, nil
	return true
}

// wakeUp makes the stream look for something to send.
func (s *stream) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// overdue says that the speaker has been silent for too long, on an update or after it was asked to leave.
func (s *stream) overdue(now time.Time) error {
	for _, id := range allLanes {
		if l := s.lanes[id]; l.inflight != nil && now.Sub(l.sentAt) > ackTimeout {
			return status.Errorf(codes.DeadlineExceeded, "update %d in %s was not acknowledged within %s", l.inflight.GetNonce(), id, ackTimeout)
		}
	}
	if !s.drained.IsZero() && now.Sub(s.drained) > drainGrace {
		return status.Error(codes.Unavailable, "the stream was drained")
	}
	return nil
}

// laneName is the name of a lane in metrics and logs.
func laneName(id ingotv1.Lane) string {
	if id == layer2Lane {
		return "layer2"
	}
	return "routing"
}
