package bgp

import (
	"encoding/binary"
	"slices"
	"time"
)

// service is whether a session is in service.
type service int

const (
	inService service = iota
	// draining: the neighbour is asked to prefer others' routes to ours (RFC 8326), and the session will be shut.
	draining
	// shut: the session is closed until it is to be in service again.
	shut
)

// gracefulShutdown is the well-known community of RFC 8326.
const gracefulShutdown = 0xffff0000

// leaving is a path as a session announces it that is about to be closed: with the community graceful-shutdown, and to
// internal neighbours with the least LOCAL_PREF (RFC 8326 sections 4.1 and 4.3).
func (c sessionConfig) leaving(p path) path {
	values := unpackCommunities(p.communities)
	if at, has := slices.BinarySearch(values, gracefulShutdown); !has {
		values = slices.Insert(values, at, gracefulShutdown)
	}
	packed := make([]byte, 0, 4*len(values))
	for _, v := range values {
		packed = binary.BigEndian.AppendUint32(packed, v)
	}
	p.communities, p.localPref = string(packed), 0
	p.lastResort = !c.external()
	return p
}

const (
	drainedWords = "the node is drained"
	endedWords   = "the speaker ends"
	// shutPatience is how long a session may take to say that it is shut, for example because the neighbour's TCP window is
	// shut, too.
	shutPatience = time.Second
)

// Drain takes all sessions out of service until a time, whatever their configuration says; a time that has passed ends it.
func (s *Speaker) Drain(until time.Time) {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.drainFor(time.Until(until))
}

// drainFor is Drain with s.applying held.
func (s *Speaker) drainFor(left time.Duration) {
	if s.drained != nil {
		s.drained.Stop()
		s.drained = nil
	}
	if left > 0 {
		var mine *time.Timer
		mine = time.AfterFunc(left, func() {
			s.applying.Lock()
			defer s.applying.Unlock()
			if s.drained == mine {
				s.drainFor(0)
			}
		})
		s.drained = mine
	}
	for _, cfg := range s.configs {
		s.mu.Lock()
		session := s.sessions[cfg.peer]
		s.mu.Unlock()
		if session == nil {
			continue
		}
		session.applying.Lock()
		err := session.serve(cfg.drain || s.drained != nil)
		session.applying.Unlock()
		if err != nil {
			session.log.Error("cannot drain the session, or have it in service again", "op", "drain", "error", err)
		}
	}
	s.notify()
}

// serve has the session in service, or drained and shut, as asked. s.applying is held.
func (s *session) serve(drain bool) error {
	now := s.inService()
	switch {
	case s.retired, drain == (now != inService):
		return nil
	case drain:
		return s.drain(drainedWords)
	}
	if s.drainTimer != nil {
		s.drainTimer.Stop()
	}
	s.log.Info("BGP session is in service again", "event", "sessionRestored")
	s.enter(inService)
	if err := s.reprogram(); err != nil {
		return err
	}
	return s.follow()
}

// drain asks the neighbour to prefer others, and shuts the session when it has had time to. Without anything to lose it is
// shut at once.
func (s *session) drain(why string) error {
	if !s.carriesRoutes() && !s.restarting {
		return s.shut(why)
	}
	s.log.Info("draining BGP session", "event", "sessionDraining", "reason", why, "for", s.drainTime.String())
	if err := s.prefersOthers(); err != nil {
		return err
	}
	s.shutAfter(why, s.drainTime)
	return nil
}

// prefersOthers asks the neighbour to.
func (s *session) prefersOthers() error {
	s.enter(draining)
	return s.reprogram()
}

// shutAfter shuts the session after a while; where the neighbour keeps routes of a session before (RFC 4724), only once it
// has been told to prefer others, if that is not in vain.
func (s *session) shutAfter(why string, wait time.Duration) {
	began := time.Now()
	var try func()
	try = func() {
		s.applying.Lock()
		defer s.applying.Unlock()
		if s.closed || s.inService() != draining {
			return
		}
		if s.restarting && !s.carriesRoutes() && time.Since(began) < restartSeconds*time.Second {
			s.drainTimer = time.AfterFunc(wait+time.Second, try)
			return
		}
		if err := s.shut(why); err != nil {
			s.log.Error("cannot shut the session", "op", "shutdown", "error", err)
		}
		s.changed()
	}
	s.drainTimer = time.AfterFunc(wait, try)
}

// shut closes the session with CEASE, Administrative Shutdown, and words for it (RFC 9003), and leaves it so.
func (s *session) shut(why string) error {
	s.enter(shut)
	s.restarting = false
	if s.retry != nil {
		s.retry.Stop()
		s.retry = nil
	}
	if !s.established() {
		return s.disconnect("")
	}
	s.log.Info("shutting BGP session", "event", "sessionShut", "reason", why)
	time.AfterFunc(shutPatience, func() {
		s.applying.Lock()
		defer s.applying.Unlock()
		if s.closed || s.inService() != shut {
			return
		}
		if err := s.disconnect(""); err != nil {
			s.log.Error("cannot end the session", "op", "disconnect", "error", err)
		}
	})
	return s.wire.shutdown(why)
}

// enter changes the service.
func (s *session) enter(next service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.service = next
	s.rib.draining = next != inService
}

func (s *session) inService() service {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.service
}

func (s *session) established() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == stateEstablished
}

// carriesRoutes says whether traffic depends on the session.
func (s *session) carriesRoutes() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == stateEstablished && len(s.rib.have) > 0
}
