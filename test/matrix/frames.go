package matrix

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// The frames are made and read here by hand, and not with the speaker's own code, so that the measure does not share
// its mistakes.

// MAC is a hardware address.
type MAC [6]byte

// String is the address in hexadecimal, with colons.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

const (
	etherARP  = 0x0806
	etherIPv6 = 0x86dd

	arpRequest = 1
	arpReply   = 2

	icmpv6            = 58
	solicitation      = 135
	advertisement     = 136
	optionSource      = 1
	optionTarget      = 2
	ethernetHeader    = 14
	ipv6Header        = 40
	neighbourMessage  = 24 // of a solicitation or advertisement, without options
	neighbourFlagBits = 4  // where an advertisement has its flags
)

var everybody = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func ethernet(to, from MAC, etherType uint16, payload []byte) []byte {
	b := append(append(append(make([]byte, 0, ethernetHeader+len(payload)), to[:]...), from[:]...), 0, 0)
	binary.BigEndian.PutUint16(b[12:], etherType)
	return append(b, payload...)
}

// question asks the network who has an address (RFC 826; RFC 4861 section 4.3), on behalf of one of its hosts.
func question(mac MAC, own, target netip.Addr) []byte {
	if target.Is4() {
		return ethernet(everybody, mac, etherARP, arp(arpRequest, mac, own, MAC{}, target))
	}
	sixteen := target.As16()
	group := netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: sixteen[13], 14: sixteen[14], 15: sixteen[15]})
	to := MAC{0x33, 0x33, 0xff, sixteen[13], sixteen[14], sixteen[15]}
	return ethernet(to, mac, etherIPv6, neighbour(solicitation, 0, own, group, target, optionSource, mac))
}

// gratuitous announces that a host has an address, though nobody asked.
func gratuitous(mac MAC, address netip.Addr) []byte {
	if address.Is4() {
		return ethernet(everybody, mac, etherARP, arp(arpReply, mac, address, everybody, address))
	}
	all := netip.MustParseAddr("ff02::1")
	const override = 0x20
	return ethernet(MAC{0x33, 0x33, 0, 0, 0, 1}, mac, etherIPv6, neighbour(advertisement, override, address, all, address, optionTarget, mac))
}

func arp(operation byte, senderMAC MAC, sender netip.Addr, targetMAC MAC, target netip.Addr) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, operation}
	b = append(append(b, senderMAC[:]...), sender.AsSlice()...)
	return append(append(b, targetMAC[:]...), target.AsSlice()...)
}

// neighbour makes an IPv6 packet with a message of neighbour discovery.
func neighbour(kind, flags byte, from, to, target netip.Addr, option byte, mac MAC) []byte {
	message := make([]byte, neighbourMessage, neighbourMessage+8)
	message[0], message[neighbourFlagBits] = kind, flags
	copy(message[8:], target.AsSlice())
	message = append(append(message, option, 1), mac[:]...)
	b := make([]byte, ipv6Header, ipv6Header+len(message))
	b[0], b[6], b[7] = 6<<4, icmpv6, 255
	binary.BigEndian.PutUint16(b[4:], uint16(len(message)))
	copy(b[8:], from.AsSlice())
	copy(b[24:], to.AsSlice())
	binary.BigEndian.PutUint16(message[2:], checksum(b[8:40], []byte{0, 0, 0, byte(len(message)), 0, 0, 0, icmpv6}, message))
	return append(b, message...)
}

// checksum is that of RFC 4443 section 2.3, over parts of even length.
func checksum(parts ...[]byte) uint16 {
	var sum uint32
	for _, p := range parts {
		for i := 0; i+1 < len(p); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(p[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// reply reads a frame that answers the host with a hardware address: for which address, and whose hardware address it
// gives.
func reply(frame []byte, to MAC) (address netip.Addr, by MAC, ok bool) {
	if len(frame) < ethernetHeader || MAC(frame[:6]) != to {
		return address, by, false
	}
	b := frame[ethernetHeader:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherARP:
		if len(b) < 28 || binary.BigEndian.Uint16(b[6:]) != arpReply {
			return address, by, false
		}
		return netip.AddrFrom4([4]byte(b[14:18])), MAC(b[8:14]), true
	case etherIPv6:
		if len(b) < ipv6Header+neighbourMessage || b[6] != icmpv6 || b[ipv6Header] != advertisement {
			return address, by, false
		}
		message := b[ipv6Header:]
		by = MAC(frame[6:12])
		if options := message[neighbourMessage:]; len(options) >= 8 && options[0] == optionTarget {
			by = MAC(options[2:8])
		}
		return netip.AddrFrom16([16]byte(message[8:24])), by, true
	}
	return address, by, false
}
