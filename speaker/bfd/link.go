package bfd

import (
	"net/netip"
	"time"
)

// link is a Sender that may be missing.
type link struct {
	sender Sender
	// When to dial again, if it is missing.
	again   time.Time
	backoff backoff
	// Why the last packet could not be sent, in words; empty when it could.
	trouble string
}

// send sends a packet and says whether that went well. The caller holds mu.
func (s *Session) send(l *link, payload []byte) bool {
	if l.sender == nil {
		return false
	}
	err := l.sender.Send(payload)
	if err == nil {
		if l.trouble != "" {
			l.trouble, s.untold = "", true
		}
		return true
	}
	if l.trouble == "" {
		l.trouble, s.untold = "cannot send: "+err.Error(), true
		s.engine.log.Warn("BFD cannot send", "session", s.key, "error", err)
	}
	return false
}

// dial gets the senders that are missing. It is called by run alone, and not under mu, for it may take a while.
func (s *Session) dial() {
	s.mu.Lock()
	need := s.control.sender == nil && !time.Now().Before(s.control.again) && !s.ended
	s.mu.Unlock()
	if need {
		sender, err := s.engine.transport.Dial(s.key)
		s.dialled(&s.control, sender, err)
	}
	s.dialEcho()
}

// dialEcho gets what the echo function needs, when that is wanted.
func (s *Session) dialEcho() {
	s.mu.Lock()
	now := time.Now()
	ask := s.askReflects && s.machine.wanted.Echo && s.echoCapable()
	s.askReflects = s.askReflects && !ask
	wanted := s.echoWanted() && s.control.sender != nil && !s.ended
	var local netip.Addr
	var old Sender
	if wanted {
		if local = s.control.sender.Local().Addr(); s.echo.sender != nil && local != s.echoLocal {
			old, s.echo.sender = s.echo.sender, nil
		}
	}
	need := wanted && s.echo.sender == nil && !now.Before(s.echo.again)
	reflected := s.machine.echoReflected
	s.mu.Unlock()
	s.close(old)
	if ask {
		reflected = s.engine.transport.Reflects(s.key)
	}
	if need {
		if s.echoReceiver == nil {
			s.echoReceiver = s.engine.echoReceiver()
		}
		sender, err := s.engine.transport.DialEcho(s.key, local)
		s.echoLocal = local
		s.dialled(&s.echo, sender, err)
	}
	if !ask && !need && old == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.untold = s.untold || reflected != s.machine.echoReflected
	s.machine.setEcho(time.Now(), s.echo.sender != nil, reflected)
}

// dialled takes in the result of dialling.
func (s *Session) dialled(l *link, sender Sender, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if err == nil {
		l.sender = sender
		l.backoff.reset()
		// What was due meanwhile is not waited for.
		s.machine.transmission.soon = s.machine.transmission.soon || l == &s.control
		s.untold = s.untold || l.trouble != ""
		l.trouble = ""
		return
	}
	l.again = now.Add(l.backoff.next())
	if text := "cannot send: " + err.Error(); l.trouble != text {
		l.trouble, s.untold = text, true
		s.engine.log.Warn("BFD cannot send", "session", s.key, "error", err)
	}
}

func (s *Session) close(sender Sender) {
	if sender == nil {
		return
	}
	if err := sender.Close(); err != nil {
		s.engine.log.Warn("BFD socket does not close", "session", s.key, "error", err)
	}
}

// release gives back everything when run ends.
func (s *Session) release() {
	s.mu.Lock()
	control, echo := s.control.sender, s.echo.sender
	s.control.sender, s.echo.sender = nil, nil
	s.ended = true
	if !s.lingered {
		s.lingered = true
		close(s.said)
	}
	s.mu.Unlock()
	s.close(control)
	s.close(echo)
	s.engine.remove(s)
}

// echoCapable says whether the echo function exists for a session like this (RFC 5883 section 4 rules it out over several
// hops; over IPv6, hosts do not send back such packets).
func (s *Session) echoCapable() bool { return !s.key.MultiHop && s.key.Remote.Is4() }

// echoWanted says whether a sender of echo packets is needed. The caller holds mu.
func (s *Session) echoWanted() bool { return s.echoCapable() && s.machine.echoAllowed() }
