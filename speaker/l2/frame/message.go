package frame

import (
	"encoding/binary"
	"net/netip"

	"github.com/mdlayher/ethernet"

	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// Op is what a message is for.
type Op uint8

const (
	// Request asks who has an address: an ARP request or a neighbour solicitation.
	Request Op = iota + 1
	// Reply says who has an address: an ARP reply or a neighbour advertisement, asked for or not.
	Reply
)

// String names the operation.
func (o Op) String() string {
	switch o {
	case Request:
		return "request"
	case Reply:
		return "reply"
	}
	return "unknown"
}

// Message is what matters of an ARP packet, or of a neighbour solicitation or advertisement.
type Message struct {
	Op Op
	// Destination is the frame's.
	Destination ownership.MAC
	// Sender is an address that the sender says is its own, and SenderMAC where it is reached. Sender is unspecified for
	// probes: an ARP Probe (RFC 5227 section 1.1) or a solicitation of Duplicate Address Detection (RFC 4862). Of a neighbour
	// advertisement it is the target, which may differ from the source of the packet.
	Sender    netip.Addr
	SenderMAC ownership.MAC
	// Target is the address that a request asks for, and the one that a reply is told to.
	Target netip.Addr
}

// Probe says whether the message asks if an address is taken, from a host that wants it.
func (m Message) Probe() bool { return m.Op == Request && m.Sender.IsUnspecified() }

// Gratuitous says whether the message asks nobody and answers nobody: an announcement.
func (m Message) Gratuitous() bool {
	return m.Sender == m.Target || m.Op == Reply && m.Target.IsMulticast()
}

// IsFor says whether the frame was meant for a host with the given hardware address: for it alone, or for all or a group
// that it may belong to. A packet socket also hears others' frames while somebody looks at the link with tcpdump.
func (m Message) IsFor(mac ownership.MAC) bool { return m.Destination == mac || isGroup(m.Destination) }

// FromHost says whether the sender's hardware address is one that a host can be answered at: not that of a group, nor zero,
// which switches flood to everybody.
func (m Message) FromHost() bool { return !isGroup(m.SenderMAC) && m.SenderMAC != nobody }

var (
	// Broadcast is the Ethernet address of all.
	Broadcast = ownership.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	nobody    = ownership.MAC{}
)

// isGroup says whether an Ethernet address is a multicast one, or the one of all.
func isGroup(mac ownership.MAC) bool { return mac[0]&1 != 0 }

// Offsets in an untagged Ethernet frame.
const (
	offSource    = 6
	offEtherType = 12
	offPayload   = 14
)

// MaxLen is the length of the longest frame that Parse is interested in; of longer ones nobody needs the rest.
const MaxLen = 1514

// Parse reads an Ethernet frame without allocating or keeping it. It returns false for everything but ARP requests and
// replies for IPv4, and neighbour solicitations and advertisements that pass RFC 4861's checks of validity (sections
// 7.1.1 and 7.1.2).
func Parse(b []byte) (m Message, ok bool) {
	if len(b) < offPayload {
		return Message{}, false
	}
	switch ethernet.EtherType(binary.BigEndian.Uint16(b[offEtherType:])) {
	case ethernet.EtherTypeARP:
		ok = m.parseARP(b[offPayload:])
	case ethernet.EtherTypeIPv6:
		m.SenderMAC = ownership.MAC(b[offSource:offEtherType]) // unless an option says otherwise
		ok = m.parseNDP(b[offPayload:])
	}
	if !ok {
		return Message{}, false
	}
	m.Destination = ownership.MAC(b[:offSource])
	return m, true
}

// IsIPv6 says whether a frame carries IPv6, as those of Neighbor Discovery do.
func IsIPv6(b []byte) bool {
	return len(b) >= offPayload && ethernet.EtherType(binary.BigEndian.Uint16(b[offEtherType:])) == ethernet.EtherTypeIPv6
}
