package bfd

import (
	"math/rand/v2"
	"testing"
	"time"
)

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
