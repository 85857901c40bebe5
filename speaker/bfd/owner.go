package bfd

import "time"

// maxLinger bounds how long a neighbour that does not answer is told of AdminDown.
const maxLinger = 10 * time.Second

// Retune changes the parameters. A session that is Up stays so; what needs the neighbour's consent takes effect when that
// has answered a Poll.
func (s *Session) Retune(p Parameters) error {
	if err := p.validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.ended {
		return ErrClosed
	}
	if s.machine.wanted == p {
		return nil
	}
	now := time.Now()
	s.askReflects = true
	s.untold = true
	s.machine.retune(now, p)
	s.transmit(now)
	// Not rouse: run has to ask the transport about echo packets.
	s.armed = time.Time{}
	s.kick()
	return nil
}

// AdminDown takes the session down on purpose (RFC 5880 section 6.8.16), as before a restart: the neighbour is told so, and
// keeps from taking it for a failure. The channel that it returns is closed once the neighbour has shown that it knows, or
// was told for as long as it takes it to detect a failure, 10 seconds at most. The session stays AdminDown until it is closed.
func (s *Session) AdminDown() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.adminDown(time.Now())
	return s.said
}

func (s *Session) adminDown(now time.Time) {
	if s.machine.sessionState == AdminDown {
		return
	}
	s.machine.adminDown(now)
	s.lingerUntil = now.Add(min(s.machine.linger(), maxLinger))
	s.transmit(now)
	s.kick()
}

// Reset takes a session that is Up down, since the forwarding plane was reset (RFC 5880 section 6.8.15). It comes up again
// by itself.
func (s *Session) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.machine.reset(now)
	s.transmit(now)
	s.rouse(now)
}

// Close ends the session for good. It does not wait: the neighbour is told AdminDown in the background, as by AdminDown,
// while another session with the same key may already be opened. The owner is told nothing more, but for what it is being
// told at this moment.
func (s *Session) Close() {
	s.notifier.close()
	s.engine.unlist(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.adminDown(time.Now())
	s.kick()
}

// abandon ends the session at once, with one last word to the neighbour.
func (s *Session) abandon() {
	s.notifier.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.ended = true, true
	s.adminDown(time.Now())
	s.kick()
}

// Status returns what is known of the session.
func (s *Session) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status()
}

// Heard returns when a control packet of the neighbour arrived last, and when one did with which the session was Up: evidence
// that the path works. Both are on CLOCK_BOOTTIME, 0 for never. It does not wait.
func (s *Session) Heard() (last, up time.Duration) {
	return time.Duration(s.heard.Load()), time.Duration(s.heardUp.Load())
}
