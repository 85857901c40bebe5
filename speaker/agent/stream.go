package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/boottime"
	"github.com/ingot-lb/ingot/speaker/desired"
)

// inboxSize is how many messages a replica may be ahead of the speaker. It has at most one update unacknowledged in
// each lane, says welcome and settings now and then, and of its echoes one waits here.
const inboxSize = 16

var (
	errSilent = errors.New("nothing was heard from the centre in time")
	errAhead  = errors.New("the centre does not wait for acknowledgements")
	errClosed = errors.New("the centre closed the stream")
)

// stream is one connection to one address of the centre.
type stream struct {
	endpoint string
	address  string
	out      *outbox
	replica  *desired.Replica
	// welcomed is guarded by core.mu.
	welcomed bool
	// settings are the replica's last, nil before any; guarded by core.mu.
	settings *ingotv1.Settings
	beats    beats
}

// connect keeps one stream until it breaks, and returns why.
func (a *Agent) connect(ctx context.Context, s *stream) error {
	creds, err := a.transportCredentials()
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient("passthrough:///"+s.address,
		grpc.WithTransportCredentials(creds),
		grpc.WithPerRPCCredentials(tokenFile(a.opts.TokenFile)),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: a.opts.timing.silence / 2}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true,
		}),
		grpc.WithStreamInterceptor(a.metrics.grpc.StreamClientInterceptor()),
	)
	if err != nil {
		return fmt.Errorf("%s: %w", s.address, err)
	}
	defer conn.Close()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	alive := newWatchdog(a.opts.timing.silence, func() { cancel(errSilent) })
	defer alive.stop()
	rpc, err := ingotv1.NewDispatchClient(conn).Connect(ctx)
	if err != nil {
		return orCause(ctx, err)
	}
	hello := a.core.opened(s)
	hello.Instance, hello.Version, hello.BootId = a.instance, a.opts.Version, a.opts.BootID
	if err := rpc.Send(&ingotv1.ConnectRequest{Message: &ingotv1.ConnectRequest_Hello{Hello: hello}}); err != nil && !errors.Is(err, io.EOF) {
		return orCause(ctx, err)
	}

	inbox := make(chan *ingotv1.ConnectResponse, inboxSize)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	defer close(inbox)
	wg.Go(func() { a.obey(ctx, s, inbox) })
	wg.Go(func() { send(ctx, rpc, s.out) })
	return orCause(ctx, a.receive(ctx, rpc, s, alive, inbox))
}

// receive answers heartbeats at once and puts the rest into the inbox, until the stream breaks.
func (a *Agent) receive(ctx context.Context, rpc ingotv1.Dispatch_ConnectClient, s *stream, alive *watchdog, inbox chan<- *ingotv1.ConnectResponse) error {
	for {
		msg, err := rpc.Recv()
		if errors.Is(err, io.EOF) {
			return errClosed
		}
		if err != nil {
			return err
		}
		alive.heard()
		switch m := msg.GetMessage().(type) {
		case *ingotv1.ConnectResponse_Heartbeat:
			if answer := s.beats.answer(m.Heartbeat, boottime.Now()); answer != nil {
				s.out.beat(answer)
			}
			// The echo counts once everything that came before it was obeyed.
			if s.beats.echoed(m.Heartbeat.GetEcho()) {
				select {
				case inbox <- msg:
				default: // what comes before it takes long; the next one will do
					s.beats.taken()
				}
			}
		case *ingotv1.ConnectResponse_Drain:
			return &drained{m.Drain.GetReason()}
		case *ingotv1.ConnectResponse_Welcome, *ingotv1.ConnectResponse_Update, *ingotv1.ConnectResponse_Settings:
			if w := msg.GetWelcome(); w != nil {
				alive.expect(time.Duration(w.GetHeartbeatIntervalMs()) * time.Millisecond)
			}
			select {
			case inbox <- msg:
			default:
				return errAhead
			}
		}
	}
}

// obey takes in what the replica says, in its order.
func (a *Agent) obey(ctx context.Context, s *stream, inbox <-chan *ingotv1.ConnectResponse) {
	for msg := range inbox {
		if ctx.Err() != nil {
			return
		}
		switch m := msg.GetMessage().(type) {
		case *ingotv1.ConnectResponse_Welcome:
			a.core.welcome(s, m.Welcome)
		case *ingotv1.ConnectResponse_Settings:
			a.core.instructed(s, m.Settings)
		case *ingotv1.ConnectResponse_Update:
			s.out.ack(a.core.update(ctx, s, m.Update))
		case *ingotv1.ConnectResponse_Heartbeat:
			a.core.roundTrip(s, s.beats.taken())
		}
	}
}

// send sends what is in the outbox. An error is the receiver's to find: gRPC says it there, in full.
func send(ctx context.Context, rpc ingotv1.Dispatch_ConnectClient, out *outbox) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-out.wake:
		}
		for msg := out.next(); msg != nil; msg = out.next() {
			if rpc.Send(msg) != nil {
				return
			}
		}
	}
}

// orCause returns why ctx was cancelled, where that is the reason for err.
func orCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// drained is the error of a stream that the replica closes in an orderly way.
type drained struct{ reason string }

func (d *drained) Error() string { return "the centre asks to connect again: " + d.reason }

// watchdog notices silence. gRPC's own keepalive answers for the transport; this one for who is behind it.
type watchdog struct {
	least time.Duration
	timer *time.Timer

	mu      sync.Mutex
	timeout time.Duration // 0: the replica does not promise to be heard
}

func newWatchdog(least time.Duration, bark func()) *watchdog {
	return &watchdog{least: least, timeout: least, timer: time.AfterFunc(least, bark)}
}

// expect sets the limit to four of the heartbeats promised, and no less than the least.
func (w *watchdog) expect(interval time.Duration) {
	w.mu.Lock()
	w.timeout = max(w.least, 4*interval)
	if interval == 0 {
		w.timeout = 0
	}
	w.mu.Unlock()
	w.heard()
}

func (w *watchdog) heard() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timeout == 0 {
		w.timer.Stop()
		return
	}
	w.timer.Reset(w.timeout)
}

func (w *watchdog) stop() { w.timer.Stop() }
