package wire

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/speaker/bfd"
)

const (
	// ipHeader is the length of a header of IPv4 without options.
	ipHeader = 20
	// echoPayload is how long the payload of an echo packet may be.
	echoPayload = 256
)

// putEcho writes the packet that carries payload from local to local (RFC 5881 section 4) into b and returns it. b has
// room for echoPayload and the headers.
func putEcho(b []byte, local netip.Addr, payload []byte) []byte {
	b = b[:ipHeader+udpHeader+len(payload)]
	copy(b[ipHeader+udpHeader:], payload)
	address := local.As4()
	udp := b[ipHeader:]
	binary.BigEndian.PutUint16(udp, bfd.EchoPort)
	binary.BigEndian.PutUint16(udp[2:], bfd.EchoPort)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	binary.BigEndian.PutUint16(udp[6:], 0)
	sum := checksum(pseudoHeader(address, address, len(udp)), udp)
	if sum == 0 {
		sum = 0xffff // 0 says that there is none (RFC 768)
	}
	binary.BigEndian.PutUint16(udp[6:], sum)

	ip := b[:ipHeader]
	clear(ip)
	ip[0] = 4<<4 | ipHeader/4
	ip[1] = trafficClass
	binary.BigEndian.PutUint16(ip[2:], uint16(len(b)))
	ip[8] = 255
	ip[9] = unix.IPPROTO_UDP
	copy(ip[12:], address[:])
	copy(ip[16:], address[:])
	binary.BigEndian.PutUint16(ip[10:], checksum(0, ip))
	return b
}

// getEcho returns the payload and the address of a packet as putEcho makes them, with any TTL. It does not allocate.
func getEcho(b []byte) (payload []byte, local netip.Addr, ttl uint8, ok bool) {
	if len(b) < ipHeader+udpHeader || b[0] != 4<<4|ipHeader/4 || b[9] != unix.IPPROTO_UDP ||
		binary.BigEndian.Uint16(b[6:])&0x3fff != 0 || // a fragment
		[4]byte(b[12:16]) != [4]byte(b[16:20]) || checksum(0, b[:ipHeader]) != 0 {
		return nil, netip.Addr{}, 0, false
	}
	total := int(binary.BigEndian.Uint16(b[2:]))
	if total < ipHeader+udpHeader || total > len(b) {
		return nil, netip.Addr{}, 0, false
	}
	udp := b[ipHeader:total] // the frame may be padded
	address := [4]byte(b[12:16])
	if binary.BigEndian.Uint16(udp[2:]) != bfd.EchoPort || int(binary.BigEndian.Uint16(udp[4:])) != len(udp) ||
		checksum(pseudoHeader(address, address, len(udp)), udp) != 0 {
		return nil, netip.Addr{}, 0, false
	}
	return udp[udpHeader:], netip.AddrFrom4(address), b[8], true
}

// pseudoHeader returns the sum that the checksum of UDP begins with (RFC 768).
func pseudoHeader(source, destination [4]byte, length int) uint32 {
	sum := uint32(unix.IPPROTO_UDP) + uint32(length)
	for _, a := range [2][4]byte{source, destination} {
		sum += uint32(binary.BigEndian.Uint16(a[:])) + uint32(binary.BigEndian.Uint16(a[2:]))
	}
	return sum
}

// checksum is that of RFC 1071, over b and what sum already holds.
func checksum(sum uint32, b []byte) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
