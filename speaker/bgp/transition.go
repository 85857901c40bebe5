package bgp

import (
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// stableAfter is how long a session must have been up for its loss to be followed by a new attempt at once.
	// Otherwise gobgp's idle time of 5 s passes first.
	stableAfter = 5 * time.Second
	// holdDownASN and holdDownPrefixes are waits before a session that we refused is tried again.
	holdDownASN      = 30 * time.Second
	holdDownPrefixes = 5 * time.Minute
)

// observe follows the wire's transitions.
func (s *session) observe(t transition) {
	s.applying.Lock()
	defer s.applying.Unlock()
	if s.closed {
		return
	}
	s.mu.Lock()
	before, lived := s.state, time.Since(s.since)
	if before != t.state {
		s.state, s.since = t.state, time.Now()
	}
	s.mu.Unlock()
	switch {
	case t.state == stateEstablished && before != stateEstablished:
		s.up(t)
	case before == stateEstablished && t.state != stateEstablished:
		s.down(lived >= stableAfter && !t.prefixLimit)
	}
	if t.prefixLimit {
		s.holdDown(fmt.Sprintf("the peer sent more than %d prefixes of one family", prefixLimit), holdDownPrefixes)
	}
	s.changed()
}

func (s *session) up(t transition) {
	if kind := asnKind(s.cfg.ownASN(), t.peerASN); s.cfg.dynamicASN != "" && kind != s.cfg.dynamicASN {
		s.holdDown(fmt.Sprintf("the peer's AS number %d makes the session %s, but dynamicASN is %s", t.peerASN, kind, s.cfg.dynamicASN), holdDownASN)
		return
	}
	ipv4, ipv6, err := s.wire.negotiated()
	if err != nil {
		s.log.Error("cannot read what the peer negotiated", "op", "readPeer", "error", err)
		ipv4, ipv6 = s.cfg.ipv4, s.cfg.ipv6
	}
	s.mu.Lock()
	s.ipv4, s.ipv6 = ipv4 && s.cfg.ipv4, ipv6 && s.cfg.ipv6
	s.mu.Unlock()
	s.log.Info("BGP session established", "event", "sessionUp", "remoteASN", t.peerASN)
	// There was perhaps no way to the neighbour when the session was opened.
	s.look()
	if err := s.program(s.want); err != nil {
		s.log.Error("cannot update paths", "op", "sendUpdate", "error", err)
	}
}

func (s *session) down(again bool) {
	s.mu.Lock()
	lastError := s.lastError
	s.mu.Unlock()
	s.log.Warn("BGP session down", "event", "sessionDown", "error", lastError)
	if !again {
		return
	}
	// A new neighbour skips the 5 s that gobgp stays idle after a loss.
	if err := s.reconnect(s.cfg.gracefulRestart); err != nil {
		s.log.Error("cannot restart the session", "op", "connect", "error", err)
	}
}

func (s *session) reconnect(restarting bool) error {
	if err := s.wire.disconnect(); err != nil {
		return err
	}
	cfg := s.cfg
	cfg.connectRetry = s.connectRetry
	return s.wire.connect(cfg, restarting)
}

// holdDown shuts the session for about wait, and says why.
func (s *session) holdDown(why string, wait time.Duration) {
	if err := s.wire.disconnect(); err != nil {
		s.log.Error("cannot shut the session", "op", "disconnect", "error", err)
		return
	}
	s.mu.Lock()
	s.state, s.since, s.lastError = stateIdle, time.Now(), why
	s.mu.Unlock()
	s.log.Warn("BGP session shut", "event", "sessionDown", "error", why, "retryIn", wait.String())
	s.retry = time.AfterFunc(wait+rand.N(wait/4), func() {
		s.applying.Lock()
		defer s.applying.Unlock()
		if s.closed {
			return
		}
		s.retry = nil
		if err := s.reconnect(false); err != nil {
			s.log.Error("cannot restart the session", "op", "connect", "error", err)
		}
	})
}

func asnKind(own, peer uint32) string {
	if own == peer {
		return "internal"
	}
	return "external"
}
