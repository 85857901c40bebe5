package wire

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/netns"
)

// Addresses of the node, which the tests run on, and of the neighbour at the other end of its cable.
var (
	node4, peer4 = netip.MustParseAddr("10.66.0.1"), netip.MustParseAddr("10.66.0.2")
	node6, peer6 = netip.MustParseAddr("fd66::1"), netip.MustParseAddr("fd66::2")
)

// peer is the neighbour. Its interface is called eth0, the node's has the name that newPeer was given.
type peer struct {
	netns.Namespace
}

func newPeer(t testing.TB, device string) peer {
	t.Helper()
	p := peer{netns.New(t, "peer")}
	p.plug(t, device)
	// A namespace is gone before its interfaces are.
	t.Cleanup(func() { p.Run(t, "ip", "link", "del", "eth0") })
	return p
}

// plug lays the cable. The kernel takes note of a carrier some time after it is there, and loses what is sent before that: then
// the link gets its link-local address.
func (p peer) plug(t testing.TB, device string) {
	t.Helper()
	netns.Cable(t, netns.Here(t), device, []string{node4.String() + "/24", node6.String() + "/64"},
		p.Namespace, "eth0", []string{peer4.String() + "/24", peer6.String() + "/64"})
	linkLocal(t, netns.Here(t), device)
	linkLocal(t, p.Namespace, "eth0")
}

func newTransport(t testing.TB) *Transport {
	t.Helper()
	w := New(slog.New(slog.DiscardHandler))
	t.Cleanup(w.Close) // all goroutines end
	return w
}

// linkLocal returns an interface's link-local address.
func linkLocal(t testing.TB, n netns.Namespace, device string) netip.Addr {
	t.Helper()
	var a netip.Addr
	await.Success(t, "a link-local address on "+device, func() error {
		var name string
		text := n.Run(t, "ip", "-6", "-o", "addr", "show", "dev", device, "scope", "link")
		if _, err := fmt.Sscanf(text, "%d: %s inet6 %s", new(int), &name, &name); err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
		prefix, err := netip.ParsePrefix(name)
		a = prefix.Addr()
		return err
	})
	return a
}

// control makes a control packet as far as this package cares.
func control(change func(b []byte) []byte) []byte {
	b := make([]byte, minimum)
	b[0], b[2], b[3] = 1<<5, 3, minimum
	binary.BigEndian.PutUint32(b[4:], 77)
	if change != nil {
		b = change(b)
	}
	return b
}

// sendControl sends a packet from the neighbour, with a TTL.
func (p peer) sendControl(t testing.TB, to netip.Addr, port uint16, ttl int, payload []byte) {
	t.Helper()
	p.Do(t, func() error {
		domain, level, option := unix.AF_INET, unix.IPPROTO_IP, unix.IP_TTL
		var sa unix.Sockaddr = &unix.SockaddrInet4{Port: int(port)}
		if to.Is4() {
			sa.(*unix.SockaddrInet4).Addr = to.As4()
		} else {
			domain, level, option = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
			sa = &unix.SockaddrInet6{Port: int(port), Addr: to.As16()}
		}
		fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if sa, ok := sa.(*unix.SockaddrInet6); ok && to.IsLinkLocalUnicast() {
			index, err := indexOf(fd, "eth0")
			if err != nil {
				return err
			}
			sa.ZoneId = uint32(index)
		}
		if err := unix.SetsockoptInt(fd, level, option, ttl); err != nil {
			return err
		}
		return unix.Sendto(fd, payload, 0, sa)
	})
}

// seen is a UDP packet as it arrives at the neighbour.
type seen struct {
	source, destination         netip.Addr
	sourcePort, destinationPort uint16
	ttl, class                  uint8
	payload                     string
}

// capture returns a function that waits for the next UDP packet to the port that reaches the neighbour.
func (p peer) capture(t testing.TB, port uint16) func() seen {
	t.Helper()
	next := p.listen(t, port, 30*time.Second)
	return func() seen {
		t.Helper()
		s, ok := next()
		if !ok {
			t.Fatalf("no packet to port %d arrived", port)
		}
		return s
	}
}

// listen is capture that waits no longer than a time for anything to arrive.
func (p peer) listen(t testing.TB, port uint16, wait time.Duration) func() (seen, bool) {
	t.Helper()
	var fd int
	p.Do(t, func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(networkOrder(unix.ETH_P_ALL)))
		if err != nil {
			return err
		}
		timeout := unix.NsecToTimeval(wait.Nanoseconds())
		return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
	})
	t.Cleanup(func() { unix.Close(fd) })
	return func() (seen, bool) {
		t.Helper()
		b := make([]byte, 2048)
		for {
			n, from, err := unix.Recvfrom(fd, b, 0)
			switch {
			case err == unix.EINTR:
				continue
			case err == unix.EAGAIN:
				return seen{}, false
			case err != nil:
				t.Fatal(err)
			}
			if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
				continue
			}
			if s, ok := dissect(b[:n]); ok && s.destinationPort == port {
				return s, true
			}
		}
	}
}

func dissect(b []byte) (s seen, ok bool) {
	var udp []byte
	switch {
	case len(b) >= 28 && b[0] == 0x45 && b[9] == unix.IPPROTO_UDP:
		s = seen{source: netip.AddrFrom4([4]byte(b[12:])), destination: netip.AddrFrom4([4]byte(b[16:])), ttl: b[8], class: b[1]}
		udp = b[20:]
	case len(b) >= 48 && b[0]>>4 == 6 && b[6] == unix.IPPROTO_UDP:
		s = seen{source: netip.AddrFrom16([16]byte(b[8:])), destination: netip.AddrFrom16([16]byte(b[24:])), ttl: b[7], class: b[0]<<4 | b[1]>>4}
		udp = b[40:]
	default:
		return s, false
	}
	s.sourcePort, s.destinationPort = binary.BigEndian.Uint16(udp), binary.BigEndian.Uint16(udp[2:])
	s.payload = string(udp[8:])
	return s, true
}

// arrivals reads a receiver as an engine does, until the test ends.
type arrivals struct {
	receiver bfd.Receiver
	packets  chan bfd.Datagram
	failures chan error
}

func read(t testing.TB, r bfd.Receiver, err error) *arrivals {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	a := &arrivals{r, make(chan bfd.Datagram, 100), make(chan error, 1000)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			err := r.Wait()
			for ok := err == nil; ok; {
				var d bfd.Datagram
				if ok, err = r.Receive(&d); ok {
					d.Payload = append([]byte(nil), d.Payload...)
					a.packets <- d
				}
			}
			if err == bfd.ErrClosed {
				return
			}
			if err != nil {
				a.failures <- err
			}
		}
	}()
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return a
}

func (a *arrivals) next(t testing.TB) bfd.Datagram {
	t.Helper()
	patience := time.After(30 * time.Second)
	for {
		select {
		case d := <-a.packets:
			if string(d.Payload) != string(trial) {
				return d
			}
		case <-patience:
			t.Fatal("no packet arrived")
		}
	}
}

// trial is the packet that reopened sends, of which some may arrive later.
var trial = control(func(b []byte) []byte { b[22] = 1; return b })

// reopened asks the neighbour for packets until one is received: there is no other sign that a socket is open.
func (p peer) reopened(t testing.TB, a *arrivals, to netip.Addr, port uint16) {
	t.Helper()
	await.True(t, "packets are received", func() bool {
		p.sendControl(t, to, port, 255, trial)
		select {
		case <-a.packets:
			return true
		case <-time.After(20 * time.Millisecond):
			return false
		}
	})
}
