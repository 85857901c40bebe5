package bgp

import (
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// pathDownWords begin what the session shows when the path to the neighbour failed. RFC 9384 has a Cease subcode for it,
// which gobgp cannot send: it is asked for an Administrative Reset with these words, which the connection turns into that.
const pathDownWords = "BFD Down"

// resetPatience is how long a session may take to say so, for example because the neighbour's TCP window is shut.
const resetPatience = 200 * time.Millisecond

// States returns how each session fares, ordered by peer.
func (s *Speaker) States() []*ingotv1.SessionReport {
	var all []*ingotv1.SessionReport
	for _, session := range s.list() {
		all = append(all, session.report())
	}
	return all
}

// Leaving says whether the session with a peer is not configured any more, and being drained.
func (s *Speaker) Leaving(peer string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaving[peer] != nil
}

// PathDown ends the session with a peer at once, if it is established, since the path to the neighbour is known to be dead;
// why says how. It says whether there was something to end. The session is tried again as after any other loss.
func (s *Speaker) PathDown(peer, why string) bool {
	session := s.session(peer)
	return session != nil && session.pathDown(why)
}

// PathUp has the session with a peer tried at once, if it waits for its next attempt, since the neighbour is known to be
// there.
func (s *Speaker) PathUp(peer string) {
	if session := s.session(peer); session != nil {
		session.pathUp()
	}
}

func (s *Speaker) session(peer string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if session := s.sessions[peer]; session != nil {
		return session
	}
	return s.leaving[peer]
}

// pathDown does not wait for paths that are being programmed: they are for nobody.
func (s *session) pathDown(why string) bool {
	s.mu.Lock()
	up, since := s.state == stateEstablished, s.since
	s.mu.Unlock()
	if !up {
		return false
	}
	words := pathDownWords + " (" + why + ")"
	if err := s.wire.reset(words); err != nil {
		s.log.Error("cannot reset the session", "op", "reset", "error", err)
	}
	time.AfterFunc(resetPatience, func() { s.insist(words, since) })
	return true
}

// insist ends a session that was up since then and could not be reset in time.
func (s *session) insist(words string, since time.Time) {
	s.applying.Lock()
	s.mu.Lock()
	over := s.state != stateEstablished || s.since != since
	s.mu.Unlock()
	if s.closed || over {
		s.applying.Unlock()
		return
	}
	err := s.wire.disconnect()
	s.applying.Unlock()
	if err != nil {
		s.log.Error("cannot end the session", "op", "disconnect", "error", err)
		return
	}
	s.fault(deconfigured(words))
	s.observe(transition{state: stateIdle})
}

func (s *session) pathUp() {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	waits := s.state == stateIdle || s.state == stateConnect || s.state == stateActive
	s.mu.Unlock()
	// One that is held down has another reason to wait.
	if s.closed || s.retry != nil || !waits {
		return
	}
	if err := s.reconnect(); err != nil {
		s.log.Error("cannot restart the session", "op", "connect", "error", err)
	}
}
