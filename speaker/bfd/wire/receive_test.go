package wire

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/netns"
)

var compareAddresses = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func TestReceiveSaysWhereAndWhen(t *testing.T) {
	p := newPeer(t, "eth1")
	w := newTransport(t)
	local6, remote6 := linkLocal(t, netns.Here(t), "eth1"), linkLocal(t, p.Namespace, "eth0")
	single4, err := w.Listen(bfd.Scope{})
	s4 := read(t, single4, err)
	single6, err := w.Listen(bfd.Scope{IPv6: true})
	s6 := read(t, single6, err)
	multi4, err := w.Listen(bfd.Scope{MultiHop: true})
	m4 := read(t, multi4, err)
	multi6, err := w.Listen(bfd.Scope{MultiHop: true, IPv6: true})
	m6 := read(t, multi6, err)
	tests := []struct {
		name     string
		at       *arrivals
		to, from netip.Addr
		port     uint16
		ttl      int
	}{
		{"single hop, IPv4", s4, node4, peer4, bfd.SingleHopPort, 255},
		{"single hop, IPv6", s6, node6, peer6, bfd.SingleHopPort, 255},
		{"single hop, link-local", s6, local6, remote6, bfd.SingleHopPort, 255},
		{"multi-hop, IPv4", m4, node4, peer4, bfd.MultiHopPort, 200},
		{"multi-hop, IPv6", m6, node6, peer6, bfd.MultiHopPort, 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p.reopened(t, tt.at, tt.to, tt.port)
			before := time.Now()
			p.sendControl(t, tt.to, tt.port, tt.ttl, control(nil))
			got := tt.at.next(t)
			want := bfd.Datagram{Payload: control(nil), Source: tt.from, Destination: tt.to, Interface: "eth1", TTL: uint8(tt.ttl)}
			if diff := cmp.Diff(want, got, compareAddresses, cmpopts.IgnoreFields(bfd.Datagram{}, "At")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.At.Before(before) || got.At.After(time.Now()) {
				t.Errorf("arrived at %v, which is not between %v and now", got.At, before)
			}
		})
	}
}

