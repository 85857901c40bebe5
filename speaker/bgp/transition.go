package bgp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

const (
	// stableAfter is how long a session must have been up for its loss to be followed by a new attempt at once.
	stableAfter = 5 * time.Second
	// firstPause and longestPause bound the waits before a neighbour that ends sessions early, or refuses them, is tried
	// again. gobgp adds 1 to 2 s to each.
	firstPause, longestPause = time.Second, 30 * time.Second
	// holdDownPrefixes is how long a neighbour that sent too many prefixes is let be.
	holdDownPrefixes = 5 * time.Minute
	// noASN is an AS number that no neighbour can have (RFC 7300): to demand it refuses whoever there is.
	noASN = 4294967295
)

// observe follows the wire's transitions.
func (s *session) observe(t transition) {
	s.applying.Lock()
	defer s.applying.Unlock()
	if s.closed || !s.way.address.IsValid() {
		return // news of a session that was given up
	}
	s.mu.Lock()
	before, lived := s.state, time.Since(s.since)
	s.mu.Unlock()
	var agreed agreement
	if t.state == stateEstablished && before != stateEstablished {
		var up bool
		if agreed, up = s.agree(t); !up {
			s.changed()
			return
		}
	}
	s.mu.Lock()
	if t.state == stateEstablished && before != stateEstablished {
		// All at once: a session is shown with what was negotiated, or not at all.
		s.agreed, s.ipv4, s.ipv6 = agreed, agreed.ipv4 && s.cfg.ipv4, agreed.ipv6 && s.cfg.ipv6
		s.unanswered, s.heard, s.tookIPv6Hops = false, true, agreed.extendedNextHop
	}
	if before != t.state {
		s.state, s.since = t.state, time.Now()
	}
	s.reached.follow(before, t)
	s.mu.Unlock()
	switch {
	case t.prefixLimit > 0:
		if before == stateEstablished && t.state != stateEstablished {
			s.log.Warn("BGP session down", "event", "sessionDown", "error", "too many prefixes")
		}
		s.holdDown(fault{code: codeCease, subcode: ceaseMaxPrefixes,
			words: fmt.Sprintf("the peer sent more than %d prefixes of one family", t.prefixLimit)}, holdDownPrefixes)
	case t.state == stateEstablished && before != stateEstablished:
		s.up(t)
	case before == stateEstablished && t.state != stateEstablished && s.inService() == shut:
		s.log.Info("BGP session shut", "event", "sessionDown")
		if err := s.disconnect(""); err != nil {
			s.log.Error("cannot shut the session", "op", "disconnect", "error", err)
		}
	case before == stateEstablished && t.state != stateEstablished:
		s.down(lived >= stableAfter)
	case (t.state == stateOpenSent || t.state == stateOpenConfirm) && before != t.state:
		s.awaitWord()
	case t.state == stateIdle && (before == stateOpenSent || before == stateOpenConfirm):
		s.pause(s.pace.Next())
	}
	s.changed()
}

// agree reads what was negotiated when the wire says that there is a session. It says whether there is one to use: not one
// that has ended meanwhile, of which the wire will say so, and not one that is not as configured, which it ends.
func (s *session) agree(t transition) (a agreement, up bool) {
	kind := asnKind(s.cfg.ownASN(), t.peerASN)
	if s.cfg.dynamicASN != "" && kind != s.cfg.dynamicASN {
		// From now on gobgp refuses it, with Bad Peer AS, until it says another number.
		s.demandASN(noASN)
		s.holdDown(deconfigured(s.wrongKind(t.peerASN)), s.pace.Next())
		return agreement{}, false
	}
	s.mu.Lock()
	beyond := s.beyondLink.IsValid() && s.cfg.dynamicASN != "" && s.demand == 0
	s.mu.Unlock()
	if beyond {
		// gobgp sends with a TTL of 1, as single-hop sessions must, only to neighbours of which it knows the AS number.
		s.demandASN(t.peerASN)
		if err := s.reconnect(); err != nil {
			s.log.Error("cannot restart the session", "op", "connect", "error", err)
		}
		return agreement{}, false
	}
	s.restarting = s.cfg.gracefulRestart // from now on the neighbour may hold our routes
	a, err := s.wire.negotiated()
	switch {
	case errors.Is(err, errNoSession):
		return agreement{}, false
	case err != nil:
		s.log.Error("cannot read what the peer negotiated", "op", "readPeer", "error", err)
		a = agreement{ipv4: s.cfg.ipv4, ipv6: s.cfg.ipv6, hold: s.cfg.hold, keepalive: s.cfg.keepalive}
	}
	return a, true
}

// up follows the beginning of a session.
func (s *session) up(t transition) {
	s.log.Info("BGP session established", "event", "sessionUp", "remoteASN", t.peerASN)
	// There was perhaps no way to the neighbour when the session was opened.
	s.look()
	if err := s.reprogram(); err != nil {
		s.log.Error("cannot update paths", "op", "sendUpdate", "error", err)
	}
}

