package bfd

import (
	"errors"
	"math/rand/v2"
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

func TestSection6_8_3SlowUntilUp(t *testing.T) {
	m := start(wish)
	p := m.sent(epoch)
	if len(p) != 1 || p[0].DesiredMinTx != time.Second || p[0].RequiredMinRx != 300*ms || p[0].State != Down || p[0].YourDiscriminator != 0 {
		t.Fatalf("first: %+v", p)
	}
	if p := m.sent(after(999 * ms)); len(p) != 0 {
		t.Errorf("sent too early: %+v", p)
	}
	if p := m.sent(after(time.Second)); len(p) != 1 {
		t.Errorf("sent %d packets after a second", len(p))
	}
	// Up: the wish is said, with a Poll, and what makes us send more often holds at once.
	m.hears(t, after(time.Second), from(Init))
	p = m.sent(after(time.Second))
	if len(p) != 1 || p[0].State != Up || p[0].DesiredMinTx != 200*ms || !p[0].Poll || p[0].YourDiscriminator != 2 {
		t.Fatalf("at Up: %+v", p)
	}
	if m.interval() != 200*ms {
		t.Errorf("interval %s", m.interval())
	}
	// Down again: slow again, without asking.
	m.hears(t, after(1100*ms), from(Down))
	p = m.sent(after(1100 * ms))
	if len(p) != 1 || p[0].State != Down || p[0].Diagnostic != NeighborSignaledDown || p[0].DesiredMinTx != time.Second || p[0].Poll {
		t.Errorf("at Down: %+v", p)
	}
	if m.interval() != time.Second {
		t.Errorf("interval %s", m.interval())
	}
}

func TestSection6_8_3LongerTransmitIntervalWaitsForFinal(t *testing.T) {
	m := up(t, wish)
	p := wish
	p.TransmitInterval = time.Second
	m.retune(epoch, p)
	got := m.sent(epoch)
	if len(got) != 1 || got[0].DesiredMinTx != time.Second || !got[0].Poll {
		t.Fatalf("%+v", got)
	}
	if m.interval() != 200*ms {
		t.Errorf("interval %s before Final", m.interval())
	}
	// The Poll goes with every packet until it is answered.
	if got := m.sent(after(200 * ms)); len(got) != 1 || !got[0].Poll {
		t.Errorf("%+v", got)
	}
	m.hears(t, after(300*ms), from(Up, final))
	if m.interval() != time.Second {
		t.Errorf("interval %s after Final", m.interval())
	}
	if got := m.sent(after(1199 * ms)); len(got) != 0 {
		t.Errorf("sent too early: %+v", got)
	}
	if got := m.sent(after(1200 * ms)); len(got) != 1 || got[0].Poll {
		t.Errorf("%+v", got)
	}
}

func TestSection6_8_3ShorterTransmitIntervalHoldsAtOnce(t *testing.T) {
	m := up(t, wish)
	p := wish
	p.TransmitInterval = 120 * ms
	m.retune(after(50*ms), p)
	if got := m.sent(after(50 * ms)); len(got) != 1 || got[0].DesiredMinTx != 120*ms || !got[0].Poll {
		t.Fatalf("%+v", got)
	}
	if got := m.sent(after(170 * ms)); len(got) != 1 {
		t.Errorf("%d packets after the new interval", len(got))
	}
}

func TestSection6_8_3ShorterReceiveIntervalWaitsForFinal(t *testing.T) {
	m := up(t, wish)
	p := wish
	p.ReceiveInterval = 10 * ms
	m.retune(epoch, p)
	quick := func(p *Packet) { p.DesiredMinTx = 10 * ms }
	m.hears(t, epoch, from(Up, quick))
	if got := m.detectionTime(); got != 4*300*ms {
		t.Errorf("detection time %s before Final", got)
	}
	m.sent(epoch)
	m.hears(t, epoch, from(Up, quick, final))
	if got := m.detectionTime(); got != 4*10*ms {
		t.Errorf("detection time %s after Final", got)
	}
}

func TestSection6_8_3LongerReceiveIntervalHoldsAtOnce(t *testing.T) {
	m := up(t, wish)
	p := wish
	p.ReceiveInterval = 5 * time.Second
	m.retune(epoch, p)
	if got := m.detectionTime(); got != 4*5*time.Second {
		t.Errorf("detection time %s", got)
	}
}

func TestSection6_5OnePollSequenceAtATime(t *testing.T) {
	m := up(t, wish)
	p := wish
	p.TransmitInterval = time.Second
	m.retune(epoch, p)
	m.sent(epoch)
	m.sent(after(200 * ms)) // the Poll again: two are unanswered
	p.TransmitInterval = 2 * time.Second
	m.retune(after(250*ms), p)
	if got := m.sent(after(400 * ms)); len(got) != 1 || got[0].DesiredMinTx != time.Second {
		t.Errorf("a second change within a sequence: %+v", got)
	}
	// Of three Polls, one is answered. Another Final might answer the others, so that the next change waits.
	m.hears(t, after(450*ms), from(Up, final))
	if m.interval() != time.Second || m.poll.active {
		t.Errorf("interval %s, poll %+v", m.interval(), m.poll)
	}
	m.hears(t, after(460*ms), from(Up, final))
	m.hears(t, after(470*ms), from(Up, final))
	got := m.sent(after(470 * ms))
	if len(got) != 1 || got[0].DesiredMinTx != 2*time.Second || !got[0].Poll {
		t.Errorf("the second change: %+v", got)
	}
	m.hears(t, after(480*ms), from(Up, final))
	if m.interval() != 2*time.Second {
		t.Errorf("interval %s", m.interval())
	}
}

func TestSection6_5LostPollsDoNotHoldUpChangesForEver(t *testing.T) {
	m := up(t, wish)
	p := wish
	p.TransmitInterval = time.Second
	m.retune(epoch, p)
	m.sent(epoch)
	m.sent(after(200 * ms))
	m.hears(t, after(300*ms), from(Up, final))
	p.TransmitInterval = 2 * time.Second
	m.retune(after(300*ms), p)
	at, ok := m.due()
	if !ok || at.After(after(200*ms).Add(m.detectionTime())) {
		t.Errorf("due at %s", at.Sub(epoch))
	}
	got := m.sent(after(200 * ms).Add(m.detectionTime()))
	if len(got) != 1 || got[0].DesiredMinTx != 2*time.Second || !got[0].Poll {
		t.Errorf("%+v", got)
	}
}

func TestSection6_8_7PollIsAnsweredAtOnce(t *testing.T) {
	for _, state := range []State{Down, Init, Up} {
		t.Run(state.String(), func(t *testing.T) {
			m := start(wish)
			m.sent(epoch)
			if state == Init {
				m.hears(t, epoch, from(Down))
			}
			if state == Up {
				m.hears(t, epoch, from(Init))
			}
			m.sent(epoch)
			next := m.transmission.next
			p := from(Up, polled)
			m.hears(t, after(ms), p)
			got := m.sent(after(ms))
			if len(got) == 0 || !got[0].Final || got[0].Poll {
				t.Fatalf("%+v", got)
			}
			if state == Down && !m.transmission.next.Equal(next) {
				t.Error("the answer moved the timer")
			}
			for _, p := range got[1:] {
				if p.Final {
					t.Error("answered twice")
				}
			}
		})
	}
	t.Run("although the neighbour wants nothing periodically", func(t *testing.T) {
		m := up(t, wish)
		m.hears(t, after(ms), from(Up, polled, func(p *Packet) { p.RequiredMinRx = 0 }))
		if got := m.sent(after(ms)); len(got) != 1 || !got[0].Final {
			t.Fatalf("%+v", got)
		}
		if got := m.sent(after(time.Hour)); len(got) != 0 {
			t.Errorf("%d packets to a neighbour that wants none", len(got))
		}
		m.hears(t, after(time.Hour), from(Up))
		if got := m.sent(after(time.Hour)); len(got) != 1 {
			t.Errorf("%d packets to a neighbour that wants some again", len(got))
		}
	})
}

func TestSection6_8_7NewReceiveIntervalOfNeighbourHoldsAtOnce(t *testing.T) {
	m := up(t, wish)
	rx := func(d time.Duration) func(*Packet) { return func(p *Packet) { p.RequiredMinRx = d } }
	m.hears(t, after(100*ms), from(Up, rx(time.Second)))
	if got := m.sent(after(999 * ms)); len(got) != 0 {
		t.Errorf("%d packets although the neighbour asks for one a second", len(got))
	}
	// Not only when the running second is over.
	m.hears(t, after(900*ms), from(Up, rx(100*ms)))
	if got := m.sent(after(900 * ms)); len(got) != 1 {
		t.Errorf("%d packets", len(got))
	}
}

func TestSection6_8_7Jitter(t *testing.T) {
	for _, test := range []struct {
		multiplier  uint8
		least, most time.Duration
	}{
		{3, 150 * ms, 200 * ms},
		{1, 150 * ms, 180 * ms},
	} {
		p := wish
		p.DetectMultiplier = test.multiplier
		m := up(t, p)
		m.random = rand.New(rand.NewPCG(1, 2)).Int64N
		least, most := time.Hour, time.Duration(0)
		now := m.transmission.next
		for range 10000 {
			if len(m.sent(now)) != 1 {
				t.Fatal("not sent when due")
			}
			gap := m.transmission.next.Sub(now)
			least, most = min(least, gap), max(most, gap)
			now = m.transmission.next
		}
		if least < test.least || most > test.most || least > test.least+ms || most < test.most-ms {
			t.Errorf("multiplier %d: between %s and %s, want %s to %s", test.multiplier, least, most, test.least, test.most)
		}
	}
}

func TestSection6_8_7PassiveRole(t *testing.T) {
	p := wish
	p.Passive = true
	m := start(p)
	if got := m.sent(after(time.Hour)); len(got) != 0 {
		t.Fatalf("spoke first: %+v", got)
	}
	m.hears(t, after(time.Hour), from(Down, func(p *Packet) { p.YourDiscriminator = 0 }))
	if got := m.sent(after(time.Hour)); len(got) != 1 || got[0].State != Init {
		t.Fatalf("%+v", got)
	}
	// Silence: one last word, to the neighbour as it was known, then none.
	expired := after(time.Hour).Add(m.detectionTime())
	m.expire(expired)
	if got := m.sent(expired); len(got) != 1 || got[0].State != Down || got[0].YourDiscriminator != 2 {
		t.Errorf("%+v", got)
	}
	if got := m.sent(expired.Add(time.Hour)); len(got) != 0 {
		t.Errorf("spoke to nobody: %+v", got)
	}
}

func TestSection6_6DemandModeOfNeighbour(t *testing.T) {
	m := up(t, wish)
	m.hears(t, epoch, from(Up, demand))
	if got := m.sent(after(10 * time.Second)); len(got) != 0 {
		t.Errorf("%d periodic packets", len(got))
	}
	// A Poll Sequence is sent all the same, until it is answered.
	p := wish
	p.TransmitInterval = time.Second
	m.hears(t, after(10*time.Second), from(Up, demand))
	m.retune(after(10*time.Second), p)
	if got := m.sent(after(10 * time.Second)); len(got) != 1 || !got[0].Poll {
		t.Errorf("%+v", got)
	}
	if got := m.sent(after(10200 * ms)); len(got) != 1 || !got[0].Poll {
		t.Errorf("%+v", got)
	}
	m.hears(t, after(10300*ms), from(Up, demand, final))
	if got := m.sent(after(20 * time.Second)); len(got) != 0 {
		t.Errorf("%d periodic packets", len(got))
	}
	// Not in Demand mode any more.
	m.hears(t, after(21*time.Second), from(Up))
	if got := m.sent(after(22 * time.Second)); len(got) != 1 {
		t.Errorf("%d packets", len(got))
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

func echoing(t *testing.T) *machine {
	t.Helper()
	p := wish
	p.Echo = true
	m := up(t, p)
	m.setEcho(epoch, true, true)
	m.hears(t, epoch, from(Up, func(p *Packet) { p.RequiredMinEchoRx = 80 * ms }))
	m.sent(epoch)
	return m
}

func TestSection6_8_9EchoPackets(t *testing.T) {
	m := echoing(t)
	if m.echoInterval() != 80*ms {
		t.Errorf("each %s", m.echoInterval())
	}
	if !m.transmitEcho(epoch) || m.transmitEcho(after(79*ms)) || !m.transmitEcho(after(80*ms)) {
		t.Error("not sent in time")
	}
	// The neighbour wants none any more: they MUST cease.
	m.hears(t, after(100*ms), from(Up))
	if m.transmitEcho(after(time.Second)) || m.echoInterval() != 0 {
		t.Error("sent although the neighbour accepts none")
	}
	// Nor when not Up.
	m = echoing(t)
	m.hears(t, epoch, from(Down, func(p *Packet) { p.RequiredMinEchoRx = 80 * ms }))
	if m.transmitEcho(after(time.Second)) {
		t.Error("sent although not Up")
	}
}

func TestSection6_8_1RequiredMinEchoRx(t *testing.T) {
	m := echoing(t)
	if p := m.packet(); p.RequiredMinEchoRx != 50*ms {
		t.Errorf("says %s", p.RequiredMinEchoRx)
	}
	m.setEcho(epoch, true, false)
	if p := m.packet(); p.RequiredMinEchoRx != 0 {
		t.Errorf("says %s although nobody sends them back", p.RequiredMinEchoRx)
	}
	if got := m.sent(epoch); len(got) != 1 {
		t.Error("does not say so at once")
	}
}

func TestSection6_8_3ControlPacketsAreSlowWhileEchoWorks(t *testing.T) {
	m := echoing(t)
	if m.requiredMinRx != 300*ms {
		t.Errorf("asks for one each %s before an echo came back", m.requiredMinRx)
	}
	m.receiveEcho(after(10*ms), after(10*ms))
	got := m.sent(after(10 * ms))
	if len(got) != 1 || got[0].RequiredMinRx != time.Second || !got[0].Poll {
		t.Errorf("%+v", got)
	}
	m.hears(t, after(20*ms), from(Up, final)) // also ends the echo function
	got = m.sent(after(20 * ms))
	if len(got) != 1 || got[0].RequiredMinRx != 300*ms || !got[0].Poll || m.poll.requiredMinRx != time.Second {
		t.Errorf("%+v", got)
	}
}

func TestSection6_8_5EchoDetection(t *testing.T) {
	m := echoing(t)
	m.receiveEcho(after(10*ms), after(10*ms))
	end := after(10*ms + 3*80*ms)
	if m.expiring(end.Add(-1)) {
		t.Error("too early")
	}
	m.expire(end)
	if m.sessionState != Down || m.localDiag != EchoFunctionFailed || !m.failed {
		t.Errorf("%s, %s", m.sessionState, m.localDiag)
	}
	if got := m.sent(end); len(got) != 1 || got[0].RequiredMinRx != 300*ms || got[0].Diagnostic != EchoFunctionFailed {
		t.Errorf("%+v", got)
	}
	// Up again, and proven before: the lack of echo packets is a failure from the start.
	m.hears(t, end, from(Init, func(p *Packet) { p.RequiredMinEchoRx = 80 * ms }))
	m.expire(end.Add(240 * ms))
	if m.sessionState != Down || m.localDiag != EchoFunctionFailed {
		t.Errorf("%s, %s", m.sessionState, m.localDiag)
	}
}

func TestSection6_8_5WhatNeverCameBackProvesNothing(t *testing.T) {
	m := echoing(t)
	for now := epoch; now.Before(after(10 * time.Second)); now = now.Add(10 * ms) {
		m.hears(t, now, from(Up, func(p *Packet) { p.RequiredMinEchoRx = 80 * ms }))
		m.transmitEcho(now)
		m.expire(now)
	}
	if m.sessionState != Up || m.requiredMinRx != 300*ms {
		t.Errorf("%s, %s", m.sessionState, m.requiredMinRx)
	}
	// And neither does what could not be sent.
	m.receiveEcho(after(10*time.Second), after(10*time.Second))
	m.echoUnsent(after(10200 * ms))
	m.hears(t, after(10250*ms), from(Up, func(p *Packet) { p.RequiredMinEchoRx = 80 * ms }))
	m.expire(after(10300 * ms))
	if m.sessionState != Up {
		t.Errorf("%s, %s", m.sessionState, m.localDiag)
	}
}

func TestSection6_8_9NewEchoIntervalHoldsAtOnce(t *testing.T) {
	slow := func(p *Packet) { p.RequiredMinEchoRx = 10 * time.Second }
	m := echoing(t)
	m.hears(t, epoch, from(Up, slow))
	if !m.transmitEcho(epoch) {
		t.Fatal("not sent")
	}
	m.receiveEcho(after(ms), after(ms))
	// From one each ten seconds to one each 80 ms: no lack of packets that nobody had reason to send.
	now := after(5 * time.Second)
	m.hears(t, now, from(Up, func(p *Packet) { p.RequiredMinEchoRx = 80 * ms }))
	if m.expire(now); m.sessionState != Up {
		t.Fatalf("%s: %s", m.sessionState, m.localDiag)
	}
	if !m.transmitEcho(now) {
		t.Error("the old interval is waited for")
	}
	if at, _ := m.echoExpiry(); !at.Equal(now.Add(240 * ms)) {
		t.Errorf("expires after %s", at.Sub(now))
	}
}
