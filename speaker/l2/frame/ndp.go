package frame

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"

	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// Offsets in an IPv6 packet with a neighbour solicitation or advertisement (RFC 8200 section 3, RFC 4861 sections 4.3 and
// 4.4), and what has to stand there.
const (
	ip6Length      = 4
	ip6NextHeader  = 6
	ip6HopLimit    = 7
	ip6Source      = 8
	ip6Destination = 24
	ip6Len         = 40

	ndpType     = ip6Len
	ndpCode     = ip6Len + 1
	ndpChecksum = ip6Len + 2
	ndpFlags    = ip6Len + 4
	ndpTarget   = ip6Len + 8
	ndpOptions  = ip6Len + 24
	ndpLen      = ndpOptions - ip6Len

	protocolICMP6 = 58
	// hopLimit is the only one that neighbours may send: what a router forwarded has less.
	hopLimit = 255

	flagSolicited = 1 << 6
	flagOverride  = 1 << 5

	typeSolicitation  = 135
	typeAdvertisement = 136
)

var allNodes = netip.MustParseAddr("ff02::1")

// SolicitedNode returns the multicast group in which an IPv6 address is asked for (RFC 4291 section 2.7.1). Addresses with
// equal last 24 bits share one.
func SolicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// groupMAC returns the Ethernet address of an IPv6 multicast group (RFC 2464 section 7).
func groupMAC(group netip.Addr) ownership.MAC {
	b := group.As16()
	return ownership.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// parseNDP reads an IPv6 packet. m.SenderMAC is the source of the frame.
func (m *Message) parseNDP(b []byte) bool {
	if len(b) < ndpOptions || b[0]>>4 != 6 || b[ip6NextHeader] != protocolICMP6 || b[ip6HopLimit] != hopLimit {
		return false
	}
	length := int(binary.BigEndian.Uint16(b[ip6Length:]))
	if length < ndpLen || len(b) < ip6Len+length || b[ndpCode] != 0 {
		return false
	}
	b = b[:ip6Len+length]
	source, destination := addr6(b[ip6Source:]), addr6(b[ip6Destination:])
	target := addr6(b[ndpTarget:])
	if source.IsMulticast() || target.IsMulticast() || checksum(b) != 0 {
		return false
	}
	switch b[ndpType] {
	case typeSolicitation:
		m.Op, m.Sender, m.Target = Request, source, target
		present, ok := m.options(b[ndpOptions:], ndp.Source)
		if source.IsUnspecified() && (present || destination != SolicitedNode(target)) {
			return false
		}
		return ok
	case typeAdvertisement:
		m.Op, m.Sender, m.Target = Reply, target, destination
		if destination.IsMulticast() && b[ndpFlags]&flagSolicited != 0 {
			return false
		}
		_, ok := m.options(b[ndpOptions:], ndp.Target)
		return ok
	}
	return false
}

// options sets m.SenderMAC to what the link-layer address option of a direction says. present says whether there is
// one; ok whether the options can be read, all of them.
func (m *Message) options(b []byte, direction ndp.Direction) (present, ok bool) {
	for len(b) > 0 {
		if len(b) < 2 {
			return present, false
		}
		n := int(b[1]) * 8
		if n == 0 || n > len(b) {
			return present, false
		}
		if b[0] == byte(direction) {
			if n != 8 { // not Ethernet's
				return present, false
			}
			present = true
			m.SenderMAC = ownership.MAC(b[2:8])
		}
		b = b[n:]
	}
	return present, true
}

func addr6(b []byte) netip.Addr { return netip.AddrFrom16([16]byte(b)) }

// checksum is that of the ICMPv6 message in an IPv6 packet without extension headers (RFC 8200 section 8.1). Of a packet
// that has its checksum it is zero; of one where zero stands in its place it is the one to put there.
func checksum(packet []byte) uint16 {
	sum := uint64(len(packet)-ip6Len) + protocolICMP6
	b := packet[ip6Source:]
	for ; len(b) >= 4; b = b[4:] {
		sum += uint64(binary.BigEndian.Uint32(b))
	}
	switch len(b) {
	case 3:
		sum += uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8
	case 2:
		sum += uint64(b[0])<<24 | uint64(b[1])<<16
	case 1:
		sum += uint64(b[0]) << 24
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// ndpFrame makes a frame with a message of Neighbor Discovery.
func ndpFrame(destinationMAC, sourceMAC ownership.MAC, source, destination netip.Addr, m ndp.Message) ([]byte, error) {
	message, err := ndp.MarshalMessageChecksum(m, source, destination)
	if err != nil {
		return nil, fmt.Errorf("message of Neighbor Discovery: %w", err)
	}
	packet := make([]byte, ip6Len, ip6Len+len(message))
	packet[0] = ipv6.Version << 4
	binary.BigEndian.PutUint16(packet[ip6Length:], uint16(len(message)))
	packet[ip6NextHeader] = protocolICMP6
	packet[ip6HopLimit] = hopLimit
	copy(packet[ip6Source:], source.AsSlice())
	copy(packet[ip6Destination:], destination.AsSlice())
	return ethernetFrame(destinationMAC, sourceMAC, ethernet.EtherTypeIPv6, append(packet, message...))
}

// linkLayer is the option that says where an address is.
func linkLayer(direction ndp.Direction, mac ownership.MAC) []ndp.Option {
	return []ndp.Option{&ndp.LinkLayerAddress{Direction: direction, Addr: mac[:]}}
}
