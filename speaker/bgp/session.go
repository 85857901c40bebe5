package bgp

import (
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// session is one neighbour: what it shall see, what its RIB holds, and how the session fares.
type session struct {
	log     *slog.Logger
	node    node
	changed func()

	// applying serializes what changes the wire: a new configuration, the kernel's news, transitions.
	applying     sync.Mutex
	cfg          sessionConfig // never changes
	connectRetry time.Duration // instead of cfg's
	wire         wire
	egress       egress
	want         map[netip.Prefix]attributes
	have         map[netip.Prefix]path
	retry        *time.Timer // while held down
	closed       bool

	// mu guards what observers read; it is never held while the wire is called, since faults take it.
	mu          sync.Mutex
	state       state
	since       time.Time
	lastError   string
	ipv4, ipv6  bool // families of the session that is up
	unreachable string
	paths4      int
	paths6      int
	wanted      int
	missing     map[netip.Prefix]bool // wanted, but without a next hop
}

// openSession starts a session: its paths are in the RIB before the first attempt to connect, so that the neighbour
// gets them all at once.
func openSession(cfg sessionConfig, want map[netip.Prefix]attributes, opener opener, n node, nodeName string, restored bool, log *slog.Logger, changed func()) (*session, error) {
	s := &session{
		log:          log.With("peer", cfg.peer, "address", cfg.address.String(), "localASN", cfg.ownASN(), "peerASN", cfg.peerASN),
		node:         n,
		changed:      changed,
		cfg:          cfg,
		connectRetry: cfg.connectRetry,
		have:         make(map[netip.Prefix]path),
		state:        stateIdle,
		since:        time.Now(),
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	s.look()
	routerID := cfg.routerID
	if !routerID.IsValid() {
		routerID = deriveRouterID(s.egress, n.firstIPv4(), nodeName)
	}
	w, err := opener.open(cfg, routerID, s.observe, s.fault)
	if err != nil {
		return nil, err
	}
	s.wire = w
	if err := s.program(want); err != nil {
		w.close()
		return nil, err
	}
	if err := w.connect(cfg, restored && cfg.gracefulRestart); err != nil {
		w.close()
		return nil, err
	}
	s.log.Info("peer configured, starting BGP session", "event", "peerAdded", "routerID", routerID.String())
	return s, nil
}

// apply takes a new set of paths, and the time between attempts to connect, which needs no reset.
func (s *session) apply(connectRetry time.Duration, want map[netip.Prefix]attributes) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	if err := s.program(want); err != nil {
		return err
	}
	if s.connectRetry == connectRetry {
		return nil
	}
	s.connectRetry = connectRetry
	s.mu.Lock()
	trying := s.retry == nil && (s.state == stateIdle || s.state == stateConnect || s.state == stateActive)
	s.mu.Unlock()
	if !trying {
		return nil // for the next attempt
	}
	return s.reconnect(false)
}

// refresh looks at the node again: addresses may have come or gone.
func (s *session) refresh() error {
	s.applying.Lock()
	defer s.applying.Unlock()
	if s.closed {
		return nil
	}
	s.look()
	return s.program(s.want)
}

// look asks the kernel for the way to the neighbour. While there is none, the last known one stands: the session
// itself shows whether the neighbour is reachable.
func (s *session) look() {
	e, err := s.node.egress(s.cfg)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.unreachable = err.Error()
		return
	}
	s.egress, s.unreachable = e, ""
}

// program brings the RIB to want: what is new or changed first, then what is gone. Equal sets touch nothing.
func (s *session) program(want map[netip.Prefix]attributes) error {
	next := make(map[netip.Prefix]path, len(want))
	missing := make(map[netip.Prefix]bool)
	for prefix, attrs := range want {
		if !s.cfg.carries(prefix) {
			continue
		}
		hop := nextHop(s.cfg, s.egress, prefix)
		if !hop.IsValid() {
			missing[prefix] = true
			continue
		}
		next[prefix] = path{prefix: prefix, nextHop: hop, attributes: s.cfg.shown(attrs)}
	}
	s.want = want
	add, remove := changes(s.have, next)
	if err := s.wire.add(add); err != nil {
		return err
	}
	if err := s.wire.remove(remove); err != nil {
		return err
	}
	s.have = next
	n4 := 0
	for prefix := range next {
		if prefix.Addr().Is4() {
			n4++
		}
	}
	s.mu.Lock()
	s.paths4, s.paths6, s.wanted, s.missing = n4, len(next)-n4, len(next)+len(missing), missing
	s.mu.Unlock()
	if len(add)+len(remove) > 0 {
		s.log.Info("making advertisements using BGP", "event", "updatedAdvertisements", "numAds", len(next), "changed", len(add), "withdrawn", len(remove))
		s.changed()
	}
	return nil
}

// fault notes what went wrong. It is called with gobgp's locks held.
func (s *session) fault(words string) {
	s.mu.Lock()
	news := s.lastError != words
	s.lastError = words
	s.mu.Unlock()
	if !news {
		return
	}
	if why, ok := strings.CutPrefix(words, connectPrefix); ok {
		s.log.Warn("failed to connect to peer", "op", "connect", "error", why)
	}
	s.changed()
}

// close takes the session out of the configuration.
func (s *session) close(reason string) {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.closed = true
	if s.retry != nil {
		s.retry.Stop()
	}
	s.wire.close()
	s.log.Info("peer deconfigured, closing BGP session", "event", "peerRemoved", "reason", reason)
}

// report says how the session fares.
func (s *session) report() *ingotv1.SessionReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &ingotv1.SessionReport{
		Peer:       s.cfg.peer,
		Address:    s.cfg.address.String(),
		Vrf:        s.cfg.vrf,
		State:      string(s.state),
		SinceMs:    s.since.UnixMilli(),
		Advertised: uint32(s.advertised()),
		LastError:  s.lastError,
	}
}

// advertised counts the paths that the neighbour sees. s.mu is held.
func (s *session) advertised() int {
	n := 0
	if s.state == stateEstablished && s.ipv4 {
		n += s.paths4
	}
	if s.state == stateEstablished && s.ipv6 {
		n += s.paths6
	}
	return n
}
