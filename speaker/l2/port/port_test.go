package port

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mdlayher/ethernet"
	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/speaker/boottime"
	"github.com/ingot-lb/ingot/speaker/l2/frame"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/netns"
)

func TestMain(m *testing.M) { netns.Inside(m) }

var (
	host4 = netip.MustParseAddr("192.0.2.99")
	vip4  = netip.MustParseAddr("192.0.2.10")
	host6 = netip.MustParseAddr("2001:db8::99")
	vip6  = netip.MustParseAddr("2001:db8::10")
)

var cables atomic.Uint32

// cable makes an interface of the test's namespace and one of another, connected, and a socket on the other that hears
// all.
func cable(t testing.TB) (near Link, far netns.Namespace, peer *tap) {
	t.Helper()
	here, there := netns.Here(t), netns.New(t, "peer")
	name := fmt.Sprintf("near%d", cables.Add(1))
	netns.Cable(t, here, name, nil, there, "far", nil)
	here.LinkLocal(t, name)
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	there.LinkLocal(t, "far")
	peer = newTap(t, there, "far")
	return Link{Index: ifi.Index, Name: name, MAC: ownership.MAC(ifi.HardwareAddr), IPv6: true}, there, peer
}

// tap sends and receives raw frames.
type tap struct {
	fd  int
	mac ownership.MAC
}

func newTap(t testing.TB, n netns.Namespace, name string) *tap {
	t.Helper()
	p := &tap{fd: -1}
	n.Do(t, func() error {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		p.mac = ownership.MAC(ifi.HardwareAddr)
		all := uint16(unix.ETH_P_ALL)<<8 | uint16(unix.ETH_P_ALL)>>8
		if p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(p.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifi.Index})
	})
	t.Cleanup(func() {
		if err := unix.Close(p.fd); err != nil {
			t.Error(err)
		}
	})
	// A test that waits in vain ends.
	if err := unix.SetsockoptTimeval(p.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 30}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *tap) send(t testing.TB, b []byte) {
	t.Helper()
	if _, err := unix.Write(p.fd, b); err != nil {
		t.Fatal(err)
	}
}

// reply waits for an answer that says who has an address.
func (p *tap) reply(t testing.TB, a netip.Addr) (frame.Message, []byte) {
	t.Helper()
	b := make([]byte, frame.MaxLen)
	for {
		n, err := unix.Read(p.fd, b)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			t.Fatalf("no answer for %s: %v", a, err)
		}
		if m, ok := frame.Parse(b[:n]); ok && m.Op == frame.Reply && m.Sender == a {
			return m, b[:n]
		}
	}
}

