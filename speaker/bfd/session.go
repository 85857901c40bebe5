package bfd

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ingot-lb/ingot/speaker/boottime"
)

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

	// When a control packet of the neighbour arrived last, and one with which the session was Up; on CLOCK_BOOTTIME.
	heard, heardUp atomic.Int64

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

// rouse has run look again if something is due before it would, or there is something to dial. The caller holds mu.
func (s *Session) rouse(now time.Time) {
	if s.due(now).Before(s.armed) || s.machine.sessionState == AdminDown {
		s.kick()
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
	s.hearing(now.Sub(a.at))
	s.transmit(now)
	s.rouse(now)
}

// hearing notes that the neighbour was heard a while ago. The caller holds mu.
func (s *Session) hearing(ago time.Duration) {
	at := int64(boottime.Now() - ago)
	s.heard.Store(at)
	if s.machine.sessionState == Up {
		s.heardUp.Store(at)
	}
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

func (s *Session) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