// TestArrivalIsTheKernels reads packets long after they came. The kernel begins to stamp them some time after the first
// socket asks for it.
func TestArrivalIsTheKernels(t *testing.T) {
	p := newPeer(t, "eth1")
	w := newTransport(t)
	r, err := w.Listen(bfd.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Wait(); err != nil { // opens it
		t.Fatal(err)
	}
	await.Success(t, "a packet is as old as it is", func() error {
		p.sendControl(t, node4, bfd.SingleHopPort, 255, control(nil))
		if err := r.Wait(); err != nil {
			return err
		}
		came := time.Now()
		<-time.After(100 * time.Millisecond) // a reader that is late
		var d bfd.Datagram
		if ok, err := r.Receive(&d); !ok || err != nil {
			return fmt.Errorf("received %v: %w", ok, err)
		}
		if d.At.After(came) {
			return fmt.Errorf("it came before %v, but is said to have come at %v", came, d.At)
		}
		return nil
	})
}

func TestDropsWhatCannotBeBFD(t *testing.T) {
	p := newPeer(t, "eth1")
	w := newTransport(t)
	for _, s := range []bfd.Scope{{}, {IPv6: true}, {MultiHop: true}, {MultiHop: true, IPv6: true}} {
		r, err := w.Listen(s)
		a := read(t, r, err)
		to := node4
		if s.IPv6 {
			to = node6
		}
		p.reopened(t, a, to, portOf(s.MultiHop))
		bad := map[string][]byte{
			"empty":                 {},
			"short":                 control(func(b []byte) []byte { return b[:23] }),
			"version 0":             control(func(b []byte) []byte { b[0] = 0; return b }),
			"version 3":             control(func(b []byte) []byte { b[0] = 3 << 5; return b }),
			"length of 23":          control(func(b []byte) []byte { b[3] = 23; return b }),
			"longer than it is":     control(func(b []byte) []byte { b[3] = 25; return b }),
			"multiplier of 0":       control(func(b []byte) []byte { b[2] = 0; return b }),
			"my discriminator is 0": control(func(b []byte) []byte { clear(b[4:8]); return b }),
		}
		for _, b := range bad {
			p.sendControl(t, to, portOf(s.MultiHop), 255, b)
		}
		if !s.MultiHop {
			for _, ttl := range []int{1, 64, 254} {
				p.sendControl(t, to, bfd.SingleHopPort, ttl, control(nil))
			}
		}
		good := control(func(b []byte) []byte { b[23] = 1; return append(b, "more"...) })
		p.sendControl(t, to, portOf(s.MultiHop), 255, good)
		if diff := cmp.Diff(good, a.next(t).Payload); diff != "" {
			t.Errorf("%+v: the first to be received (-want +got):\n%s", s, diff)
		}
	}
}

// TestTTLIsCheckedWithoutFilter gives the reader what the filter would not let through.
func TestTTLIsCheckedWithoutFilter(t *testing.T) {
	for ttl, want := range map[int32]bool{255: true, 254: false, 0: false} {
		b := newBatch()
		b.names[0].Addr.Family = unix.AF_INET
		messages := append(message(unix.IPPROTO_IP, unix.IP_TTL, []int32{ttl}), message(unix.IPPROTO_IP, unix.IP_PKTINFO, []int32{1, 1, 1})...)
		b.headers[0].header.SetControllen(copy(b.controls[0][:], messages))
		if _, got := parseControl(bfd.Scope{})(b, 0, &bfd.Datagram{}); got != want {
			t.Errorf("TTL %d: accepted %v, want %v", ttl, got, want)
		}
		if _, got := parseControl(bfd.Scope{MultiHop: true})(b, 0, &bfd.Datagram{}); !got {
			t.Errorf("TTL %d over several hops is not accepted: that is for the session to judge", ttl)
		}
	}
}

func TestPortThatIsTaken(t *testing.T) {
	for _, tt := range []struct {
		name   string
		domain int
		share  int
		scope  bfd.Scope
		to     netip.Addr
		want   string
	}{
		{"IPv4", unix.AF_INET, 0, bfd.Scope{}, node4, "UDP port 3784 (IPv4) is held by another process"},
		{"IPv4, by one that would share", unix.AF_INET, 1, bfd.Scope{}, node4, "UDP port 3784 (IPv4) is held by another process"},
		{"IPv6", unix.AF_INET6, 0, bfd.Scope{IPv6: true, MultiHop: true}, node6, "UDP port 4784 (IPv6) is held by another process"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeer(t, "eth1")
			w := newTransport(t)
			other, err := unix.Socket(tt.domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			var any unix.Sockaddr = &unix.SockaddrInet4{Port: int(portOf(tt.scope.MultiHop))}
			if tt.scope.IPv6 {
				any = &unix.SockaddrInet6{Port: int(portOf(tt.scope.MultiHop))}
			}
			if err := unix.SetsockoptInt(other, unix.SOL_SOCKET, unix.SO_REUSEADDR, tt.share); err != nil {
				t.Fatal(err)
			}
			if err := unix.Bind(other, any); err != nil {
				t.Fatal(err)
			}

			r, err := w.Listen(tt.scope)
			a := read(t, r, err)
			if got := (<-a.failures).Error(); !strings.Contains(got, tt.want) {
				t.Errorf("%q does not say %q", got, tt.want)
			}
			if err := unix.Close(other); err != nil {
				t.Fatal(err)
			}
			p.reopened(t, a, tt.to, portOf(tt.scope.MultiHop))
		})
	}
}

// TestVRFs binds to ordinary devices, as sockets are bound to those of VRFs: what comes in by a device goes to its
// socket, and the rest to that without one.
func TestVRFs(t *testing.T) {
	p1 := newPeer(t, "eth1")
	p2 := peer{netns.New(t, "other")}
	netns.Cable(t, netns.Here(t), "eth2", []string{"10.67.0.1/24"}, p2.Namespace, "eth0", []string{"10.67.0.2/24"})
	t.Cleanup(func() { p2.Run(t, "ip", "link", "del", "eth0") })
	node2 := netip.MustParseAddr("10.67.0.1")
	w := newTransport(t)
	plain, err := w.Listen(bfd.Scope{})
	everywhere := read(t, plain, err)
	p1.reopened(t, everywhere, node4, bfd.SingleHopPort)
	bound, err := w.Listen(bfd.Scope{VRF: "eth2"})
	vrf := read(t, bound, err)
	p2.reopened(t, vrf, node2, bfd.SingleHopPort)

	p2.sendControl(t, node2, bfd.SingleHopPort, 255, control(func(b []byte) []byte { b[23] = 2; return b }))
	p1.sendControl(t, node4, bfd.SingleHopPort, 255, control(func(b []byte) []byte { b[23] = 1; return b }))
	if got := vrf.next(t); got.Interface != "eth2" || got.Payload[23] != 2 {
		t.Errorf("the socket of the VRF got %+v", got)
	}
	if got := everywhere.next(t); got.Interface != "eth1" || got.Payload[23] != 1 {
		t.Errorf("the socket of the default VRF got %+v", got)
	}

	// No other process can take part in the sharing.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: bfd.SingleHopPort}); err != unix.EADDRINUSE {
		t.Errorf("another socket that would share the port: %v, want %v", err, unix.EADDRINUSE)
	}
}

