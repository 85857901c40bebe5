package bfd

import "time"

// transmission is when control packets go out.
type transmission struct {
	// When the next periodic one is due; zero when none is to be sent.
	next time.Time
	// When the last one was sent that counts as periodic.
	last time.Time
	// The interval that next was reckoned with.
	interval time.Duration
	// A packet shall not wait for its turn, as it says something new (RFC 5880 section 6.8.7).
	soon bool
	// A Poll is to be answered.
	final bool
}

// interval is what lies between periodic packets, before jitter (RFC 5880 section 6.8.7).
func (m *machine) interval() time.Duration { return max(m.poll.desiredMinTx, m.remoteMinRx) }

// jittered takes up to 25 % off an interval, and at least 10 % when a single lost packet would be the end (RFC 5880
// section 6.8.7).
func (m *machine) jittered(interval time.Duration) time.Duration {
	least := time.Duration(0)
	if m.detectMult == 1 {
		least = interval / 10
	}
	return interval - least - time.Duration(m.random(int64(interval/4-least)+1))
}

// mute says whether nothing at all may be sent: the passive role (RFC 5880 section 6.8.7).
func (m *machine) mute() bool { return m.wanted.Passive && m.remoteDiscr == 0 }

// periodic says whether packets are sent periodically (RFC 5880 section 6.8.7).
func (m *machine) periodic() bool {
	inDemand := m.remoteDemandMode && m.sessionState == Up && m.remoteSessionState == Up && !m.poll.active
	return !m.mute() && !m.silent && m.remoteMinRx != 0 && !inDemand
}

// schedule reckons when the next periodic packet is due, after anything that it depends on may have changed. A new interval
// counts from the last packet.
func (m *machine) schedule(now time.Time) {
	t := &m.transmission
	interval := m.interval()
	switch {
	case !m.periodic():
		t.next = time.Time{}
	case t.next.IsZero() || t.interval != interval:
		t.interval = interval
		t.next = now
		if next := t.last.Add(m.jittered(interval)); next.After(now) {
			t.next = next
		}
	}
}

// transmit returns the control packet that is to be sent now, if there is one. Call it until there is none.
func (m *machine) transmit(now time.Time) (p Packet, ok bool) {
	m.pollAgain(now)
	t := &m.transmission
	switch {
	case m.mute():
		t.soon, t.final = false, false
		return p, false
	case t.final:
		// Without respect to the timer, and without moving it: our own Poll, which this packet cannot carry, goes with that.
		t.final = false
		p = m.packet()
		p.Final = true
		return p, true
	case t.soon, !t.next.IsZero() && !now.Before(t.next):
		t.soon = false
		t.last = now
		if t.next = (time.Time{}); m.periodic() {
			t.interval = m.interval()
			t.next = now.Add(m.jittered(t.interval))
		}
		p = m.packet()
		p.Poll = m.poll.active
		if p.Poll {
			m.poll.sent(now)
		}
		if m.lost {
			m.forget(now)
		}
		return p, true
	}
	return p, false
}

// packet fills in what RFC 5880 section 6.8.7 says, but for the Poll and Final bits.
func (m *machine) packet() Packet {
	p := Packet{
		Diagnostic:        m.localDiag,
		State:             m.sessionState,
		DetectMultiplier:  m.detectMult,
		MyDiscriminator:   m.localDiscr,
		YourDiscriminator: m.remoteDiscr,
		DesiredMinTx:      m.desiredMinTx,
		RequiredMinRx:     m.requiredMinRx,
	}
	if m.wanted.Echo && m.echoReflected {
		p.RequiredMinEchoRx = m.wanted.EchoInterval
	}
	return p
}
