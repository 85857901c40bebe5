package bfd

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// maxLinger bounds how long a neighbour that does not answer is told of AdminDown.
const maxLinger = 10 * time.Second

// Session is a BFD session with one neighbour. Its methods may be called from several goroutines at the same time.
type Session struct {
	engine        *Engine
	key           Key
	discriminator uint32
	// Known to this session's echo packets alone.
	nonce    uint64
	receiver *receiver
	notifier notifier
	// Has run look at what is due.
	wake chan struct{}
	// Closed when the neighbour was told of AdminDown for long enough.
	said chan struct{}

	// Used by run alone.
	echoReceiver *receiver
	// The address that the echo link was dialled with.
	echoLocal netip.Addr

	mu      sync.Mutex
	machine *machine
	// Control and echo packets go out by these; nil while that is not possible.
	control, echo link
	counters      Counters
	sequence      uint64
	buffer        [PacketLen]byte
	echoBuffer    [echoLen]byte
	// Why the last packet was thrown away, 0 if none was since the session last was Up.
	discarded Discard
	// Whether Transport.Reflects is to be asked again.
	askReflects bool
	// What the owner was told last, and of what.
	told        view
	toldAt      time.Time
	toldTrouble *string
	untold      bool
	// When run wakes next.
	armed time.Time
	// AdminDown is said until then, and whether that is over.
	lingerUntil time.Time
	lingered    bool
	// No owner has the session any more; it ends when the neighbour knows.
	closed bool
	// It ends now.
	ended bool
}

func newSession(e *Engine, k Key, p Parameters, discriminator uint32, nonce uint64, changed func(Status)) *Session {
	m := newMachine(time.Now(), p, discriminator, rand.Int64N)
	return &Session{
		engine:        e,
		key:           k,
		discriminator: discriminator,
		nonce:         nonce,
		notifier:      notifier{changed: changed},
		wake:          make(chan struct{}, 1),
		said:          make(chan struct{}),
		machine:       m,
		told:          m.view(),
		askReflects:   true,
	}
}

// run is the session's timing: it sends what is due and judges silence.
func (s *Session) run() {
	defer s.engine.goroutine.Done()
	defer s.release()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s.dial()
		wait, ended := s.step(s.judge())
		if ended {
			return
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-s.wake:
		}
	}
}

// judge returns the time until which silence is certain: every packet that the kernel had by then has been taken in.
func (s *Session) judge() time.Time {
	s.mu.Lock()
	now := time.Now()
	expiring := s.machine.expiring(now)
	s.mu.Unlock()
	if !expiring {
		return time.Time{}
	}
	// If it was us who had no time, then the packets are there.
	s.receiver.drain()
	if s.echoReceiver != nil {
		s.echoReceiver.drain()
	}
	return now
}

// step does what is due, and returns how long there is nothing more. Silence counts until the time silent.
func (s *Session) step(silent time.Time) (wait time.Duration, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.machine.expire(silent)
	now := time.Now()
	s.transmit(now)
	if s.machine.sessionState == AdminDown && !s.lingered && (s.machine.adminDownKnown() || !now.Before(s.lingerUntil)) {
		s.lingered = true
		s.machine.hush(now)
		close(s.said)
	}
	if s.ended || s.closed && s.lingered {
		return 0, true
	}
	s.armed = s.due(now)
	return s.armed.Sub(now), false
}

// due returns when run has to look again. The caller holds mu.
func (s *Session) due(now time.Time) time.Time {
	at, ok := s.machine.due()
	if !ok {
		at = now.Add(time.Hour)
	}
	earlier := func(t time.Time, set bool) {
		if set && t.Before(at) {
			at = t
		}
	}
	earlier(s.toldAt.Add(tellInterval), s.untold)
	earlier(s.control.again, s.control.sender == nil)
	earlier(s.echo.again, s.echo.sender == nil && s.echoWanted())
	earlier(s.lingerUntil, s.machine.sessionState == AdminDown && !s.lingered)
	return at
}

// transmit sends what is due and tells the owner what changed. The caller holds mu.
func (s *Session) transmit(now time.Time) {
	for {
		p, ok := s.machine.transmit(now)
		if !ok {
			break
		}
		if s.send(&s.control, p.Append(s.buffer[:0])) {
			s.counters.ControlSent++
		}
	}
	if s.machine.transmitEcho(now) {
		s.sequence++
		if s.send(&s.echo, appendEcho(s.echoBuffer[:0], s.discriminator, s.nonce, s.sequence)) {
			s.counters.EchoSent++
		} else {
			s.machine.echoUnsent(now)
		}
	}
	s.tell(now)
}

// tellInterval is the least time between calls of the owner's function for anything less than a change of state, since
// neighbours may change what they say with every packet.
const tellInterval = 100 * time.Millisecond

// tell has the owner told of what changed. The caller holds mu.
func (s *Session) tell(now time.Time) {
	v, trouble := s.machine.view(), s.receiver.trouble.Load()
	if v == s.told && trouble == s.toldTrouble && !s.untold {
		return
	}
	if v.state == s.told.state && v.remoteState == s.told.remoteState && now.Sub(s.toldAt) < tellInterval {
		s.untold = true
		return
	}
	if v.state == Up && s.told.state != Up {
		s.discarded = 0
	}
	if (v.state == Up) != (s.told.state == Up) {
		s.askReflects = true
	}
	s.told, s.toldAt, s.toldTrouble, s.untold = v, now, trouble, false
	s.notifier.add(s.status())
}

// rouse has run look again if something is due before it would, or there is something to dial. The caller holds mu.
func (s *Session) rouse(now time.Time) {
	if s.due(now).Before(s.armed) || s.machine.sessionState == AdminDown {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// receive takes in a control packet.
func (s *Session) receive(d *Datagram, a arrival, p *Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.key.MultiHop && d.TTL != 255:
		s.discard(DiscardTTL)
		return
	case s.key.MultiHop && d.TTL < s.machine.wanted.MinimumTTL:
		s.discard(DiscardMinimumTTL)
		return
	case p.AuthenticationPresent:
		s.discard(DiscardAuthenticated)
		return
	}
	now := time.Now()
	s.counters.ControlReceived++
	s.machine.receive(now, a.at, p)
	s.transmit(now)
	s.rouse(now)
}

// receiveEcho takes in an echo packet of ours.
func (s *Session) receiveEcho(a arrival) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.counters.EchoReceived++
	s.machine.receiveEcho(now, a.at)
	s.transmit(now)
	s.rouse(now)
}

// discard counts a packet that the session does not accept. The caller holds mu.
func (s *Session) discard(d Discard) {
	s.counters.Discarded++
	if s.discarded != d && s.machine.sessionState != Up {
		s.discarded, s.untold = d, true
		s.tell(time.Now())
	}
}

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

func (s *Session) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
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
// while another session with the same key may already be opened. No call of the owner's function begins after Close
// has returned.
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