func TestReceiverOutlivesItsDevice(t *testing.T) {
	p := newPeer(t, "eth1")
	w := newTransport(t)
	r, err := w.Listen(bfd.Scope{VRF: "eth1"})
	a := read(t, r, err)
	p.reopened(t, a, node4, bfd.SingleHopPort)

	netns.Here(t).Run(t, "ip", "link", "del", "eth1")
	if got := (<-a.failures).Error(); !strings.Contains(got, "eth1") {
		t.Errorf("%q does not name the device", got)
	}
	p.plug(t, "eth1")
	p.reopened(t, a, node4, bfd.SingleHopPort)

	netns.Here(t).Run(t, "ip", "link", "set", "eth1", "down")
	netns.Here(t).Run(t, "ip", "link", "set", "eth1", "name", "eth9")
	for range len(a.failures) {
		<-a.failures
	}
	if got := (<-a.failures).Error(); !strings.Contains(got, "eth1") {
		t.Errorf("%q does not name the device", got)
	}
	netns.Here(t).Run(t, "ip", "link", "set", "eth9", "name", "eth1")
	netns.Here(t).Run(t, "ip", "link", "set", "eth1", "up")
	p.reopened(t, a, node4, bfd.SingleHopPort)
}

// TestPortIsFreeAfterwards closes the last receiver.
func TestPortIsFreeAfterwards(t *testing.T) {
	w := newTransport(t)
	for range 3 {
		r, err := w.Listen(bfd.Scope{})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Wait(); err != nil { // with another still open this would be an error
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if err := r.Wait(); err != bfd.ErrClosed {
			t.Errorf("Wait after Close: %v", err)
		}
		if _, err := r.Receive(&bfd.Datagram{}); err != bfd.ErrClosed {
			t.Errorf("Receive after Close: %v", err)
		}
	}
}

// loop returns a function that sends a packet to this node itself and receives it.
func loop(t testing.TB) func() {
	w := newTransport(t)
	here := netip.MustParseAddr("127.0.0.1")
	r, err := w.Listen(bfd.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.Dial(bfd.Key{Local: here, Remote: here})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); r.Close() })
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	packet := control(nil)
	var d bfd.Datagram
	return func() {
		if err := s.Send(packet); err != nil {
			t.Fatal(err)
		}
		if err := r.Wait(); err != nil {
			t.Fatal(err)
		}
		for ok := true; ok; {
			if ok, err = r.Receive(&d); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestPacketsCostNoMemory(t *testing.T) {
	if allocs := testing.AllocsPerRun(1000, loop(t)); allocs != 0 {
		t.Errorf("%v allocations to send and receive a packet, want none", allocs)
	}
}

func BenchmarkSendAndReceive(b *testing.B) {
	f := loop(b)
	b.ReportAllocs()
	for b.Loop() {
		f()
	}
}
