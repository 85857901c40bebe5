package wire

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/speaker/backoff"
	"github.com/ingot-lb/ingot/speaker/bfd"
)

// highest is the priority of packets in queues of the machine that anybody may ask for (SO_PRIORITY).
const highest = 6

// sender implements bfd.Sender with a socket that is opened again when it fails.
//
// The socket is not connected, so that ICMP errors, which anybody may send, end nothing, and so that the kernel
// chooses the source by the routes of the moment where the session does not name one.
type sender struct {
	t   *Transport
	key bfd.Key

	mu     sync.Mutex
	closed bool
	fd     int // -1 while there is none
	to     unix.Sockaddr
	index  int    // of the device when the socket was bound to it
	port   uint16 // of ours, 0 while it has none
	retry  backoff.Backoff
	next   time.Time // not to be opened again before
	err    error     // why there is no socket
}

func newSender(t *Transport, k bfd.Key) *sender {
	s := &sender{t: t, key: k, fd: -1, retry: backoff.Backoff{First: firstWait, Most: longestWait}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reopen(time.Now())
	return s
}

// device is what the socket is bound to.
func (s *sender) device() string {
	if s.key.Interface != "" {
		return s.key.Interface
	}
	return s.key.VRF
}

// Send implements bfd.Sender.
func (s *sender) Send(payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return bfd.ErrClosed
	}
	if s.fd < 0 {
		if s.reopen(time.Now()); s.fd < 0 {
			return s.err
		}
	}
	err := unix.Sendto(s.fd, payload, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, s.to)
	if err == nil {
		s.retry.Reset()
		return nil
	}
	err = fmt.Errorf("send to %s: %w", s.key.Remote, err)
	if !passing(err) {
		s.fail(time.Now(), err)
	}
	return err
}

// passing says whether another socket would fare no better: queues are full, a firewall or the routes forbid.
func passing(err error) bool {
	for _, e := range []error{unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM, unix.EINTR, unix.EPERM, unix.EACCES, unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ENETDOWN} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// fail gives up the socket. s.mu is held.
func (s *sender) fail(now time.Time, err error) {
	s.drop()
	s.err = err
	s.next = now.Add(s.retry.Next())
}

func (s *sender) drop() {
	if s.fd >= 0 {
		_ = unix.Close(s.fd) // nothing is under way
		s.fd = -1
	}
}

// reopen opens the socket, unless it failed a moment ago. s.mu is held.
func (s *sender) reopen(now time.Time) {
	if now.Before(s.next) {
		return
	}
	fd, err := s.open()
	if err != nil {
		s.fail(now, err)
		return
	}
	s.fd, s.err = fd, nil
}

func (s *sender) open() (fd int, err error) {
	v6 := s.key.Remote.Is6()
	domain, name := family(v6)
	fd, err = unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("socket for BFD over %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd) // of no use to anybody
		}
	}()
	// Nobody has anything to send to it.
	if err := attach(fd, nothing()); err != nil {
		return -1, err
	}
	if device := s.device(); device != "" {
		if err := unix.BindToDevice(fd, device); err != nil {
			return -1, fmt.Errorf("bind to device %s: %w", device, err)
		}
		if s.index, err = indexOf(fd, device); err != nil {
			return -1, err
		}
	}
	if err := set(fd, sendOptions(v6)); err != nil {
		return -1, err
	}
	s.port, err = s.t.ports.claim(s.port, func(port uint16) error {
		return unix.Bind(fd, s.address(s.key.Local, port))
	})
	if err != nil {
		return -1, fmt.Errorf("bind to %s: %w", s.key.Local, err)
	}
	s.to = s.address(s.key.Remote, portOf(s.key.MultiHop))
	return fd, nil
}

// sendOptions are a TTL of 255 (RFC 5881 section 5), and precedence over what is not for the control of the network.
func sendOptions(v6 bool) [][3]int {
	options := [][3]int{{unix.IPPROTO_IP, unix.IP_TTL, 255}, {unix.IPPROTO_IP, unix.IP_TOS, trafficClass}}
	if v6 {
		options = [][3]int{
			{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1},
			{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 255},
			{unix.IPPROTO_IPV6, unix.IPV6_TCLASS, trafficClass},
		}
	}
	return append(options, [3]int{unix.SOL_SOCKET, unix.SO_PRIORITY, highest})
}

// address returns a as the kernel wants it; an invalid one as unspecified.
func (s *sender) address(a netip.Addr, port uint16) unix.Sockaddr {
	if s.key.Remote.Is4() {
		if !a.IsValid() {
			a = netip.IPv4Unspecified()
		}
		return &unix.SockaddrInet4{Port: int(port), Addr: a.As4()}
	}
	if !a.IsValid() {
		a = netip.IPv6Unspecified()
	}
	address := &unix.SockaddrInet6{Port: int(port), Addr: a.As16()}
	if a.IsLinkLocalUnicast() {
		address.ZoneId = uint32(s.index)
	}
	return address
}

// Local implements bfd.Sender.
func (s *sender) Local() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	local := s.key.Local
	if !local.IsValid() {
		local = s.chosen()
	}
	return netip.AddrPortFrom(local, s.port)
}

// chosen returns the source that the kernel would choose now, as a connected socket shows it. s.mu is held.
func (s *sender) chosen() netip.Addr {
	unspecified := netip.IPv4Unspecified()
	domain, _ := family(s.key.Remote.Is6())
	if s.key.Remote.Is6() {
		unspecified = netip.IPv6Unspecified()
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return unspecified
	}
	defer unix.Close(fd)
	if device := s.device(); device != "" && unix.BindToDevice(fd, device) != nil {
		return unspecified
	}
	if unix.Connect(fd, s.address(s.key.Remote, portOf(s.key.MultiHop))) != nil {
		return unspecified // no route at present
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return unspecified
	}
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(name.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(name.Addr)
	}
	return unspecified
}

// recheck implements watched.
func (s *sender) recheck() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd >= 0 {
		// The name may be another interface's by now, or nobody's.
		if index, err := indexOf(s.fd, s.device()); err == nil && (s.device() == "" || index == s.index) {
			return
		}
		s.drop()
	}
	// Whatever was missing may be there.
	s.retry.Reset()
	s.next = time.Time{}
}

// Close implements bfd.Sender.
func (s *sender) Close() error {
	s.t.unwatch(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.drop()
	if s.port != 0 {
		s.t.ports.release(s.port)
	}
	return nil
}
