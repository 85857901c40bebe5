package bfd

import "time"

// echo is the echo function (RFC 5880 sections 6.4, 6.8.5, 6.8.8 and 6.8.9).
type echo struct {
	// Echo packets are being sent.
	active bool
	// One came back since they are, so that the control packets may be slow.
	working bool
	// One came back in the life of the session. Until then their absence proves that the neighbour does not send them back,
	// rather than that the path is broken.
	proven bool
	// When the next is due, and the interval that this was reckoned with.
	next     time.Time
	interval time.Duration
	// When the last came back, or else the first was sent.
	last time.Time
}

// echoing says whether echo packets are sent.
func (m *machine) echoing() bool { return m.echo.active }

// watchEcho starts or ends the echo function as state, wishes, and neighbour have it.
func (m *machine) watchEcho(now time.Time) {
	if active := m.echoAllowed() && m.echoPossible; active != m.echo.active {
		m.echo.active, m.echo.working = active, false
	}
	// A new interval begins now, and so does the time that it takes to miss packets sent at that pace.
	if interval := m.echoInterval(); interval != m.echo.interval {
		m.echo.interval, m.echo.next, m.echo.last = interval, now, now
	}
}

// echoAllowed says whether both ends want our echo packets now (RFC 5880 section 6.8.9).
func (m *machine) echoAllowed() bool {
	return m.wanted.Echo && m.sessionState == Up && m.remoteMinEchoRx != 0
}

// setEcho says whether echo packets can be sent, and whether this host sends back the neighbour's.
func (m *machine) setEcho(now time.Time, possible, reflected bool) {
	if m.echoReflected != reflected {
		m.echoReflected = reflected
		m.transmission.soon = m.wanted.Echo
	}
	m.echoPossible = possible
	m.watchEcho(now)
	m.negotiate(now)
	m.schedule(now)
}

// echoInterval is what lies between echo packets, before jitter; 0 when none are sent.
func (m *machine) echoInterval() time.Duration {
	if !m.echo.active {
		return 0
	}
	return max(m.wanted.EchoInterval, m.remoteMinEchoRx)
}

// echoExpiry returns when the lack of echo packets becomes failure.
func (m *machine) echoExpiry() (at time.Time, watching bool) {
	if !m.echo.active || !m.echo.proven {
		return time.Time{}, false
	}
	return m.echo.last.Add(time.Duration(m.detectMult) * m.echoInterval()), true
}

// transmitEcho says whether an echo packet is to be sent now.
func (m *machine) transmitEcho(now time.Time) bool {
	if !m.echo.active || now.Before(m.echo.next) {
		return false
	}
	interval := m.echoInterval()
	m.echo.next = now.Add(interval - time.Duration(m.random(int64(interval/4)+1)))
	return true
}

// echoUnsent takes note that an echo packet could not be sent: that it does not come back proves nothing.
func (m *machine) echoUnsent(now time.Time) { m.echo.last = now }

// receiveEcho takes in an echo packet that came back at the time at.
func (m *machine) receiveEcho(now, at time.Time) {
	if !m.echo.active {
		return
	}
	if at.After(m.echo.last) {
		m.echo.last = at
	}
	m.echo.proven = true
	if !m.echo.working {
		m.echo.working = true
		m.negotiate(now)
		m.schedule(now)
	}
}
