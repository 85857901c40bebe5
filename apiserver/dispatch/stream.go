package dispatch

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ingot-lb/ingot/apiserver/dispatch/identity"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

const (
	// helloTimeout bounds the wait for a caller's first message.
	helloTimeout = 10 * time.Second
	// ackTimeout closes a stream whose speaker leaves an update unacknowledged for so long.
	ackTimeout = 30 * time.Second
	// streamAge is when a stream is drained, give or take a tenth, so that callers prove anew who they are and
	// spread over replicas. The transport's own age (server.go) comes after it.
	streamAge = 27 * time.Minute
	// drainGrace is how long a drained speaker may take to be gone.
	drainGrace = 30 * time.Second
	// outbox is how many messages wait for the transport at most: one for each lane, and some small ones.
	outbox = 8
)

// wire is what the hub uses of the server's side of Connect.
type wire interface {
	Context() context.Context
	Send(*ingotv1.ConnectResponse) error
	Recv() (*ingotv1.ConnectRequest, error)
}

// stream is one speaker's connection. One goroutine owns it; others only call wakeUp and supersede.
type stream struct {
	hub      *Hub
	node     *node
	instance string
	wake     chan struct{}
	aborted  chan struct{} // closed when another stream of the node took over

	out     chan *ingotv1.ConnectResponse
	lanes   map[ingotv1.Lane]*lane
	welcome uint64 // epoch last told; 0 when told that this replica does not lead
	greeted bool
	pulse   pulse
	drained time.Time // when asked to leave; zero when not
}

// dispatchServer is the gRPC face of a hub.
type dispatchServer struct {
	ingotv1.UnimplementedDispatchServer
	hub *Hub
}

// Connect implements ingotv1.DispatchServer.
func (d dispatchServer) Connect(s ingotv1.Dispatch_ConnectServer) error { return d.hub.connect(s) }

// connect serves one speaker until either side is done. Its error is a gRPC status.
func (h *Hub) connect(w wire) error {
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	in, recvErr := receive(ctx, w)
	hello, err := awaitHello(ctx, in, recvErr)
	if err != nil {
		return err
	}
	caller, ok := identity.FromContext(ctx)
	if !ok {
		return status.Error(codes.Unauthenticated, "no bearer token")
	}
	if err := checkHello(hello, caller); err != nil {
		h.log.Warn("speaker refused", "event", "speakerRefused", "node", caller.Node, "error", err)
		return err
	}
	s := &stream{
		hub:      h,
		instance: hello.GetInstance(),
		wake:     make(chan struct{}, 1),
		aborted:  make(chan struct{}),
		out:      make(chan *ingotv1.ConnectResponse, outbox),
		pulse:    newPulse(time.Now()),
	}
	s.open(hello)
	defer h.nodes.detach(s)
	h.log.Info("speaker connected", "event", "speakerConnected", "node", hello.GetNode(), "instance", hello.GetInstance(),
		"version", hello.GetVersion(), "lineage", hello.GetLineage(), "held", len(hello.GetHeld()))

	sendErr := make(chan error, 1)
	go func() { sendErr <- transmit(ctx, w, s.out) }()
	err = s.run(ctx, in, recvErr, sendErr)
	h.log.Info("speaker disconnected", "event", "speakerDisconnected", "node", hello.GetNode(), "instance", hello.GetInstance(), "reason", err)
	return err
}

// receive reads messages until the stream ends; then it says why.
func receive(ctx context.Context, w wire) (<-chan *ingotv1.ConnectRequest, <-chan error) {
	in := make(chan *ingotv1.ConnectRequest)
	failed := make(chan error, 1)
	go func() {
		for {
			m, err := w.Recv()
			if err != nil {
				failed <- err
				return
			}
			select {
			case in <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	return in, failed
}

// transmit sends what comes through out, until it is closed, or the stream breaks or is over.
func transmit(ctx context.Context, w wire, out <-chan *ingotv1.ConnectResponse) error {
	for {
		select {
		case m, ok := <-out:
			if !ok {
				return nil
			}
			if err := w.Send(m); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func awaitHello(ctx context.Context, in <-chan *ingotv1.ConnectRequest, failed <-chan error) (*ingotv1.Hello, error) {
	timer := time.NewTimer(helloTimeout)
	defer timer.Stop()
	select {
	case m := <-in:
		if m.GetHello() == nil {
			return nil, status.Error(codes.InvalidArgument, "the first message must be hello")
		}
		return m.GetHello(), nil
	case err := <-failed:
		return nil, err
	case <-timer.C:
		return nil, status.Errorf(codes.DeadlineExceeded, "no hello within %s", helloTimeout)
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

// checkHello accepts a hello of the node that the caller's token names.
func checkHello(hello *ingotv1.Hello, caller identity.Caller) error {
	switch {
	case hello.GetNode() != caller.Node:
		return status.Errorf(codes.PermissionDenied, "hello is for node %q, but the bearer token is bound to node %q", hello.GetNode(), caller.Node)
	case hello.GetInstance() == "":
		return status.Error(codes.InvalidArgument, "hello names no instance")
	}
	for _, held := range hello.GetHeld() {
		if held.GetId() == "" || held.GetLane() != layer2Lane && held.GetLane() != routingLane {
			return status.Errorf(codes.InvalidArgument, "hello holds item %q in lane %s", held.GetId(), held.GetLane())
		}
	}
	return nil
}

// open makes the lanes of what the speaker says it holds, and takes the node over.
func (s *stream) open(hello *ingotv1.Hello) {
	held := map[ingotv1.Lane]map[string]holding{}
	for _, id := range allLanes {
		held[id] = map[string]holding{}
	}
	for _, item := range hello.GetHeld() {
		held[item.GetLane()][item.GetId()] = holding{digest: item.GetDigest(), status: item.GetStatus()}
	}
	s.lanes = map[ingotv1.Lane]*lane{}
	for _, id := range allLanes {
		s.lanes[id] = &lane{
			id: id, held: held[id], adoption: hello.GetAdoption(),
			explain: func(item string) (string, bool) { return s.hub.engine.removed.reason(hello.GetNode(), item) },
		}
	}
	s.hub.nodes.attach(s, hello)
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
	}
}

// end lets what is queued go out, if the transport takes it soon, and returns reason.
func (s *stream) end(sendErr <-chan error, reason error) error {
	close(s.out)
	select {
	case <-sendErr:
	case <-time.After(time.Second):
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
	switch m := m.GetMessage().(type) {
	case *ingotv1.ConnectRequest_Ack:
		return s.acknowledge(m.Ack, now)
	case *ingotv1.ConnectRequest_Heartbeat:
		s.pulse.echoed(m.Heartbeat.GetEcho(), now)
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
	if !s.greet() {
		return
	}
	if s.welcome == 0 || !s.drained.IsZero() {
		return
	}
	d := s.hub.desired.Load()
	for _, id := range allLanes {
		o := d.order(s.node.name, id)
		if o == nil || o.epoch != s.welcome {
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
	s.greeted, s.welcome = true, epoch
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
