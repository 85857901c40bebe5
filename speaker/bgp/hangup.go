package bgp

// HangUp ends the connections of the sessions with graceful restart without a word, as the end of the process would, and
// does not try them again: their neighbours keep the routes and wait for us (RFC 4724). It comes before whatever else a
// neighbour is told when the process ends: FRR, for one, drops the routes of a session that is up when BFD says AdminDown.
func (s *Speaker) HangUp() {
	for _, session := range s.list() {
		session.hangUp()
	}
}

// hangUp lets a session be as it is from now on, if its neighbour shall wait for us.
func (s *session) hangUp() {
	s.applying.Lock()
	defer s.applying.Unlock()
	if s.closed || !s.cfg.gracefulRestart || !s.established() {
		return
	}
	s.closed = true
	s.wire.hangUp()
}
