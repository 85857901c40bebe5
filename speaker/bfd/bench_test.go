package bfd

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ingot-lb/ingot/test/await"
)

// sink is a Transport whose packets go nowhere.
type sink struct{ *host }

func (s sink) Dial(Key) (Sender, error) { return discarding{}, nil }

type discarding struct{}

func (discarding) Send([]byte) error     { return nil }
func (discarding) Local() netip.AddrPort { return netip.MustParseAddrPort("192.0.2.1:49152") }
func (discarding) Close() error          { return nil }

// established returns a session that is Up, and what its neighbour sends; nobody but the caller drives it.
func established(tb testing.TB) (*Engine, *Session, *Datagram) {
	tb.Helper()
	h := newMemory().host("192.0.2.1")
	e := New(Options{Transport: sink{h}})
	tb.Cleanup(e.Close)
	remote := netip.MustParseAddr("192.0.2.2")
	hour := Parameters{ReceiveInterval: time.Hour, TransmitInterval: time.Hour, DetectMultiplier: 3}
	s, err := e.Open(Key{Remote: remote}, hour, nil)
	if err != nil {
		tb.Fatal(err)
	}
	// The session's own goroutine has to get what it sends by.
	await.True(tb, "a sender", func() bool { return s.Status().Local.IsValid() })
	p := Packet{State: Init, DetectMultiplier: 3, MyDiscriminator: 7, YourDiscriminator: s.discriminator,
		DesiredMinTx: time.Hour, RequiredMinRx: time.Microsecond}
	d := &Datagram{Payload: p.Append(nil), Source: remote, TTL: 255, Interface: "eth0"}
	e.control(Scope{}, d, arrival{time.Now(), time.Now()})
	p.State, p.Final = Up, true
	e.control(Scope{}, &Datagram{Payload: p.Append(nil), Source: remote, TTL: 255}, arrival{time.Now(), time.Now()})
	// Each packet is a Poll, so that each is answered.
	p.Final, p.Poll = false, true
	d.Payload = p.Append(nil)
	if got := s.Status().State; got != Up {
		tb.Fatalf("session is %s", got)
	}
	return e, s, d
}

func exchange(e *Engine, d *Datagram) {
	now := time.Now()
	e.control(Scope{}, d, arrival{now, now})
}

// TestNoAllocationPerPacket: a packet received and its answer, a periodic packet, and garbage.
func TestNoAllocationPerPacket(t *testing.T) {
	e, s, d := established(t)
	garbage := &Datagram{Payload: append([]byte(nil), d.Payload...), Source: d.Source, TTL: 255}
	garbage.Payload[8] ^= 0xff
	e.control(Scope{}, garbage, arrival{time.Now(), time.Now()}) // logged, once a minute
	before := s.Status().Counters
	if n := testing.AllocsPerRun(1000, func() {
		exchange(e, d)
		exchange(e, garbage)
		s.mu.Lock()
		s.machine.transmission.next = time.Now().Add(-time.Second)
		s.mu.Unlock()
		s.step(s.judge())
	}); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
	after := s.Status().Counters
	if got := after.ControlReceived - before.ControlReceived; got != 1001 {
		t.Errorf("received %d", got)
	}
	if got := after.ControlSent - before.ControlSent; got < 2002 {
		t.Errorf("sent %d", got)
	}
}

// BenchmarkPoll is a packet received and answered.
func BenchmarkPoll(b *testing.B) {
	e, _, d := established(b)
	b.ReportAllocs()
	for b.Loop() {
		exchange(e, d)
	}
}

// BenchmarkGarbage is a packet that names a session that does not exist.
func BenchmarkGarbage(b *testing.B) {
	e, _, d := established(b)
	d.Payload[8] ^= 0xff
	b.ReportAllocs()
	for b.Loop() {
		exchange(e, d)
	}
}
