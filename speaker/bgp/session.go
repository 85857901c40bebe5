package bgp

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/ingot-lb/ingot/speaker/backoff"
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
	routerID     netip.Addr
	wire         wire
	release      func()          // what the node does for the session
	egress       egress          // changed with mu held, too
	way          way             // that the wire connects by; its address is invalid while the wire does not
	restarting   bool            // the neighbour may still hold our routes when we connect next
	pace         backoff.Backoff // between sessions that do not last
	retry        *time.Timer     // while the next attempt waits
	again        *time.Timer     // while the node is looked at again, for it knows no way
	drainTimer   *time.Timer     // while the session is being drained
	drainTime    time.Duration   // between the request to prefer others and the session's end
	silence      *time.Timer     // while the neighbour owes us a word
	retired      bool            // the process ends: nothing brings the session into service again
	closed       bool

	// mu guards what observers read; it is never held while the wire is called, since faults take it.
	mu          sync.Mutex
	state       state
	since       time.Time
	last        lastFault
	reached     reached
	agreed      agreement // by the session that is up
	ipv4, ipv6  bool      // families of the session that is up
	demand      uint32    // AS number that a dynamic neighbour must say at the next attempt; 0 for any
	unreachable string
	beyondLink  netip.Addr // gateway to an external neighbour that must be one hop away; invalid when it is on the link
	// heard says that there was a session, and tookIPv6Hops whether the neighbour took IPv6 next hops for IPv4 prefixes then.
	heard, tookIPv6Hops bool
	unanswered          bool    // since the last session, the neighbour has not answered our OPEN at least once
	connected           way     // that the wire connects by, for observers
	rib                 *rib    // changed with applying held, too
	service             service // likewise
}

// openSession starts a session: its paths are in the RIB before the first attempt to connect, so that the neighbour
// gets them all at once.
func openSession(cfg sessionConfig, want *delta, g *guard, opener opener, n node, nodeName string, restored bool, drainTime time.Duration, log *slog.Logger, changed func()) (*session, error) {
	s := &session{
		log:          log.With("peer", cfg.peer, "address", cfg.neighbour(), "localASN", cfg.ownASN(), "peerASN", cfg.peerASN),
		node:         n,
		changed:      changed,
		cfg:          cfg,
		connectRetry: cfg.connectRetry,
		drainTime:    drainTime,
		pace:         backoff.Backoff{First: firstPause, Most: longestPause},
		restarting:   restored && cfg.gracefulRestart,
		rib:          newRIB(cfg),
		state:        stateIdle,
		since:        time.Now(),
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	s.release = n.hold(cfg)
	if err := s.open(want, g, opener, nodeName); err != nil {
		s.end()
		return nil, err
	}
	s.log.Info("peer configured, starting BGP session", "event", "peerAdded", "routerID", s.routerID.String())
	return s, nil
}

func (s *session) open(want *delta, g *guard, opener opener, nodeName string) error {
	s.look()
	s.routerID = s.cfg.routerID
	if !s.routerID.IsValid() {
		s.routerID = deriveRouterID(s.egress, s.node.firstIPv4(), nodeName)
	}
	w, err := opener.open(s.cfg, s.routerID, s.observe, s.fault)
	if err != nil {
		return err
	}
	s.wire = w
	s.reached.routerID = s.routerID.String()
	switch {
	case s.cfg.drain && s.restarting:
		// The neighbour holds routes of ours, and is to be told what to think of them.
		s.enter(draining)
		s.shutAfter(drainedWords, s.drainTime)
	case s.cfg.drain:
		s.enter(shut)
	}
	if err := s.program(want, g); err != nil {
		return err
	}
	return s.follow()
}

// end frees what the session has. s.applying is held.
func (s *session) end() {
	s.closed = true
	for _, timer := range []*time.Timer{s.retry, s.again, s.drainTimer, s.silence} {
		if timer != nil {
			timer.Stop()
		}
	}
	if s.wire != nil {
		s.wire.close()
	}
	s.release()
}

// needsReset says whether n takes a new session. To write out the router ID that is in use does not.
func (s *session) needsReset(n sessionConfig) bool {
	if n.routerID == s.routerID {
		n.routerID = s.cfg.routerID
	}
	return s.cfg.needsReset(n)
}

// apply takes a change of what the neighbour shall see, and what of a configuration needs no reset: the time between attempts
// to connect, and whether the session is in service.
func (s *session) apply(cfg sessionConfig, d *delta, g *guard) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	if err := s.program(d, g); err != nil {
		return err
	}
	if err := s.serve(cfg.drain); err != nil {
		return err
	}
	if s.connectRetry == cfg.connectRetry {
		return nil
	}
	s.connectRetry = cfg.connectRetry
	s.mu.Lock()
	trying := s.retry == nil && (s.state == stateIdle || s.state == stateConnect || s.state == stateActive)
	s.mu.Unlock()
	if !trying || !s.way.address.IsValid() {
		return nil // for the next attempt
	}
	return s.reconnect()
}

