package bfd

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// simulation is two machines with a link between them, on a clock of its own. It does what an Engine does with a machine.
type simulation struct {
	random *rand.Rand
	now    time.Time
	ends   [2]*machine
	// On their way to each end.
	flying [2][]flight
	// The longest that a packet travels, and how many of 1000 are lost.
	delay time.Duration
	loss  int
	log   []string
}

type flight struct {
	at     time.Time
	packet Packet
}

func newSimulation(seed uint64, p, q Parameters) *simulation {
	s := &simulation{random: rand.New(rand.NewPCG(seed, 1)), now: epoch}
	s.ends[0] = newMachine(epoch, p, 100, s.random.Int64N)
	s.ends[1] = newMachine(epoch, q, 200, s.random.Int64N)
	return s
}

// act lets an end do what is due.
func (s *simulation) act(i int) {
	m := s.ends[i]
	state := m.sessionState
	m.expire(s.now)
	for {
		p, ok := m.transmit(s.now)
		if !ok {
			break
		}
		if s.random.IntN(1000) < s.loss {
			continue
		}
		travel := time.Duration(s.random.Int64N(int64(s.delay) + 1))
		other := 1 - i
		at := s.now.Add(travel)
		// A link keeps the order.
		if n := len(s.flying[other]); n > 0 && at.Before(s.flying[other][n-1].at) {
			at = s.flying[other][n-1].at
		}
		s.flying[other] = append(s.flying[other], flight{at, p})
	}
	if m.sessionState != state {
		s.log = append(s.log, fmt.Sprintf("%s: end %d %s -> %s (%s)", s.now.Sub(epoch), i, state, m.sessionState, m.localDiag))
	}
}

// run lets time pass.
func (s *simulation) run(t *testing.T, d time.Duration) {
	t.Helper()
	end := s.now.Add(d)
	for steps := 0; ; steps++ {
		if steps > 1_000_000 {
			t.Fatalf("busy without end at %s", s.now.Sub(epoch))
		}
		s.act(0)
		s.act(1)
		next := end
		for i := range s.ends {
			if at, ok := s.ends[i].due(); ok && at.Before(next) {
				next = at
			}
			if len(s.flying[i]) > 0 && s.flying[i][0].at.Before(next) {
				next = s.flying[i][0].at
			}
		}
		if next.After(s.now) {
			s.now = next
		}
		if !s.now.Before(end) {
			return
		}
		for i, m := range s.ends {
			for len(s.flying[i]) > 0 && !s.flying[i][0].at.After(s.now) {
				p := s.flying[i][0].packet
				s.flying[i] = s.flying[i][1:]
				state := m.sessionState
				if err := m.receive(s.now, s.now, &p); err != nil {
					t.Fatal(err)
				}
				if m.sessionState == Up && state != Up && p.YourDiscriminator != m.localDiscr {
					t.Fatalf("end %d is Up although the neighbour does not know it: %+v", i, p)
				}
				if m.sessionState != state {
					s.log = append(s.log, fmt.Sprintf("%s: end %d %s -> %s (%s)", s.now.Sub(epoch), i, state, m.sessionState, m.localDiag))
				}
			}
		}
	}
}

// parameters returns some at random.
func (s *simulation) parameters() Parameters {
	interval := func() time.Duration {
		return []time.Duration{10 * ms, 50 * ms, 300 * ms, time.Second, 5 * time.Second}[s.random.IntN(5)]
	}
	return Parameters{ReceiveInterval: interval(), TransmitInterval: interval(), DetectMultiplier: uint8(2 + s.random.IntN(8))}
}

