package bfd

import (
	"testing"
	"time"
)

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
