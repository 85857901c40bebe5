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

// awaitOpen watches a neighbour that has accepted our connection and owes us its OPEN. s.applying is held.
func (s *session) awaitOpen() {
	s.mu.Lock()
	began := s.since
	s.mu.Unlock()
	// waits says whether it still owes it.
	waits := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.closed && s.state == stateOpenSent && s.since == began
	}
	s.silence = time.AfterFunc(silentAfter, func() {
		s.applying.Lock()
		defer s.applying.Unlock()
		if !waits() {
			return
		}
		words := fmt.Sprintf("the peer accepted the connection, and has sent no OPEN message for %s", silentAfter)
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