// TestPropertyConvergesAndAgrees: over a link that loses a tenth of all packets for a while, and then none, both ends are Up
// and agree on timing, although they were retuned meanwhile.
func TestPropertyConvergesAndAgrees(t *testing.T) {
	for seed := range uint64(100) {
		s := newSimulation(seed, Parameters{}, Parameters{})
		p, q := s.parameters(), s.parameters()
		p.Passive = seed%3 == 0
		s.ends[0] = newMachine(epoch, p, 100, s.random.Int64N)
		s.ends[1] = newMachine(epoch, q, 200, s.random.Int64N)
		s.loss, s.delay = 100, 5*ms
		s.run(t, time.Minute)
		// Lost Polls and Finals hold up nothing for good, either.
		for range 10 {
			passive := s.ends[0].wanted.Passive
			p, q = s.parameters(), s.parameters()
			p.Passive = passive
			s.ends[0].retune(s.now, p)
			s.ends[1].retune(s.now, q)
			s.run(t, time.Duration(s.random.Int64N(int64(2*time.Second))))
		}
		s.loss = 0
		s.run(t, 5*time.Minute)
		a, b := s.ends[0], s.ends[1]
		if a.sessionState != Up || b.sessionState != Up {
			t.Fatalf("seed %d: %s and %s; %v", seed, a.sessionState, b.sessionState, s.log)
		}
		for _, x := range [][2]*machine{{a, b}, {b, a}} {
			interval := max(x[0].wanted.TransmitInterval, x[1].wanted.ReceiveInterval)
			if x[0].interval() != interval || x[1].detectionTime() != time.Duration(x[0].wanted.DetectMultiplier)*interval {
				t.Fatalf("seed %d: sends each %s, detected in %s, want %s × %d", seed, x[0].interval(), x[1].detectionTime(), interval, x[0].wanted.DetectMultiplier)
			}
		}
	}
}

// TestPropertyRetuneNeverFlaps: whenever and however often either end is retuned, a link that loses nothing keeps the
// session Up; and in the end the last wish is in force.
func TestPropertyRetuneNeverFlaps(t *testing.T) {
	for seed := range uint64(150) {
		s := newSimulation(seed, Parameters{}, Parameters{})
		s.delay = []time.Duration{0, ms, 4 * ms}[seed%3]
		for i := range s.ends {
			s.ends[i] = newMachine(epoch, s.parameters(), uint32(100+i), s.random.Int64N)
		}
		s.run(t, time.Minute)
		for range 30 {
			s.ends[s.random.IntN(2)].retune(s.now, s.parameters())
			s.run(t, time.Duration(s.random.Int64N(int64([]time.Duration{5 * ms, 500 * ms, 20 * time.Second}[s.random.IntN(3)]))))
		}
		s.run(t, 5*time.Minute)
		a, b := s.ends[0], s.ends[1]
		if a.downEvents+b.downEvents != 0 || a.sessionState != Up || b.sessionState != Up {
			t.Fatalf("seed %d, delay %s: %v", seed, s.delay, s.log)
		}
		if want := max(a.wanted.TransmitInterval, b.wanted.ReceiveInterval); a.interval() != want {
			t.Fatalf("seed %d: sends each %s, want %s", seed, a.interval(), want)
		}
		if want := time.Duration(a.wanted.DetectMultiplier) * a.interval(); b.detectionTime() != want {
			t.Fatalf("seed %d: detects in %s, want %s", seed, b.detectionTime(), want)
		}
	}
}

// TestPropertySilenceIsDetectedInTime: after the link is cut, each end is Down no sooner than its Detection Time after the
// last packet, and no later than that.
func TestPropertySilenceIsDetectedInTime(t *testing.T) {
	for seed := range uint64(100) {
		s := newSimulation(seed, Parameters{}, Parameters{})
		for i := range s.ends {
			s.ends[i] = newMachine(epoch, s.parameters(), uint32(100+i), s.random.Int64N)
		}
		s.run(t, time.Minute+time.Duration(s.random.Int64N(int64(time.Second))))
		s.loss = 1000
		var want [2]time.Time
		for i, m := range s.ends {
			s.flying[i] = nil
			want[i] = m.lastReceived.Add(m.detectionTime())
		}
		s.run(t, 2*time.Minute)
		for i, m := range s.ends {
			if m.sessionState != Down || !m.since.Equal(want[i]) || m.localDiag != ControlDetectionTimeExpired {
				t.Fatalf("seed %d: end %d is %s since %s, want Down at %s", seed, i, m.sessionState, m.since.Sub(epoch), want[i].Sub(epoch))
			}
		}
	}
}

