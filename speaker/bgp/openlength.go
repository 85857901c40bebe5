package bgp

import (
	"encoding/binary"

	bgppacket "github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

const (
	// openFixed is the length of an OPEN message up to and including the length of its optional parameters.
	openFixed = bgppacket.BGP_HEADER_LENGTH + 10
	// extendedLengths, where the type of the first optional parameter would be, says that lengths of two bytes follow.
	extendedLengths = 255
)

// shortenOpen turns an OPEN message with extended optional parameters lengths (RFC 9072), which gobgp cannot read, into one
// without, in which only those capabilities are left that mean something here. Other messages, and those that contradict
// themselves, it returns as they are.
func shortenOpen(message []byte) []byte {
	if len(message) < openFixed+3 || message[18] != bgppacket.BGP_MSG_OPEN || message[openFixed-1] == 0 || message[openFixed] != extendedLengths {
		return message
	}
	parameters := message[openFixed+3:]
	if int(binary.BigEndian.Uint16(message[openFixed+1:])) != len(parameters) {
		return message
	}
	var known capabilities
	for len(parameters) > 0 {
		if len(parameters) < 3 || len(parameters)-3 < int(binary.BigEndian.Uint16(parameters[1:])) {
			return message
		}
		kind, value := parameters[0], parameters[3:3+int(binary.BigEndian.Uint16(parameters[1:]))]
		parameters = parameters[3+len(value):]
		if kind == bgppacket.BGP_OPT_CAPABILITY && !known.take(value) {
			return message
		}
	}
	short := append([]byte(nil), message[:openFixed-1]...)
	if len(known.list) == 0 {
		short = append(short, 0)
	} else {
		short = append(short, byte(2+len(known.list)), bgppacket.BGP_OPT_CAPABILITY, byte(len(known.list)))
		short = append(short, known.list...)
	}
	binary.BigEndian.PutUint16(short[16:], uint16(len(short)))
	return short
}

// capabilities are those (RFC 5492) of a neighbour that mean something here, each once and without families that do not. They
// fit into one optional parameter, whatever the neighbour has.
type capabilities struct {
	list []byte
	have [256]bool
	// families of which the neighbour has multiprotocol extensions, by AFI.
	families [3]bool
}

// take reads the value of an optional parameter; it says whether that is well-formed.
func (c *capabilities) take(list []byte) bool {
	for len(list) > 0 {
		if len(list) < 2 || len(list)-2 < int(list[1]) {
			return false
		}
		code, value := bgppacket.BGPCapabilityCode(list[0]), list[2:2+int(list[1])]
		list = list[2+len(value):]
		switch code {
		case bgppacket.BGP_CAP_MULTIPROTOCOL:
			if len(value) == 4 && unicast(value[:2], value[3]) && !c.families[value[1]] {
				c.families[value[1]] = true
				c.add(code, value)
			}
		case bgppacket.BGP_CAP_ROUTE_REFRESH, bgppacket.BGP_CAP_FOUR_OCTET_AS_NUMBER:
			if len(value) <= 4 {
				c.once(code, value)
			}
		case bgppacket.BGP_CAP_GRACEFUL_RESTART:
			if len(value) >= 2 {
				c.once(code, c.ours(value[:2], value[2:], 4, func(t []byte) bool { return unicast(t[:2], t[2]) }))
			}
		case bgppacket.BGP_CAP_EXTENDED_NEXTHOP:
			c.once(code, c.ours(nil, value, 6, func(t []byte) bool { return unicast(t[:2], t[3]) }))
		}
	}
	return true
}

// ours is head, and after it those of the tuples, of so many bytes each, that are wanted: no more than there are families.
func (*capabilities) ours(head, tuples []byte, size int, wanted func([]byte) bool) []byte {
	out := append([]byte(nil), head...)
	for ; len(tuples) >= size && len(out) < len(head)+2*size; tuples = tuples[size:] {
		if wanted(tuples[:size]) {
			out = append(out, tuples[:size]...)
		}
	}
	return out
}

func (c *capabilities) once(code bgppacket.BGPCapabilityCode, value []byte) {
	if !c.have[code] {
		c.have[code] = true
		c.add(code, value)
	}
}

func (c *capabilities) add(code bgppacket.BGPCapabilityCode, value []byte) {
	c.list = append(append(c.list, byte(code), byte(len(value))), value...)
}

// unicast says whether a family is IPv4 or IPv6 unicast.
func unicast(afi []byte, safi byte) bool {
	n := binary.BigEndian.Uint16(afi)
	return (n == bgppacket.AFI_IP || n == bgppacket.AFI_IP6) && safi == bgppacket.SAFI_UNICAST
}
