package bgp

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/server"
)

const (
	// restartSeconds is how long a neighbour keeps our routes under graceful restart, as FRR's default.
	restartSeconds = 120
	// deferralSeconds is how long a restarting instance waits for the neighbour's End-of-RIB. It selects among
	// its own paths only, so there is nothing to wait for; 1 is gobgp's smallest value.
	deferralSeconds = 1
)

// gobgp opens wires on gobgp servers. A stopped server cannot be freed, since its main goroutine never ends, so
// stopped servers are kept and used again.
type gobgp struct {
	log *slog.Logger
	// prefixLimit is how many prefixes of a family a neighbour may send before its session is closed. None is
	// accepted, but gobgp remembers all while the session lasts.
	prefixLimit int

	mu   sync.Mutex
	idle []*instance
}

type instance struct {
	server *server.BgpServer
	logger *gobgpLogger
}

func (g *gobgp) take() *instance {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.idle); n > 0 {
		in := g.idle[n-1]
		g.idle = g.idle[:n-1]
		return in
	}
	logger := &gobgpLogger{log: g.log}
	in := &instance{server: server.NewBgpServer(server.LoggerOption(logger)), logger: logger}
	go in.server.Serve()
	return in
}

func (g *gobgp) give(in *instance) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.idle = append(g.idle, in)
}

// gobgpWire is a wire on one gobgp server.
type gobgpWire struct {
	owner *gobgp
	*instance
	cancel context.CancelFunc
	ownASN uint32

	mu        sync.Mutex
	neighbour string                      // address; empty while not connected
	before    counters                    // of neighbours that were deleted
	conn      atomic.Pointer[checkedConn] // the newest one; nil: none yet
	answered  atomic.Uint64               // see checkedConn
}

// open starts a server that accepts nothing from the neighbour. It does not connect yet.
func (g *gobgp) open(cfg sessionConfig, routerID netip.Addr, observe func(transition), fault func(fault)) (wire, error) {
	in := g.take()
	ctx, cancel := context.WithCancel(context.Background())
	w := &gobgpWire{owner: g, instance: in, cancel: cancel, ownASN: cfg.ownASN()}
	in.logger.sink.Store(&faultSink{peer: cfg.peer, fault: fault, connected: func() {
		err := interpose(in.server, func(conn net.Conn) net.Conn {
			checked := check(conn, cfg.hold, fault, &w.answered)
			w.conn.Store(checked)
			return checked
		})
		if err != nil {
			g.log.Error("the peer's messages are not checked", "op", "interpose", "peer", cfg.peer, "error", err)
		}
	}})
	if err := w.start(ctx, cfg, routerID, observe); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *gobgpWire) start(ctx context.Context, cfg sessionConfig, routerID netip.Addr, observe func(transition)) error {
	err := w.server.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
		Asn:        cfg.ownASN(),
		RouterId:   routerID.String(),
		ListenPort: -1,
		Families:   []uint32{0, 1}, // gobgp's numbers for IPv4 and IPv6 unicast
	}})
	if err != nil {
		return fmt.Errorf("start BGP: %w", err)
	}
	// The global import policy covers our own paths too: accept those, then reject.
	local := &api.Policy{Name: "local", Statements: []*api.Statement{{
		Name:       "local",
		Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
		Actions:    &api.Actions{RouteAction: api.RouteAction_ACCEPT},
	}}}
	if err := w.server.AddPolicy(ctx, &api.AddPolicyRequest{Policy: local}); err != nil {
		return fmt.Errorf("add import policy: %w", err)
	}
	err = w.server.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
		Name:          "global",
		Direction:     api.PolicyDirection_IMPORT,
		Policies:      []*api.Policy{local},
		DefaultAction: api.RouteAction_REJECT,
	}})
	if err != nil {
		return fmt.Errorf("assign import policy: %w", err)
	}
	err = w.server.WatchEvent(ctx, &api.WatchEventRequest{Peer: &api.WatchEventRequest_Peer{}}, func(e *api.WatchEventResponse) {
		p := e.GetPeer()
		if p == nil || p.GetType() != api.WatchEventResponse_PeerEvent_STATE {
			return
		}
		s := p.GetPeer().GetState()
		if s.GetLocalAsn() == 0 {
			return // the end of a neighbour that was deleted: there may be another in its place by now
		}
		limit := 0
		if s.GetAdminState() == api.PeerState_PFX_CT {
			limit = w.owner.prefixLimit
		}
		observe(transition{
			state:       stateOf(s.GetSessionState()),
			peerASN:     s.GetPeerAsn(),
			localASN:    s.GetLocalAsn(),
			peerID:      s.GetRouterId(),
			local:       knownAddress(p.GetPeer().GetTransport().GetLocalAddress()),
			prefixLimit: limit,
		})
	})
	if err != nil {
		return fmt.Errorf("watch sessions: %w", err)
	}
	return nil
}