func made(t testing.TB) func(b []byte, err error) []byte {
	return func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

func open(t testing.TB, l Link, hear Hear, failed func()) *Port {
	t.Helper()
	p, err := Open(l, slog.New(slog.DiscardHandler), hear, failed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestRequestsAreHeardAndAnswered(t *testing.T) {
	near, _, peer := cable(t)
	open(t, near, func(p *Port, m frame.Message, _ time.Duration) {
		if m.Op != frame.Request || m.Target != vip4 && m.Target != vip6 {
			return
		}
		if err := p.Answer(m); err != nil {
			t.Error(err)
		}
	}, func() {})
	probeTo := netip.MustParseAddr("ff02::1")
	tests := map[string]struct {
		request []byte
		address netip.Addr
		to      netip.Addr
	}{
		"ARP, all":        {made(t)(frame.Ask(peer.mac, host4, ownership.MAC{}, vip4)), vip4, host4},
		"ARP, us alone":   {made(t)(frame.Ask(peer.mac, host4, near.MAC, vip4)), vip4, host4},
		"ARP, probe":      {made(t)(frame.Probe(peer.mac, vip4)), vip4, netip.IPv4Unspecified()},
		"NDP, us alone":   {made(t)(frame.Ask(peer.mac, host6, near.MAC, vip6)), vip6, host6},
		"NDP, all nodes":  {toAllNodes(made(t)(frame.Ask(peer.mac, host6, ownership.MAC{}, vip6))), vip6, host6},
		"NDP, duplicates": {toAllNodes(made(t)(frame.Probe(peer.mac, vip6))), vip6, probeTo},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			peer.send(t, tt.request)

			m, b := peer.reply(t, tt.address)

			if m.SenderMAC != near.MAC || m.Target != tt.to {
				t.Errorf("%+v; want %s's hardware address told to %s", m, near.MAC, tt.to)
			}
			if !bytes.Equal(b[6:12], near.MAC[:]) {
				t.Errorf("sent by %x, want %s", b[6:12], near.MAC)
			}
		})
	}
}

// toAllNodes sends a frame to a group that every host belongs to.
func toAllNodes(b []byte) []byte {
	copy(b, []byte{0x33, 0x33, 0, 0, 0, 1})
	return b
}

// TestTheKernelDropsWhatIsNotOurs sends what must not be heard, and then what must: packets keep their order.
func TestTheKernelDropsWhatIsNotOurs(t *testing.T) {
	near, _, peer := cable(t)
	heard := make(chan frame.Message, 16)
	open(t, near, func(_ *Port, m frame.Message, _ time.Duration) {
		if m.SenderMAC == peer.mac && (m.Target == vip4 || m.Target == vip6) {
			heard <- m
		}
	}, func() {})
	request4 := made(t)(frame.Ask(peer.mac, host4, near.MAC, vip4))
	request6 := made(t)(frame.Ask(peer.mac, host6, near.MAC, vip6))
	for _, request := range [][]byte{request4, request6} {
		tagged := append(append(bytes.Clone(request[:12]), 0x81, 0, 0, 5), request[12:]...)
		other := bytes.Clone(request)
		other[5] ^= 0xff
		peer.send(t, tagged)
		peer.send(t, other)
	}
	udp := bytes.Clone(request6)
	udp[14+6] = 17
	peer.send(t, udp)
	peer.send(t, request4)
	peer.send(t, request6)

	for _, family := range []string{"IPv4", "IPv6"} {
		m := <-heard
		if m.Destination != near.MAC {
			t.Errorf("%s: heard what was for %s", family, m.Destination)
		}
	}
	if n := len(heard); n != 0 {
		t.Errorf("%d more were heard: %+v", n, <-heard)
	}
}

// TestPacketsKeepTheTimeTheyCame: how long a packet waited to be read does not make it newer.
func TestPacketsKeepTheTimeTheyCame(t *testing.T) {
	near, _, peer := cable(t)
	s, err := newSocket(near, ethernet.EtherTypeARP, frame.FilterARP)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	request := made(t)(frame.Ask(peer.mac, host4, ownership.MAC{}, vip4))
	const wait = 100 * time.Millisecond
	const slack = wait / 2 // the wall clock may be corrected meanwhile, by less than this
	r := newReceiver()
	// The kernel starts to note when packets come some time after it was first asked to.
	await.Success(t, "a packet that is known to have waited", func() error {
		before := boottime.Now()
		peer.send(t, request)
		after := boottime.Now()
		await.True(t, "the packet is old", func() bool { return boottime.Now() > after+wait })

		b, received, err := s.receive(r)

		if err != nil || !bytes.Equal(b, request) {
			t.Fatalf("got %x, %v; want %x", b, err, request)
		}
		if received < before-slack || received > after+slack {
			return fmt.Errorf("received at %v, want between %v and %v", received, before, after)
		}
		return nil
	})
}

func TestNothingIsAllocatedForAPacket(t *testing.T) {
	near, _, peer := cable(t)
	arp, err := newSocket(near, ethernet.EtherTypeARP, frame.FilterARP)
	if err != nil {
		t.Fatal(err)
	}
	ndp, err := newSocket(near, ethernet.EtherTypeIPv6, frame.FilterNDP)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		socket  *socket
		request []byte
	}{
		"ARP": {arp, made(t)(frame.Ask(peer.mac, host4, near.MAC, vip4))},
		"NDP": {ndp, made(t)(frame.Ask(peer.mac, host6, near.MAC, vip6))},
	}
	answers, err := frame.NewAnswers(near.MAC)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := &Port{link: near, answers: answers, arp: arp, ndp: ndp}
			r := newReceiver()
			var failure error
			n := testing.AllocsPerRun(200, func() {
				if _, err := unix.Write(peer.fd, tt.request); err != nil {
					failure = err
				}
				b, _, err := tt.socket.receive(r)
				if err != nil {
					failure = err
				}
				if m, ok := frame.Parse(b); ok {
					if err := p.Answer(m); err != nil {
						failure = err
					}
				}
			})
			if failure != nil {
				t.Fatal(failure)
			}
			if n != 0 {
				t.Errorf("%v allocations a packet, want none", n)
			}
			if err := tt.socket.close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestGroupsAreJoinedForAsLongAsOneAddressNeedsThem looks at what the kernel's IPv6 has joined, which is also what it tells
// the switches.
func TestGroupsAreJoinedForAsLongAsOneAddressNeedsThem(t *testing.T) {
	near, _, _ := cable(t)
	p := open(t, near, func(*Port, frame.Message, time.Duration) {}, func() {})
	twin := netip.MustParseAddr("2001:db8:1::10")
	joined := func(a netip.Addr) bool {
		t.Helper()
		b, err := os.ReadFile("/proc/thread-self/net/igmp6")
		if err != nil {
			t.Fatal(err)
		}
		group := frame.SolicitedNode(a).As16()
		for line := range strings.Lines(string(b)) {
			fields := strings.Fields(line)
			if fields[1] == near.Name && fields[2] == fmt.Sprintf("%x", group[:]) {
				return true
			}
		}
		return false
	}
	step := func(do func(netip.Addr) error, a netip.Addr, want bool) {
		t.Helper()
		if err := do(a); err != nil {
			t.Fatal(err)
		}
		if got := joined(a); got != want {
			t.Errorf("the group of %s is joined: %t, want %t", a, got, want)
		}
	}

	step(p.Join, vip6, true)
	step(p.Join, twin, true)
	step(p.Leave, vip6, true)
	step(p.Leave, twin, false)
	step(p.Leave, twin, false) // once too often
	step(p.Join, vip6, true)
	step(p.Join, vip4, false)

	// More than one socket can have. The limit of newer kernels is higher, and is the namespace's.
	netns.Here(t).Run(t, "sh", "-c", "sysctl -qw net.core.optmem_max=4096 || true")
	a := netip.MustParseAddr("2001:db8:2::")
	for range 1000 {
		a = a.Next()
		if err := p.Join(a); err != nil {
			t.Fatal(err)
		}
	}
	if !joined(a) {
		t.Errorf("the group of %s is not joined", a)
	}
	if n := len(p.groups.sockets); n < 2 {
		t.Errorf("%d sockets hold 1000 groups: the limit was not reached", n)
	}
	p.Close()
	for _, a := range []netip.Addr{vip6, a} {
		if joined(a) {
			t.Errorf("the group of %s is joined after the port was closed", a)
		}
	}
}

func TestFramesAreSentToTheirFamilysSocket(t *testing.T) {
	near, _, peer := cable(t)
	p := open(t, near, func(*Port, frame.Message, time.Duration) {}, func() {})
	for _, a := range []netip.Addr{vip4, vip6} {
		if !p.Serves(a) {
			t.Errorf("does not serve %s", a)
		}
		frames, err := frame.Announcements(near.MAC, a)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Send(frames[len(frames)-1]); err != nil {
			t.Fatal(err)
		}
		if m, b := peer.reply(t, a); m.SenderMAC != near.MAC || !bytes.Equal(b, frames[len(frames)-1]) {
			t.Errorf("got %x, want %x", b, frames[len(frames)-1])
		}
	}
}

func TestWithoutALinkLocalAddressThereIsNoIPv6(t *testing.T) {
	near, _, _ := cable(t)
	near.IPv6 = false
	p := open(t, near, func(*Port, frame.Message, time.Duration) {}, func() {})
	frames, err := frame.Announcements(near.MAC, vip6)
	if err != nil {
		t.Fatal(err)
	}
	if p.Serves(vip6) || p.Send(frames[0]) == nil || !p.Serves(vip4) {
		t.Errorf("serves IPv6: %t, IPv4: %t; IPv6 is sent", p.Serves(vip6), p.Serves(vip4))
	}
	if err := p.Join(vip6); err != nil {
		t.Error(err)
	}
}

func TestAPortIsBrokenWhenItsLinkGoesDown(t *testing.T) {
	near, _, _ := cable(t)
	failed := make(chan struct{}, 2)
	p := open(t, near, func(*Port, frame.Message, time.Duration) {}, func() { failed <- struct{}{} })
	if p.Broken() {
		t.Error("broken from the start")
	}

	netns.Here(t).Run(t, "ip", "link", "set", near.Name, "down")

	<-failed
	if !p.Broken() {
		t.Error("said to have failed, but not broken")
	}
}

func TestClosingIsNoFailure(t *testing.T) {
	near, _, _ := cable(t)
	failed := make(chan struct{}, 2)
	p := open(t, near, func(*Port, frame.Message, time.Duration) {}, func() { failed <- struct{}{} })
	p.Close()
	p.Close()
	if p.Broken() || len(failed) > 0 {
		t.Error("closed ports are said to be broken")
	}
	if err := p.Send(made(t)(frame.Probe(near.MAC, vip4))); err == nil {
		t.Error("sent after Close")
	}
}
