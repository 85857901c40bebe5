package bfd

import "time"

// receive takes in a control packet that was decoded and found to be this session's: RFC 5880 section 6.8.6, from where
// the session has been selected. The packet arrived at the time at, which may lie in the past.
func (m *machine) receive(now, at time.Time, p *Packet) error {
	if p.AuthenticationPresent {
		return DiscardAuthenticated
	}
	m.lost = false
	m.remoteDiscr = p.MyDiscriminator
	m.remoteSessionState = p.State
	m.remoteDiag = p.Diagnostic
	m.remoteDemandMode = p.Demand
	m.remoteMinRx = p.RequiredMinRx
	m.remoteMinTx = p.DesiredMinTx
	m.remoteMinEchoRx = p.RequiredMinEchoRx
	m.remoteDetectMult = p.DetectMultiplier
	if at.After(m.lastReceived) {
		m.lastReceived = at
	}
	if p.Final {
		m.finishPoll(now)
	}
	if m.sessionState == AdminDown {
		m.schedule(now)
		return DiscardAdminDown
	}
	switch {
	case p.State == AdminDown:
		m.failed = false
		if m.sessionState != Down {
			m.enter(now, Down, NeighborSignaledDown)
		}
	case m.sessionState == Down && p.State == Down:
		m.enter(now, Init, NoDiagnostic)
	case m.sessionState == Down && p.State == Init, m.sessionState == Init && p.State != Down:
		m.enter(now, Up, NoDiagnostic)
	case m.sessionState == Up && p.State == Down:
		m.enter(now, Down, NeighborSignaledDown)
	}
	m.watchEcho(now)
	m.negotiate(now)
	if p.Poll {
		m.transmission.final = true
	}
	m.schedule(now)
	return nil
}
