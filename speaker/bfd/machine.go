package bfd

import "time"

// slowInterval is the least bfd.DesiredMinTxInterval of a session that is not Up (RFC 5880 section 6.8.3), and of
// bfd.RequiredMinRxInterval while echo packets watch the path (section 6.8.3).
const slowInterval = time.Second

// machine is a session without sockets, clock or goroutines: RFC 5880 section 6. The time is passed in; what is to be
// sent is fetched by transmit and transmitEcho. due says when to come back.
type machine struct {
	// What the owner wants.
	wanted Parameters
	// Whether echo packets can be sent at all, and whether ours are answered to the neighbour.
	echoPossible, echoReflected bool
	// random returns a number in [0, n).
	random func(n int64) int64

	// The variables of RFC 5880 section 6.8.1 under their names there, without "bfd.".
	sessionState, remoteSessionState State
	localDiscr, remoteDiscr          uint32
	localDiag                        Diagnostic
	// As said in packets. What is in use differs while a Poll Sequence is under way: see poll.go.
	desiredMinTx, requiredMinRx time.Duration
	remoteMinRx                 time.Duration
	remoteDemandMode            bool
	detectMult                  uint8
	// What else the neighbour said last.
	remoteDiag       Diagnostic
	remoteMinTx      time.Duration
	remoteMinEchoRx  time.Duration
	remoteDetectMult uint8

	poll poll
	echo echo
	// When the last packet arrived.
	lastReceived time.Time
	// The neighbour is taken for lost, and forgotten once it has been told so.
	lost         bool
	transmission transmission

	// AdminDown has been said for long enough (RFC 5880 section 6.8.16).
	silent bool
	// When sessionState changed.
	since time.Time
	// The session was Up, and is not since the path failed: neither end took it down on purpose (RFC 5882 section 3.2).
	failed bool
	// Why the session last left Up.
	lastDown             Diagnostic
	upEvents, downEvents uint64
}

// newMachine returns a session in state Down. Its first packet is due at once, unless it is passive.
func newMachine(now time.Time, p Parameters, discriminator uint32, random func(n int64) int64) *machine {
	m := &machine{
		wanted:             p,
		random:             random,
		sessionState:       Down,
		remoteSessionState: Down,
		localDiscr:         discriminator,
		remoteMinRx:        time.Microsecond,
		detectMult:         p.DetectMultiplier,
		since:              now,
	}
	m.negotiate(now)
	m.schedule(now)
	return m
}

// retune changes the parameters. A session that is Up stays so: what the neighbour must know first waits for a Poll Sequence.
func (m *machine) retune(now time.Time, p Parameters) {
	m.wanted = p
	if m.detectMult != p.DetectMultiplier {
		m.detectMult = p.DetectMultiplier
		m.transmission.soon = true
	}
	m.watchEcho(now)
	m.negotiate(now)
	m.schedule(now)
}

// enter changes the state.
func (m *machine) enter(now time.Time, s State, d Diagnostic) {
	if s == m.sessionState {
		return
	}
	switch {
	case s == Up:
		m.upEvents++
		m.failed = false
	case m.sessionState == Up:
		m.downEvents++
		m.lastDown = d
		m.failed = s == Down && m.remoteSessionState != AdminDown
	}
	m.sessionState, m.localDiag, m.since = s, d, now
	m.transmission.soon = true
	m.watchEcho(now)
	m.negotiate(now)
}

// adminDown is RFC 5880 section 6.8.16.
func (m *machine) adminDown(now time.Time) {
	if m.sessionState == AdminDown {
		return
	}
	m.enter(now, AdminDown, AdministrativelyDown)
	m.failed = false
	m.schedule(now)
}

// adminDownKnown says that the neighbour has shown that it knows of our AdminDown, or never knew of the session.
func (m *machine) adminDownKnown() bool {
	answered := m.remoteSessionState == Down && m.remoteDiag == NeighborSignaledDown
	return m.remoteDiscr == 0 || m.remoteSessionState == AdminDown || answered
}

// linger returns how long the neighbour shall hear of AdminDown: its Detection Time.
func (m *machine) linger() time.Duration { return time.Duration(m.detectMult) * m.interval() }

// hush ends the packets that say AdminDown.
func (m *machine) hush(now time.Time) {
	m.silent = true
	m.schedule(now)
}

// reset takes the session down because the forwarding plane was reset (RFC 5880 section 6.8.15).
func (m *machine) reset(now time.Time) {
	if m.sessionState == Init || m.sessionState == Up {
		m.enter(now, Down, ForwardingPlaneReset)
		m.schedule(now)
	}
}

// detectionTime is RFC 5880 section 6.8.4, in asynchronous mode; 0 when nothing has been heard.
func (m *machine) detectionTime() time.Duration {
	if m.remoteDiscr == 0 {
		return 0
	}
	return time.Duration(m.remoteDetectMult) * max(m.poll.requiredMinRx, m.remoteMinTx)
}

// expiry returns when silence becomes failure.
func (m *machine) expiry() (at time.Time, watching bool) {
	if m.remoteDiscr == 0 || m.lost {
		return time.Time{}, false
	}
	return m.lastReceived.Add(m.detectionTime()), true
}

// expiring says whether expire would take the neighbour, or the path of echo packets, for lost.
func (m *machine) expiring(now time.Time) bool {
	if at, watching := m.expiry(); watching && !now.Before(at) {
		return true
	}
	at, watching := m.echoExpiry()
	return watching && !now.Before(at)
}

// expire does what the end of the Detection Time demands (RFC 5880 sections 6.8.1, 6.8.4 and 6.8.5).
func (m *machine) expire(now time.Time) {
	if at, watching := m.expiry(); watching && !now.Before(at) {
		if m.sessionState == Init || m.sessionState == Up {
			m.lost = true
			m.enter(now, Down, ControlDetectionTimeExpired)
			m.schedule(now)
		} else {
			m.forget(now)
		}
	}
	if at, watching := m.echoExpiry(); watching && !now.Before(at) {
		m.enter(now, Down, EchoFunctionFailed)
		m.schedule(now)
	}
}

// forget drops what the neighbour said, for it may come back as another, and with other wishes.
func (m *machine) forget(now time.Time) {
	m.lost = false
	m.remoteDiscr = 0
	m.remoteMinRx = time.Microsecond
	m.remoteMinTx, m.remoteMinEchoRx, m.remoteDetectMult = 0, 0, 0
	m.remoteDemandMode = false
	m.watchEcho(now)
	m.schedule(now)
}

// due returns when expire, transmit or transmitEcho has something to do next.
func (m *machine) due() (at time.Time, ok bool) {
	earlier := func(t time.Time, set bool) {
		if set && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	earlier(m.expiry())
	earlier(m.echoExpiry())
	earlier(m.echo.next, m.echoing())
	earlier(m.transmission.next, !m.transmission.next.IsZero())
	earlier(m.poll.again, m.poll.waiting)
	return at, ok
}