// refresh looks at the node again: addresses may have come or gone.
func (s *session) refresh() error {
	s.applying.Lock()
	defer s.applying.Unlock()
	if s.closed {
		return nil
	}
	s.look()
	if err := s.reprogram(); err != nil {
		return err
	}
	return s.follow()
}

// lookAgain is how long after the node knew no way to a neighbour it is asked again. It says by itself when links and
// addresses change, but not when routes do.
const lookAgain = 5 * time.Second

// look asks the node for the way to the neighbour. While there is none to a neighbour whose address is configured, the last
// known one stands: the session itself shows whether it is reachable.
func (s *session) look() {
	e, err := s.node.egress(s.cfg)
	why := ""
	if err != nil {
		why = err.Error()
	}
	s.mu.Lock()
	before, established := s.unreachable, s.state == stateEstablished
	s.unreachable = why
	s.mu.Unlock()
	switch {
	case err == nil:
		s.mu.Lock()
		s.egress = e
		s.beyondLink = netip.Addr{}
		if s.cfg.external() && !s.cfg.multiHop {
			s.beyondLink = e.gateway
		}
		s.mu.Unlock()
		return
	case s.cfg.linkLocal():
		s.mu.Lock()
		s.egress = egress{}
		s.mu.Unlock()
	}
	if why != before && !established {
		s.log.Warn("no way to the peer now", "op", "connect", "error", why)
	}
	if s.again != nil {
		s.again.Stop()
	}
	s.again = time.AfterFunc(lookAgain, func() {
		if err := s.refresh(); err != nil {
			s.log.Error("cannot follow the way to the peer", "op", "connect", "error", err)
		}
		s.changed()
	})
}

// reprogram looks at every path again: next hops may have changed.
func (s *session) reprogram() error {
	s.mu.Lock()
	s.rib.stale = true
	g := s.rib.guard
	s.mu.Unlock()
	return s.program(newDelta(), g)
}

// program brings the RIB to what is wanted: what is new or changed first, then what is gone. What stays costs nothing.
func (s *session) program(d *delta, g *guard) error {
	s.mu.Lock()
	verdicts, refused := s.rib.verdicts, len(s.rib.refused)
	extended := s.agreed.extendedNextHop
	if s.cfg.linkLocal() && s.state != stateEstablished {
		// What it said last, for it takes an IPv6 next hop for an offence otherwise. Of one that may still hold our routes it
		// is assumed: they must come before End-of-RIB.
		extended = s.tookIPv6Hops || !s.heard && s.restarting
	}
	add, remove := s.rib.step(d, g, func(p netip.Prefix) netip.Addr { return nextHop(s.cfg, s.egress, extended, p) })
	verdicts, paths := s.rib.verdicts-verdicts, len(s.rib.have)
	refusal := ""
	if len(s.rib.refused) > refused {
		refusal = s.rib.refusal()
	}
	s.mu.Unlock()
	if refusal != "" {
		s.log.Error("the plan contradicts its own bounds", "op", "sendUpdate", "error", refusal)
	}
	err := s.wire.add(add)
	if err == nil {
		err = s.wire.remove(remove)
	}
	if err != nil {
		s.mu.Lock()
		s.rib.failed(add, remove)
		s.mu.Unlock()
		return err
	}
	if len(add)+len(remove) > 0 {
		s.log.Info("making advertisements using BGP", "event", "updatedAdvertisements", "numAds", paths, "changed", len(add), "withdrawn", len(remove))
	}
	if len(add)+len(remove) > 0 || verdicts > 0 {
		s.changed()
	}
	return nil
}

// objection is why a new guard is refused, with d to come.
func (s *session) objection(g *guard, d *delta) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rib.objection(g, d)
}

// close takes the session out of the configuration.
func (s *session) close(reason string) {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.finish(reason)
}

// finish is close with s.applying held.
func (s *session) finish(reason string) {
	s.end()
	s.log.Info("peer deconfigured, closing BGP session", "event", "peerRemoved", "reason", reason)
}

// address is the neighbour's, as configured or as found. s.mu is held.
func (s *session) address() string {
	if s.cfg.address.IsValid() {
		return s.cfg.address.String()
	}
	if s.connected.address.IsValid() {
		return s.connected.address.String()
	}
	return ""
}

// device is the interface of a link-local neighbour, as configured or as found. s.mu is held.
func (s *session) device() string {
	if s.cfg.unnumbered == "" && s.cfg.linkLocal() {
		return s.connected.device
	}
	return s.cfg.unnumbered
}
