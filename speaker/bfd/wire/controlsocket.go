package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/speaker/bfd"
)

// receiveBuffer holds more than a second of what a thousand sessions at 50 ms send.
const receiveBuffer = 4 << 20

// trafficClass is CS6, network control (RFC 2474 section 4.2.2.2), in the octet that held the type of service.
const trafficClass = 48 << 2

func portOf(multiHop bool) uint16 {
	if multiHop {
		return bfd.MultiHopPort
	}
	return bfd.SingleHopPort
}

// family returns the domain of sockets, and its name for people.
func family(v6 bool) (domain int, name string) {
	if v6 {
		return unix.AF_INET6, "IPv6"
	}
	return unix.AF_INET, "IPv4"
}

// openControl opens the socket that r receives a scope's control packets from.
func (t *Transport) openControl(r *receiver, s bfd.Scope) (fd int, err error) {
	domain, name := family(s.IPv6)
	port := portOf(s.MultiHop)
	fd, err = unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("socket for BFD over %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd) // of no use to anybody
		}
	}()
	// Before it has an address, so that nothing gets in unseen.
	if err := attach(fd, controlFilter(s)); err != nil {
		return -1, err
	}
	if s.VRF != "" {
		if err := unix.BindToDevice(fd, s.VRF); err != nil {
			return -1, fmt.Errorf("bind to device %s: %w", s.VRF, err)
		}
	}
	if err := receiveOptions(fd, s.IPv6); err != nil {
		return -1, err
	}
	err = t.bindShared(fd, r, s, port)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return -1, fmt.Errorf("UDP port %d (%s) is held by another process of this node, such as FRR's bfdd: %w", port, name, err)
	case err != nil:
		return -1, fmt.Errorf("bind to UDP port %d (%s): %w", port, name, err)
	}
	return fd, nil
}

// receiveOptions asks for everything that a Datagram has.
func receiveOptions(fd int, v6 bool) error {
	options := [][3]int{{unix.IPPROTO_IP, unix.IP_RECVTTL, 1}, {unix.IPPROTO_IP, unix.IP_PKTINFO, 1}}
	if v6 {
		options = [][3]int{
			{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1}, // IPv4 has sockets of its own
			{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1},
			{unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1},
		}
	}
	options = append(options, [3]int{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1})
	if err := set(fd, options); err != nil {
		return err
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) == nil {
		return nil
	}
	// Without CAP_NET_ADMIN there is what net.core.rmem_max allows.
	return set(fd, [][3]int{{unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer}})
}

// set sets options: level, name and value.
func set(fd int, options [][3]int) error {
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o[0], o[1], o[2]); err != nil {
			return fmt.Errorf("set socket option %d of level %d: %w", o[1], o[0], err)
		}
	}
	return nil
}

// bindShared binds to a port that other receivers of this process may have on other devices, but no other process: for
// the moment of the binding, only our own sockets say that they share. (With SO_REUSEADDR for good, two daemons would both
// believe that they receive.)
func (t *Transport) bindShared(fd int, r *receiver, s bfd.Scope, port uint16) error {
	t.binding.Lock()
	defer t.binding.Unlock()
	var any unix.Sockaddr = &unix.SockaddrInet4{Port: int(port)}
	if s.IPv6 {
		any = &unix.SockaddrInet6{Port: int(port)}
	}
	err := unix.Bind(fd, any)
	if !errors.Is(err, unix.EADDRINUSE) {
		return err
	}
	others := 0
	share := func(value int) error {
		shared := [][3]int{{unix.SOL_SOCKET, unix.SO_REUSEADDR, value}}
		for _, w := range t.all() {
			other, ok := w.(*receiver)
			if !ok || other == r || other.scope == nil || other.scope.VRF == s.VRF {
				continue
			}
			other.mu.Lock()
			var err error
			if other.file != nil && other.scope.IPv6 == s.IPv6 && other.scope.MultiHop == s.MultiHop {
				others++
				err = set(other.fd, shared)
			}
			other.mu.Unlock()
			if err != nil {
				return err
			}
		}
		return set(fd, shared)
	}
	if err := share(1); err != nil {
		return err
	}
	if others > 0 {
		err = unix.Bind(fd, any)
	}
	return errors.Join(err, share(0))
}

// parseControl returns what reads the control packets of a scope. Those that came too far for one hop (RFC 5881 section
// 5) are dropped here if the filter, which the kernel may not have, let them pass.
func parseControl(s bfd.Scope) parse {
	return func(b *batch, i int, d *bfd.Datagram) (ancillary, bool) {
		a := parseAncillary(b.control(i))
		source, ok := parseSource(b.name(i))
		if !ok || !a.destination.IsValid() || a.ttl < 0 || a.ttl > 255 || (!s.MultiHop && a.ttl != 255) {
			return a, false
		}
		payload := b.payload(i)
		d.Payload, d.Source, d.Destination, d.TTL = payload[:min(len(payload), 256)], source, a.destination, uint8(a.ttl)
		return a, true
	}
}

// parseSource reads the address that recvmsg gave.
func parseSource(name *unix.RawSockaddrAny) (netip.Addr, bool) {
	switch name.Addr.Family {
	case unix.AF_INET:
		return netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr), true
	case unix.AF_INET6:
		return netip.AddrFrom16((*unix.RawSockaddrInet6)(unsafe.Pointer(name)).Addr), true
	}
	return netip.Addr{}, false
}

// networkOrder returns v as the kernel wants ports and protocols in socket addresses.
func networkOrder(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}
