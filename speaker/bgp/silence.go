package bgp

import (
	"fmt"
	"time"
)

const (
	// silentAfter is how long after the connection is there a neighbour may take to say something before it is mentioned.
	silentAfter = 5 * time.Second
	// silentUntil is when such a connection is given up; RFC 4271 section 8.2.2 suggests 4 minutes, which is long for an
	// address that is not reachable meanwhile, and another connection may fare better.
	silentUntil = 30 * time.Second
	// vagueWithin is how long what went wrong stands against a mere symptom of it.
	vagueWithin = 2 * time.Second
)

// awaitWord watches a neighbour that owes us a word: its OPEN, once it has accepted our connection, or a KEEPALIVE in answer to
// ours. s.applying is held.
func (s *session) awaitWord() {
	s.mu.Lock()
	state, began := s.state, s.since
	s.mu.Unlock()
	// waits says whether it still owes it.
	waits := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.closed && s.state == state && s.since == began
	}
	if s.silence != nil {
		s.silence.Stop()
	}
	s.silence = time.AfterFunc(silentAfter, func() {
		s.applying.Lock()
		defer s.applying.Unlock()
		if !waits() {
			return
		}
		words := fmt.Sprintf("the peer accepted the connection, and has sent no OPEN message for %s", silentAfter)
		if state == stateOpenConfirm {
			words = fmt.Sprintf("the peer sent its OPEN message, and has not answered ours for %s%s", silentAfter, s.unheard())
			s.mu.Lock()
			s.unanswered = true
			s.mu.Unlock()
		}
		s.log.Warn("failed to connect to peer", "op", "connect", "error", words)
		s.fault(fault{words: words})
		s.silence = time.AfterFunc(silentUntil-silentAfter, func() {
			s.applying.Lock()
			defer s.applying.Unlock()
			if waits() {
				s.pause(s.pace.Next())
			}
		})
	})
}

// unheard is why a neighbour may not hear us although we hear it.
func (s *session) unheard() string {
	if !s.cfg.external() || s.cfg.multiHop {
		return ", as when our packets do not get through"
	}
	return ", as when it demands TTL security (GTSM): ebgpMultiHop has our packets sent with the TTL of 255 for that"
}