// knownAddress is what gobgp says of an address; empty where it knows none, as of our link-local ones.
func knownAddress(s string) string {
	if _, err := netip.ParseAddr(s); err != nil {
		return ""
	}
	return s
}

func stateOf(s api.PeerState_SessionState) state {
	switch s {
	case api.PeerState_CONNECT:
		return stateConnect
	case api.PeerState_ACTIVE:
		return stateActive
	case api.PeerState_OPENSENT:
		return stateOpenSent
	case api.PeerState_OPENCONFIRM:
		return stateOpenConfirm
	case api.PeerState_ESTABLISHED:
		return stateEstablished
	}
	return stateIdle
}

func (w *gobgpWire) add(paths []path) error {
	for _, p := range paths {
		encoded, err := encodePath(p, w.ownASN)
		if err != nil {
			return err
		}
		if _, err := w.server.AddPath(context.Background(), &api.AddPathRequest{Path: encoded}); err != nil {
			return fmt.Errorf("add path %s: %w", p.prefix, err)
		}
	}
	return nil
}

func (w *gobgpWire) remove(paths []path) error {
	for _, p := range paths {
		encoded, err := encodePath(p, w.ownASN)
		if err != nil {
			return err
		}
		if err := w.server.DeletePath(context.Background(), &api.DeletePathRequest{Path: encoded}); err != nil {
			return fmt.Errorf("remove path %s: %w", p.prefix, err)
		}
	}
	return nil
}

func (w *gobgpWire) connect(cfg sessionConfig, to target, restarting bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.server.AddPeer(context.Background(), &api.AddPeerRequest{Peer: encodePeer(cfg, to, restarting, w.owner.prefixLimit)}); err != nil {
		return fmt.Errorf("add peer: %w", err)
	}
	w.neighbour = to.address.String()
	return nil
}

func (w *gobgpWire) disconnect() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.neighbour == "" {
		return nil
	}
	if c, err := w.read(); err == nil {
		w.before = w.before.plus(c)
	}
	if err := w.server.DeletePeer(context.Background(), &api.DeletePeerRequest{Address: w.neighbour}); err != nil {
		return fmt.Errorf("delete peer: %w", err)
	}
	w.neighbour = ""
	return nil
}

func (w *gobgpWire) reset(words string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.neighbour == "" {
		return nil
	}
	if err := w.server.ResetPeer(context.Background(), &api.ResetPeerRequest{Address: w.neighbour, Communication: words}); err != nil {
		return fmt.Errorf("reset peer: %w", err)
	}
	return nil
}

func (w *gobgpWire) shutdown(words string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.neighbour == "" {
		return nil
	}
	if err := w.server.DisablePeer(context.Background(), &api.DisablePeerRequest{Address: w.neighbour, Communication: words}); err != nil {
		return fmt.Errorf("disable peer: %w", err)
	}
	return nil
}

func (w *gobgpWire) hangUp() {
	if conn := w.conn.Load(); conn != nil {
		conn.hangUp()
	}
}

// close frees the server for its next use. StopBgp waits until the CEASE is written, for a hold time at most.
func (w *gobgpWire) close() {
	w.logger.sink.Store(nil)
	w.cancel()
	w.mu.Lock()
	w.neighbour = ""
	w.mu.Unlock()
	go func() {
		if err := w.server.StopBgp(context.Background(), &api.StopBgpRequest{}); err != nil {
			w.owner.log.Error("stopping a BGP instance; it is not used again", "op", "stopBGP", "error", err)
			return
		}
		w.owner.give(w.instance)
	}()
}
