package wire

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/netns"
)

func dial(t testing.TB, w *Transport, k bfd.Key) bfd.Sender {
	t.Helper()
	s, err := w.Dial(k)
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

func TestSent(t *testing.T) {
	p := newPeer(t, "eth1")
	w := newTransport(t)
	local6, remote6 := linkLocal(t, netns.Here(t), "eth1"), linkLocal(t, p.Namespace, "eth0")
	netns.Here(t).Run(t, "ip", "addr", "add", "10.66.0.9/24", "dev", "eth1")
	tests := []struct {
		name string
		key  bfd.Key
		from netip.Addr
		port uint16
	}{
		{"IPv4", bfd.Key{Remote: peer4}, node4, bfd.SingleHopPort},
		{"IPv4, multi-hop", bfd.Key{Remote: peer4, MultiHop: true}, node4, bfd.MultiHopPort},
		{"IPv4, another address", bfd.Key{Remote: peer4, Local: netip.MustParseAddr("10.66.0.9")}, netip.MustParseAddr("10.66.0.9"), bfd.SingleHopPort},
		{"IPv4, interface", bfd.Key{Remote: peer4, Interface: "eth1"}, node4, bfd.SingleHopPort},
		{"IPv4, VRF", bfd.Key{Remote: peer4, VRF: "eth1"}, node4, bfd.SingleHopPort},
		{"IPv6", bfd.Key{Remote: peer6, Local: node6}, node6, bfd.SingleHopPort},
		{"IPv6, multi-hop", bfd.Key{Remote: peer6, MultiHop: true}, node6, bfd.MultiHopPort},
		{"IPv6, link-local", bfd.Key{Remote: remote6, Interface: "eth1"}, local6, bfd.SingleHopPort},
		{"IPv6, link-local, from one", bfd.Key{Remote: remote6, Local: local6, Interface: "eth1"}, local6, bfd.SingleHopPort},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := dial(t, w, tt.key)
			next := p.capture(t, tt.port)
			if err := s.Send(control(nil)); err != nil {
				t.Fatal(err)
			}
			local := s.Local()
			if local.Addr() != tt.from || local.Port() < firstPort {
				t.Errorf("Local() = %v, want %v and a port from 49152", local, tt.from)
			}
			want := seen{
				source: tt.from, sourcePort: local.Port(), destination: tt.key.Remote, destinationPort: tt.port,
				ttl: 255, class: 0xc0, payload: string(control(nil)),
			}
			if diff := cmp.Diff(want, next(), compareAddresses, cmp.AllowUnexported(seen{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSourcePortsAreUnique(t *testing.T) {
	newPeer(t, "eth1")
	w := newTransport(t)
	ports := map[uint16]bool{}
	for i := range 300 {
		k := bfd.Key{Remote: peer4, MultiHop: i%2 == 0}
		if i%3 == 0 {
			k.Local = node4
		}
		if i%5 == 0 {
			k = bfd.Key{Remote: peer6, Interface: "eth1"}
		}
		port := dial(t, w, k).Local().Port()
		if port < firstPort || ports[port] {
			t.Errorf("port %d is out of range or taken", port)
		}
		ports[port] = true
	}
}

// TestErrorsOfICMPDoNotStopIt sends to a neighbour that has nobody at the port.
func TestErrorsOfICMPDoNotStopIt(t *testing.T) {
	p := newPeer(t, "eth1")
	w := newTransport(t)
	for _, remote := range []netip.Addr{peer4, peer6} {
		s := dial(t, w, bfd.Key{Remote: remote})
		next := p.capture(t, bfd.SingleHopPort)
		for range 20 {
			if err := s.Send(control(nil)); err != nil {
				t.Fatal(err)
			}
			next()
		}
	}
}

func TestSenderOutlivesAddressAndInterface(t *testing.T) {
	here := netns.Here(t)
	both := func(t *testing.T, verb string) {
		here.Run(t, "ip", "addr", verb, node4.String()+"/24", "dev", "eth1")
		here.Run(t, "ip", "addr", verb, node6.String()+"/64", "dev", "eth1")
	}
	tests := []struct {
		name       string
		goes, back func(t *testing.T, p peer)
	}{
		{"the address goes", func(t *testing.T, p peer) { both(t, "del") }, func(t *testing.T, p peer) { both(t, "add") }},
		{"the interface goes down", func(t *testing.T, p peer) { here.Run(t, "ip", "link", "set", "eth1", "down") }, func(t *testing.T, p peer) {
			here.Run(t, "ip", "link", "set", "eth1", "up")
			here.Run(t, "ip", "addr", "replace", node6.String()+"/64", "dev", "eth1", "nodad")
		}},
		{"the interface is deleted", func(t *testing.T, p peer) { here.Run(t, "ip", "link", "del", "eth1") }, func(t *testing.T, p peer) { p.plug(t, "eth1") }},
		{"the interface gets another name", func(t *testing.T, p peer) {
			here.Run(t, "ip", "link", "set", "eth1", "down")
			here.Run(t, "ip", "link", "set", "eth1", "name", "eth9")
		}, func(t *testing.T, p peer) {
			here.Run(t, "ip", "link", "set", "eth9", "name", "eth1")
			here.Run(t, "ip", "link", "set", "eth1", "up")
			here.Run(t, "ip", "addr", "replace", node6.String()+"/64", "dev", "eth1", "nodad")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeer(t, "eth1")
			w := newTransport(t)
			senders := map[string]bfd.Sender{
				"IPv4":            dial(t, w, bfd.Key{Local: node4, Remote: peer4}),
				"IPv4, interface": dial(t, w, bfd.Key{Local: node4, Remote: peer4, Interface: "eth1"}),
				"IPv6, interface": dial(t, w, bfd.Key{Local: node6, Remote: peer6, Interface: "eth1"}),
			}
			ports := map[string]uint16{}
			for name, s := range senders {
				if err := s.Send(control(nil)); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				ports[name] = s.Local().Port()
			}
			tt.goes(t, p)
			for name, s := range senders {
				if name == "IPv6, interface" && tt.name == "the address goes" {
					continue // the kernel goes on sending from it
				}
				await.True(t, name+": sending fails", func() bool { return s.Send(control(nil)) != nil })
			}
			tt.back(t, p)
			next := p.listen(t, bfd.SingleHopPort, 50*time.Millisecond)
			for name, s := range senders {
				// The first may be lost on a link that has just come up.
				await.True(t, name+": what is sent arrives", func() bool {
					if s.Send(control(nil)) != nil {
						return false
					}
					got, ok := next()
					for ok && got.sourcePort != ports[name] {
						got, ok = next()
					}
					return ok
				})
				if port := s.Local().Port(); port != ports[name] {
					t.Errorf("%s: port %d became %d", name, ports[name], port)
				}
			}
		})
	}
}

func TestSenderIsClosed(t *testing.T) {
	newPeer(t, "eth1")
	w := newTransport(t)
	s := dial(t, w, bfd.Key{Remote: peer4})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Send(control(nil)); err != bfd.ErrClosed {
			t.Errorf("Send after Close: %v", err)
		}
	}
	if len(w.ports.taken) != 0 {
		t.Errorf("ports %v are still taken", w.ports.taken)
	}
}