// TestPropertyHostileNeighbor: whatever a neighbour says, it gets no more than two packets for one of its own beside the
// periodic ones, which keep their pace; and no step is without end.
func TestPropertyHostileNeighbor(t *testing.T) {
	for seed := range uint64(100) {
		s := newSimulation(seed, Parameters{}, Parameters{})
		p := s.parameters()
		p.Echo, p.EchoInterval, p.Passive = seed%2 == 0, 50*ms, seed%5 == 0
		m := newMachine(epoch, p, 100, s.random.Int64N)
		m.setEcho(epoch, true, true)
		interval := func() time.Duration {
			return time.Duration([]uint32{0, 1, 1000, 50_000, 1<<32 - 1, s.random.Uint32()}[s.random.IntN(6)]) * time.Microsecond
		}
		var received, sent, echoes int
		for s.now.Before(after(20 * time.Second)) {
			s.now = s.now.Add(time.Duration(s.random.Int64N(int64(20 * ms))))
			packet := Packet{
				State: State(s.random.IntN(4)), Diagnostic: Diagnostic(s.random.IntN(32)), DetectMultiplier: uint8(1 + s.random.IntN(255)),
				Poll: s.random.IntN(2) == 0, Final: s.random.IntN(2) == 0, Demand: s.random.IntN(4) == 0,
				MyDiscriminator: 1 + s.random.Uint32N(3), YourDiscriminator: 100,
				DesiredMinTx: interval(), RequiredMinRx: interval(), RequiredMinEchoRx: interval(),
			}
			m.expire(s.now)
			received++
			if err := m.receive(s.now, s.now, &packet); err != nil {
				t.Fatal(err)
			}
			sent += len(m.sent(s.now))
			if m.transmitEcho(s.now) {
				echoes++
			}
			if m.transmitEcho(s.now) {
				t.Fatalf("seed %d: two echo packets at a time", seed)
			}
			if at, ok := m.due(); ok && !at.After(s.now) && !m.expiring(s.now) {
				t.Fatalf("seed %d: still due after everything was done: %+v", seed, m)
			}
		}
		if most := 2*received + int(20*time.Second/p.TransmitInterval); sent > most {
			t.Errorf("seed %d: %d packets sent, at most %d expected", seed, sent, most)
		}
		if most := received + int(20*time.Second/(50*ms)); echoes > most {
			t.Errorf("seed %d: %d echo packets, at most %d expected", seed, echoes, most)
		}
	}
}

// TestLossAloneEndsNoSessionOfLayer2: with the parameters by which nodes watch each other, a link that loses a fifth of all
// packets for ten hours ends no session; one that is cut ends it in time.
func TestLossAloneEndsNoSessionOfLayer2(t *testing.T) {
	p := Parameters{ReceiveInterval: 60 * ms, TransmitInterval: 60 * ms, DetectMultiplier: 10}
	for seed := range uint64(10) {
		s := newSimulation(seed, p, p)
		s.delay = ms
		s.run(t, time.Minute)
		s.loss, s.log = 200, nil
		s.run(t, time.Hour)
		if len(s.log) > 0 {
			t.Errorf("seed %d: %v", seed, s.log)
		}
		s.loss = 1000
		s.run(t, 600*ms+s.delay)
		if a, b := s.ends[0].sessionState, s.ends[1].sessionState; a != Down || b != Down {
			t.Errorf("seed %d: %s and %s though the link is cut; %v", seed, a, b, s.log)
		}
	}
}
