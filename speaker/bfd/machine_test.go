package bfd

import (
	"errors"
	"testing"
	"time"
)

// epoch is when the machines of these tests begin.
var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func after(d time.Duration) time.Time { return epoch.Add(d) }

const ms = time.Millisecond

var wish = Parameters{ReceiveInterval: 300 * ms, TransmitInterval: 200 * ms, EchoInterval: 50 * ms, DetectMultiplier: 3}

// noJitter makes intervals as long as they may be.
func noJitter(int64) int64 { return 0 }

func start(p Parameters) *machine { return newMachine(epoch, p, 1, noJitter) }

// sent returns the packets that are to be sent at a time.
func (m *machine) sent(now time.Time) (all []Packet) {
	for {
		p, ok := m.transmit(now)
		if !ok {
			return all
		}
		all = append(all, p)
	}
}

// from is a packet of a neighbour that knows us.
func from(s State, change ...func(*Packet)) *Packet {
	p := &Packet{
		State: s, DetectMultiplier: 4, MyDiscriminator: 2, YourDiscriminator: 1,
		DesiredMinTx: 400 * ms, RequiredMinRx: 100 * ms,
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func final(p *Packet)  { p.Final = true }
func polled(p *Packet) { p.Poll = true }
func demand(p *Packet) { p.Demand = true }

// hears has a machine receive a packet.
func (m *machine) hears(t *testing.T, at time.Time, p *Packet) {
	t.Helper()
	if err := m.receive(at, at, p); err != nil {
		t.Fatalf("%+v: %v", p, err)
	}
}

// up returns a machine that is Up since the epoch, its parameters agreed.
func up(t *testing.T, p Parameters) *machine {
	t.Helper()
	m := start(p)
	m.sent(epoch)
	m.hears(t, epoch, from(Init))
	m.sent(epoch)
	m.hears(t, epoch, from(Up, final))
	m.sent(epoch)
	if m.sessionState != Up || m.poll.active {
		t.Fatalf("not up: %s, poll %+v", m.sessionState, m.poll)
	}
	return m
}

// TestSection6_8_6StateMachine is the state machine of RFC 5880 sections 6.2 and 6.8.6, every state with every event.
func TestSection6_8_6StateMachine(t *testing.T) {
	for _, test := range []struct {
		state, received, want State
		diagnostic            Diagnostic
	}{
		{Down, AdminDown, Down, NoDiagnostic},
		{Down, Down, Init, NoDiagnostic},
		{Down, Init, Up, NoDiagnostic},
		{Down, Up, Down, NoDiagnostic},
		{Init, AdminDown, Down, NeighborSignaledDown},
		{Init, Down, Init, NoDiagnostic},
		{Init, Init, Up, NoDiagnostic},
		{Init, Up, Up, NoDiagnostic},
		{Up, AdminDown, Down, NeighborSignaledDown},
		{Up, Down, Down, NeighborSignaledDown},
		{Up, Init, Up, NoDiagnostic},
		{Up, Up, Up, NoDiagnostic},
		{AdminDown, AdminDown, AdminDown, AdministrativelyDown},
		{AdminDown, Down, AdminDown, AdministrativelyDown},
		{AdminDown, Init, AdminDown, AdministrativelyDown},
		{AdminDown, Up, AdminDown, AdministrativelyDown},
	} {
		t.Run(test.state.String()+" hears "+test.received.String(), func(t *testing.T) {
			m := start(wish)
			switch test.state {
			case Init:
				m.hears(t, epoch, from(Down))
			case Up:
				m.hears(t, epoch, from(Init))
			case AdminDown:
				m.adminDown(epoch)
			}
			if m.sessionState != test.state {
				t.Fatalf("began in %s", m.sessionState)
			}
			err := m.receive(epoch, epoch, from(test.received))
			if (test.state == AdminDown) != errors.Is(err, DiscardAdminDown) {
				t.Errorf("error: %v", err)
			}
			if m.sessionState != test.want || m.localDiag != test.diagnostic {
				t.Errorf("got %s (%s), want %s (%s)", m.sessionState, m.localDiag, test.want, test.diagnostic)
			}
			if m.remoteSessionState != test.received || m.remoteDiscr != 2 {
				t.Errorf("remote state %s, discriminator %d", m.remoteSessionState, m.remoteDiscr)
			}
		})
	}
}

func TestSection6_8_6AuthenticatedPacketChangesNothing(t *testing.T) {
	m := start(wish)
	if err := m.receive(epoch, epoch, from(Down, func(p *Packet) { p.AuthenticationPresent = true })); !errors.Is(err, DiscardAuthenticated) {
		t.Errorf("error: %v", err)
	}
	if m.sessionState != Down || m.remoteDiscr != 0 {
		t.Errorf("state %s, remote discriminator %d", m.sessionState, m.remoteDiscr)
	}
}

func TestSection6_8_1InitialValues(t *testing.T) {
	m := start(wish)
	if m.sessionState != Down || m.remoteSessionState != Down || m.remoteDiscr != 0 || m.localDiag != NoDiagnostic ||
		m.remoteMinRx != time.Microsecond || m.desiredMinTx < time.Second || m.remoteDemandMode {
		t.Errorf("%+v", m)
	}
}

func TestSection6_8_4DetectionTime(t *testing.T) {
	for _, test := range []struct {
		receive, transmit time.Duration
		multiplier        uint8
		want              time.Duration
	}{
		{300 * ms, 400 * ms, 4, 1600 * ms}, // the neighbour is the slower
		{300 * ms, 50 * ms, 4, 1200 * ms},  // we are
		{300 * ms, 0, 1, 300 * ms},
	} {
		p := wish
		p.ReceiveInterval = test.receive
		m := up(t, p)
		m.hears(t, epoch, from(Up, func(p *Packet) { p.DesiredMinTx, p.DetectMultiplier = test.transmit, test.multiplier }))
		if got := m.detectionTime(); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
		if m.expiring(after(test.want - 1)) {
			t.Errorf("%+v: expires too early", test)
		}
		m.expire(after(test.want))
		if m.sessionState != Down || m.localDiag != ControlDetectionTimeExpired || !m.failed || m.downEvents != 1 {
			t.Errorf("%+v: %s, %s", test, m.sessionState, m.localDiag)
		}
		got := m.sent(after(test.want))
		if len(got) != 1 || got[0].State != Down || got[0].Diagnostic != ControlDetectionTimeExpired {
			t.Errorf("says %+v", got)
		}
		// Section 6.8.1: and then the neighbour is forgotten.
		if m.remoteDiscr != 0 || m.remoteMinRx != time.Microsecond {
			t.Errorf("remembers %d, %s", m.remoteDiscr, m.remoteMinRx)
		}
	}
}

func TestSection6_8_4LatePacketCountsFromItsArrival(t *testing.T) {
	m := up(t, wish)
	// Handled late, but it had arrived long before.
	m.hears(t, epoch, from(Up))
	if err := m.receive(after(5*time.Second), after(500*ms), from(Up)); err != nil {
		t.Fatal(err)
	}
	if at, _ := m.expiry(); !at.Equal(after(500*ms + 1600*ms)) {
		t.Errorf("expires %s after the epoch", at.Sub(epoch))
	}
}

func TestSection6_8_16AdminDown(t *testing.T) {
	m := up(t, wish)
	m.adminDown(after(50 * ms))
	got := m.sent(after(50 * ms))
	if len(got) != 1 || got[0].State != AdminDown || got[0].Diagnostic != AdministrativelyDown {
		t.Fatalf("%+v", got)
	}
	if m.failed || m.adminDownKnown() {
		t.Errorf("failed %t, known %t", m.failed, m.adminDownKnown())
	}
	if m.linger() != 3*time.Second {
		t.Errorf("linger %s", m.linger())
	}
	if got := m.sent(after(1050 * ms)); len(got) != 1 || got[0].State != AdminDown {
		t.Errorf("%+v", got)
	}
	// The neighbour went down for another reason: that it missed us.
	if err := m.receive(after(1100*ms), after(1100*ms), from(Down, func(p *Packet) { p.Diagnostic = ControlDetectionTimeExpired })); !errors.Is(err, DiscardAdminDown) {
		t.Error(err)
	}
	if m.adminDownKnown() {
		t.Error("took a detection for an answer")
	}
	if err := m.receive(after(1200*ms), after(1200*ms), from(Down, func(p *Packet) { p.Diagnostic = NeighborSignaledDown })); !errors.Is(err, DiscardAdminDown) {
		t.Error(err)
	}
	if !m.adminDownKnown() {
		t.Error("took no answer")
	}
	m.hush(after(1200 * ms))
	if got := m.sent(after(time.Hour)); len(got) != 0 {
		t.Errorf("%d packets", len(got))
	}
}

func TestSection6_8_16AdminDownOfNeighbourIsNoFailure(t *testing.T) {
	m := up(t, wish)
	m.hears(t, epoch, from(AdminDown))
	if m.sessionState != Down || m.localDiag != NeighborSignaledDown || m.failed {
		t.Errorf("%s, %s, failed %t", m.sessionState, m.localDiag, m.failed)
	}
	m.expire(after(time.Hour))
	if m.failed || m.remoteSessionState != AdminDown {
		t.Errorf("after silence: failed %t, remote %s", m.failed, m.remoteSessionState)
	}
	// The same after a failure: there is a reason now.
	m = up(t, wish)
	m.hears(t, epoch, from(Down))
	if !m.failed {
		t.Error("Down of the neighbour is no failure")
	}
	m.hears(t, epoch, from(AdminDown))
	if m.failed {
		t.Error("a neighbour that was taken down has failed")
	}
}

func TestSection6_8_15ForwardingPlaneReset(t *testing.T) {
	m := up(t, wish)
	m.reset(after(50 * ms))
	got := m.sent(after(50 * ms))
	if len(got) != 1 || got[0].State != Down || got[0].Diagnostic != ForwardingPlaneReset {
		t.Errorf("%+v", got)
	}
}
