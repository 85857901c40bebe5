package wire

import (
	"encoding/binary"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// ancillary is what the kernel says beside a packet.
type ancillary struct {
	destination netip.Addr
	index       int
	ttl         int   // -1 if not said
	stamp       int64 // nanoseconds of the wall clock; 0 if not said
}

// parseAncillary reads control messages (recvmsg(2)) without allocating.
func parseAncillary(b []byte) ancillary {
	a := ancillary{ttl: -1}
	for len(b) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			return a
		}
		b = rest
		switch {
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS:
			a.stamp = parseTimespec(data)
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TTL && len(data) >= 4,
			h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_HOPLIMIT && len(data) >= 4:
			a.ttl = int(binary.NativeEndian.Uint32(data))
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			a.index = int(binary.NativeEndian.Uint32(data))
			a.destination = netip.AddrFrom4([4]byte(data[8:12])) // of the header; before it the one it was received for
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			a.destination = netip.AddrFrom16([16]byte(data[:16]))
			a.index = int(binary.NativeEndian.Uint32(data[16:]))
		}
	}
	return a
}

// parseTimespec reads a struct timespec, whose words are as long as the machine's.
func parseTimespec(b []byte) int64 {
	switch len(b) {
	case 16:
		return int64(binary.NativeEndian.Uint64(b))*int64(time.Second) + int64(binary.NativeEndian.Uint64(b[8:]))
	case 8:
		return int64(int32(binary.NativeEndian.Uint32(b)))*int64(time.Second) + int64(int32(binary.NativeEndian.Uint32(b[4:])))
	}
	return 0
}
