package wire

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/netns"
)

// forward says whether the neighbour's kernel sends echo packets back.
func (p peer) forward(t testing.TB, value string) {
	t.Helper()
	p.Run(t, "sysctl", "-qw", "net.ipv4.ip_forward="+value)
}

func dialEcho(t testing.TB, w *Transport, k bfd.Key, local netip.Addr) bfd.Sender {
	t.Helper()
	s, err := w.DialEcho(k, local)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// comesBack sends until an echo packet is received, with control packets beside it as in a session: the kernel looks
// for the neighbour because of them.
func comesBack(t testing.TB, a *arrivals, session, e bfd.Sender, payload string) bfd.Datagram {
	t.Helper()
	var got bfd.Datagram
	await.Success(t, "an echo packet comes back", func() error {
		if err := session.Send(control(nil)); err != nil {
			return err
		}
		if err := e.Send([]byte(payload)); err != nil {
			return err
		}
		select {
		case got = <-a.packets:
			return nil
		case <-time.After(20 * time.Millisecond):
			return cmpopts.AnyError
		}
	})
	return got
}

func TestEcho(t *testing.T) {
	for _, k := range []bfd.Key{{Remote: peer4}, {Remote: peer4, Local: node4}, {Remote: peer4, Interface: "eth1"}, {Remote: peer4, VRF: "eth1"}} {
		t.Run(k.String(), func(t *testing.T) {
			p := newPeer(t, "eth1")
			p.forward(t, "1")
			w := newTransport(t)
			r, err := w.ListenEcho()
			a := read(t, r, err)
			session, e := dial(t, w, k), dialEcho(t, w, k, node4)

			before := time.Now()
			got := comesBack(t, a, session, e, "hello")
			want := bfd.Datagram{Payload: []byte("hello"), Source: node4, Destination: node4, Interface: "eth1", TTL: 254}
			if diff := cmp.Diff(want, got, compareAddresses, cmpopts.IgnoreFields(bfd.Datagram{}, "At")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.At.Before(before) || got.At.After(time.Now()) {
				t.Errorf("arrived at %v, which is not between %v and now", got.At, before)
			}

			// The neighbour is replaced by one with another hardware address.
			p.Run(t, "ip", "link", "set", "eth0", "down", "address", "02:00:00:00:00:77")
			p.Run(t, "ip", "link", "set", "eth0", "up")
			netns.Here(t).Run(t, "ip", "neigh", "flush", "dev", "eth1")
			for len(a.packets) > 0 {
				<-a.packets
			}
			comesBack(t, a, session, e, "again")
		})
	}
}

// TestEchoOfOthers has the neighbour send echo packets of its own, which go the same way.
func TestEchoOfOthers(t *testing.T) {
	p := newPeer(t, "eth1")
	p.forward(t, "1")
	w := newTransport(t)
	r, err := w.ListenEcho()
	a := read(t, r, err)
	k := bfd.Key{Remote: peer4, Local: node4}
	session, e := dial(t, w, k), dialEcho(t, w, k, node4)
	comesBack(t, a, session, e, "hello")

	// Another transport sends from an address that this one has no session for; its neighbour's packets look the same.
	w2 := newTransport(t)
	other := netip.MustParseAddr("10.66.0.99")
	if err := dialEchoReady(t, w2, k, other).Send([]byte("not ours")); err != nil {
		t.Fatal(err)
	}
	if err := e.Send([]byte("ours")); err != nil {
		t.Fatal(err)
	}
	got := string(a.next(t).Payload)
	for got == "hello" { // more of them may have been sent than it took
		got = string(a.next(t).Payload)
	}
	if got != "ours" {
		t.Errorf("received %q", got)
	}
}

func dialEchoReady(t testing.TB, w *Transport, k bfd.Key, local netip.Addr) bfd.Sender {
	t.Helper()
	e := dialEcho(t, w, k, local)
	await.Success(t, "the neighbour is known", func() error { return e.Send([]byte("early")) })
	return e
}

func TestEchoRefused(t *testing.T) {
	w := newTransport(t)
	for _, k := range []bfd.Key{{Remote: peer6}, {Remote: peer4, MultiHop: true}} {
		if _, err := w.DialEcho(k, node4); err == nil {
			t.Errorf("%s: no error", k)
		}
	}
}

func TestReflects(t *testing.T) {
	newPeer(t, "eth1")
	w := newTransport(t)
	forwarding := func(value string) {
		netns.Here(t).Run(t, "sysctl", "-qw", "net.ipv4.conf.eth1.forwarding="+value)
	}
	tests := []struct {
		forwarding string
		key        bfd.Key
		want       bool
	}{
		{"1", bfd.Key{Remote: peer4}, true},
		{"0", bfd.Key{Remote: peer4}, false},
		{"1", bfd.Key{Remote: peer4, Interface: "eth1"}, true},
		{"1", bfd.Key{Remote: peer4, MultiHop: true}, false},
		{"1", bfd.Key{Remote: peer6}, false},
		{"1", bfd.Key{Remote: netip.MustParseAddr("192.0.2.1")}, false},
	}
	for _, tt := range tests {
		forwarding(tt.forwarding)
		if got := w.Reflects(tt.key); got != tt.want {
			t.Errorf("Reflects(%s) with forwarding %s = %v, want %v", tt.key, tt.forwarding, got, tt.want)
		}
	}
}

// TestSessionNeedsTwoCapabilities has a session that uses everything, at one end with no capabilities but the speaker's.
func TestSessionNeedsTwoCapabilities(t *testing.T) {
	p := newPeer(t, "eth1")
	p.forward(t, "1")
	netns.Here(t).Run(t, "sysctl", "-qw", "net.ipv4.ip_forward=1")
	parameters := bfd.Parameters{
		ReceiveInterval: 300 * time.Millisecond, TransmitInterval: 300 * time.Millisecond, DetectMultiplier: 10,
		Echo: true, EchoInterval: 50 * time.Millisecond,
	}
	ask := startEngine(t, p.Namespace, job{[]bfd.Key{{Local: peer4, Remote: node4}}, parameters})
	e, err := newEngine(job{[]bfd.Key{{Local: node4, Remote: peer4, VRF: "eth1"}}, parameters})
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	allUp(t, 1, e)
	await.True(t, "echo packets come back at both ends", func() bool { return ask().Echoes > 0 && e.tally().Echoes > 0 })
}
