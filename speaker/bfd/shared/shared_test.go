package shared

import (
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ingot-lb/ingot/speaker/bfd"
)

// mute is a transport on which nothing is heard.
type mute struct{}

func (mute) Listen(bfd.Scope) (bfd.Receiver, error) { return &deaf{closed: make(chan struct{})}, nil }
func (mute) ListenEcho() (bfd.Receiver, error)      { return nil, errors.New("no echo here") }
func (mute) DialEcho(bfd.Key, netip.Addr) (bfd.Sender, error) {
	return nil, errors.New("no echo here")
}
func (mute) Reflects(bfd.Key) bool { return false }

func (mute) Dial(bfd.Key) (bfd.Sender, error) {
	return nowhere{}, nil
}

type deaf struct{ closed chan struct{} }

func (d *deaf) Wait() error {
	<-d.closed
	return bfd.ErrClosed
}
func (d *deaf) Receive(*bfd.Datagram) (bool, error) { return false, nil }
func (d *deaf) Close() error                        { close(d.closed); return nil }

type nowhere struct{}

func (nowhere) Send([]byte) error     { return nil }
func (nowhere) Local() netip.AddrPort { return netip.AddrPort{} }
func (nowhere) Close() error          { return nil }

var (
	here, there = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	slow        = bfd.Parameters{ReceiveInterval: 300 * time.Millisecond, TransmitInterval: 300 * time.Millisecond, DetectMultiplier: 3}
	quick       = bfd.Parameters{ReceiveInterval: 60 * time.Millisecond, TransmitInterval: 60 * time.Millisecond, DetectMultiplier: 10}
)

func open(t *testing.T, e *Engine, k bfd.Key, p bfd.Parameters, changed func(bfd.Status)) *Session {
	t.Helper()
	s, err := e.Open(k, p, changed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func quiet(bfd.Status) {}

func TestHostsHaveOneSessionWhoeverNeedsIt(t *testing.T) {
	key := bfd.Key{Remote: there, Local: here}
	onLink := bfd.Key{Remote: there, Local: here, Interface: "eth0"}
	tests := map[string]struct {
		first, second bfd.Key
		shared        bool
	}{
		"the same key":                      {key, key, true},
		"one leaves the interface open":     {key, onLink, true},
		"the other leaves it open":          {onLink, key, true},
		"one leaves the local address open": {bfd.Key{Remote: there, Interface: "eth0"}, onLink, true},
		"other interfaces":                  {onLink, bfd.Key{Remote: there, Local: here, Interface: "eth1"}, false},
		"another VRF":                       {key, bfd.Key{Remote: there, Local: here, VRF: "red"}, false},
		"several hops":                      {key, bfd.Key{Remote: there, Local: here, MultiHop: true}, false},
		"another neighbour":                 {key, bfd.Key{Remote: here, Local: there}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e := Over(slog.New(slog.DiscardHandler), mute{})
			defer e.Close()
			a, b := open(t, e, tt.first, slow, quiet), open(t, e, tt.second, slow, quiet)
			if got := a.Status().LocalDiscriminator == b.Status().LocalDiscriminator; got != tt.shared {
				t.Errorf("shared: %v, want %v", got, tt.shared)
			}
		})
	}
}

func TestTheFirstOwnerHasTheSay(t *testing.T) {
	e := Over(slog.New(slog.DiscardHandler), mute{})
	defer e.Close()
	key := bfd.Key{Remote: there, Local: here}
	first, second := open(t, e, key, slow, quiet), open(t, e, key, quick, quiet)
	discriminator := first.Status().LocalDiscriminator
	notice := func(s *Session) bool {
		for _, n := range s.Status().Notices {
			if strings.Contains(n, "other parameters, which are in force") {
				return true
			}
		}
		return false
	}
	if notice(first) || !notice(second) {
		t.Errorf("notices: first %v, second %v; want the second's", notice(first), notice(second))
	}
	if err := second.Retune(slow); err != nil || notice(second) {
		t.Errorf("with the same parameters: %v, %v", err, second.Status().Notices)
	}
	if err := second.Retune(quick); err != nil {
		t.Fatal(err)
	}

	first.Close()

	if notice(second) || second.Status().LocalDiscriminator != discriminator {
		t.Errorf("the one that is left: %+v, want the session of before with its own parameters", second.Status())
	}
	second.Close()
	third := open(t, e, key, slow, quiet)
	if third.Status().LocalDiscriminator == discriminator {
		t.Error("a session goes on that nobody has any more")
	}
}

func TestEveryOwnerIsTold(t *testing.T) {
	e := Over(slog.New(slog.DiscardHandler), mute{})
	defer e.Close()
	key := bfd.Key{Remote: there, Local: here}
	told := make(chan string, 16)
	first := open(t, e, key, slow, func(s bfd.Status) { told <- "first " + s.State.String() })
	open(t, e, key, slow, func(s bfd.Status) { told <- "second " + s.State.String() })
	first.AdminDown()
	want := map[string]bool{"first AdminDown": true, "second AdminDown": true}
	timeout := time.After(30 * time.Second)
	for len(want) > 0 {
		select {
		case s := <-told:
			delete(want, s)
		case <-timeout:
			t.Fatalf("not told: %v", want)
		}
	}
	if last, up := first.Heard(); last != 0 || up != 0 {
		t.Errorf("heard at %s and %s, though nobody speaks", last, up)
	}
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	e := Over(slog.New(slog.DiscardHandler), mute{})
	defer e.Close()
	if _, err := e.Open(bfd.Key{Remote: there}, bfd.Parameters{}, quiet); err == nil {
		t.Error("opened without parameters")
	}
	open(t, e, bfd.Key{Remote: there}, slow, quiet)
}