// down follows the loss of a session. One that lasted is tried again at once: a new neighbour skips the 5 s that gobgp stays
// idle after a loss.
func (s *session) down(lasted bool) {
	s.mu.Lock()
	last := s.last
	s.agreed = agreement{}
	s.mu.Unlock()
	s.log.Warn("BGP session down", "event", "sessionDown", "error", last.words)
	if !lasted {
		s.pause(s.pace.Next())
		return
	}
	s.pace.Reset()
	if err := s.reconnect(); err != nil {
		s.log.Error("cannot restart the session", "op", "connect", "error", err)
	}
}

// follow connects by the way that the node shows, and gives up one that it does not show any more. s.applying is held.
func (s *session) follow() error {
	switch to := s.present(); {
	case to == s.way, s.retry != nil && to.address.IsValid():
		return nil
	case !to.address.IsValid():
		s.mu.Lock()
		why := s.unreachable
		s.mu.Unlock()
		s.log.Warn("BGP session given up", "event", "sessionDown", "error", why)
		return s.disconnect(why)
	case !s.way.address.IsValid():
		return s.connect()
	}
	s.giveUp("the way to the peer is another one now")
	return s.reconnect()
}

// giveUp takes note that a session that is up ends for another attempt. s.applying is held.
func (s *session) giveUp(why string) {
	s.mu.Lock()
	was := s.state == stateEstablished
	if was {
		s.state, s.since, s.agreed = stateIdle, time.Now(), agreement{}
		s.reached.lost++
	}
	s.mu.Unlock()
	if was {
		s.log.Warn("BGP session down", "event", "sessionDown", "error", why)
	}
}

// present is the way to the neighbour as things stand; its address is invalid where there is none.
func (s *session) present() way {
	if s.cfg.linkLocal() {
		return s.egress.way
	}
	return way{address: s.cfg.address, device: s.cfg.vrf}
}

// reconnect starts anew, by the present way.
func (s *session) reconnect() error {
	if err := s.wire.disconnect(); err != nil {
		return err
	}
	return s.connect()
}

// connect starts a session by the present way, if there is one.
func (s *session) connect() error {
	s.way = s.present()
	s.mu.Lock()
	s.connected, s.agreed = s.way, agreement{}
	if s.state != stateIdle { // of the attempt before
		s.state, s.since = stateIdle, time.Now()
	}
	to := target{way: s.way, peerASN: s.cfg.peerASN, connectRetry: s.connectRetry}
	switch {
	case s.demand != 0:
		to.peerASN = s.demand
	case s.cfg.dynamicASN == "internal":
		to.peerASN = s.cfg.ownASN()
	}
	s.mu.Unlock()
	if !to.address.IsValid() || s.inService() == shut {
		s.way = way{}
		return nil
	}
	return s.wire.connect(s.cfg, to, s.restarting)
}

// disconnect ends the session, if there is one, until it is connected again. An empty reason leaves the last error.
func (s *session) disconnect(why string) error {
	if err := s.wire.disconnect(); err != nil {
		return err
	}
	s.way = way{}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == stateEstablished {
		s.reached.lost++
	}
	if s.state != stateIdle {
		s.state, s.since = stateIdle, time.Now()
	}
	s.connected, s.agreed = s.way, agreement{}
	if why != "" {
		s.last = lastFault{fault{words: why}, time.Now()}
	}
	return nil
}

// holdDown shuts the session for about wait, and says why.
func (s *session) holdDown(why fault, wait time.Duration) {
	s.mu.Lock()
	s.last = lastFault{why, time.Now()}
	s.mu.Unlock()
	s.restarting = false
	wait += rand.N(wait/4 + 1)
	s.log.Warn("BGP session shut", "event", "sessionDown", "error", why.words, "retryIn", wait.String())
	s.pause(wait)
}

// pause lets the neighbour be for wait. gobgp would try again after 5 s, always.
func (s *session) pause(wait time.Duration) {
	if err := s.disconnect(""); err != nil {
		s.log.Error("cannot shut the session", "op", "disconnect", "error", err)
		return
	}
	s.retry = time.AfterFunc(wait, func() {
		s.applying.Lock()
		defer s.applying.Unlock()
		s.retry = nil
		if s.closed {
			return
		}
		if err := s.connect(); err != nil {
			s.log.Error("cannot restart the session", "op", "connect", "error", err)
		}
	})
}

func (s *session) demandASN(asn uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.demand = asn
}

func asnKind(own, peer uint32) string {
	if own == peer {
		return "internal"
	}
	return "external"
}

func (s *session) wrongKind(asn uint32) string {
	return fmt.Sprintf("the peer's AS number %d makes the session %s, but dynamicASN is %s", asn, asnKind(s.cfg.ownASN(), asn), s.cfg.dynamicASN)
}

// badPeerASN puts what gobgp says of an AS number that it refused in terms of the configuration. s.mu is held.
func (s *session) badPeerASN(words string) string {
	_, numbers, found := strings.Cut(words, "as number mismatch expected ")
	var demanded, said uint32
	if !found || s.cfg.dynamicASN == "" {
		return words
	}
	if _, err := fmt.Sscanf(numbers, "%d, received %d", &demanded, &said); err != nil {
		return words
	}
	if asnKind(s.cfg.ownASN(), said) == s.cfg.dynamicASN {
		s.demand = 0 // it has another number now, which will do
		return words
	}
	return s.wrongKind(said) + ": " + notificationWords(2, 2)
}
