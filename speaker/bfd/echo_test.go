package bfd

import (
	"testing"
	"time"
)

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
