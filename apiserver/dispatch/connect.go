package dispatch

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ingot-lb/ingot/apiserver/dispatch/identity"
	"github.com/ingot-lb/ingot/apiserver/plan"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// helloTimeout bounds the wait for a caller's first message.
const helloTimeout = 10 * time.Second

// wire is what the hub uses of the server's side of Connect.
type wire interface {
	Context() context.Context
	Send(*ingotv1.ConnectResponse) error
	Recv() (*ingotv1.ConnectRequest, error)
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
		hub:     h,
		wake:    make(chan struct{}, 1),
		aborted: make(chan struct{}),
		out:     make(chan *ingotv1.ConnectResponse, outbox),
		pulse:   newPulse(time.Now()),
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

// guardFeature and segmentFeature are what speakers call the prefix guard and the segments. Older ones do without them,
// and are not told of them, for they would say that they cannot do them.
const (
	guardFeature   = "bgp_guard"
	segmentFeature = "layer2_segment"
)

// unknownTo says which items, by their ids, a speaker with some features does without; nil where there are none.
func unknownTo(features []string) func(id string) bool {
	guards, segments := slices.Contains(features, guardFeature), slices.Contains(features, segmentFeature)
	if guards && segments {
		return nil
	}
	return func(id string) bool { return !guards && id == plan.GuardID || !segments && plan.IsSegment(id) }
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
	unknown := unknownTo(hello.GetFeatures())
	s.lanes = map[ingotv1.Lane]*lane{}
	for _, id := range allLanes {
		s.lanes[id] = &lane{
			id: id, held: held[id], adoption: hello.GetAdoption(), unknown: unknown,
			explain: func(item string) (string, bool) { return s.hub.engine.removed.reason(hello.GetNode(), item) },
		}
	}
	s.heard.Store(time.Now().UnixNano())
	s.hub.nodes.attach(s, hello)
}
