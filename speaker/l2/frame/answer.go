package frame

import (
	"encoding/binary"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// Answers makes answers to requests that arrive on one link, without allocating: it fills in frames that mdlayher/arp and
// mdlayher/ndp made once.
type Answers struct {
	arp, ndp []byte
}

// NewAnswers prepares answers that give ours.
func NewAnswers(ours ownership.MAC) (*Answers, error) {
	zero := netip.IPv4Unspecified()
	a, err := arpFrame(nobody, arp.OperationReply, ours, zero, nobody, zero)
	if err != nil {
		return nil, err
	}
	any6 := netip.IPv6Unspecified()
	n, err := ndpFrame(nobody, ours, any6, any6, &ndp.NeighborAdvertisement{
		TargetAddress: any6, Options: linkLayer(ndp.Target, ours),
	})
	if err != nil {
		return nil, err
	}
	return &Answers{arp: a, ndp: n}, nil
}

// Append appends the answer to a request, which says that its target is at ours. It appends nothing if the sender cannot be
// answered: see Message.FromHost.
func (a *Answers) Append(b []byte, request Message) []byte {
	if !request.FromHost() {
		return b
	}
	if request.Target.Is4() {
		return a.appendARP(b, request)
	}
	return a.appendNDP(b, request)
}

// appendARP answers as RFC 826 says. An ARP Probe is answered like any other request (RFC 5227 section 2.1.1 has the prober
// look for just that).
func (a *Answers) appendARP(b []byte, request Message) []byte {
	start := len(b)
	b = append(b, a.arp...)
	f := b[start:]
	copy(f, request.SenderMAC[:])
	p := f[offPayload:]
	target, sender := request.Target.As4(), request.Sender.As4()
	copy(p[arpSender:], target[:])
	copy(p[arpTargetMAC:], request.SenderMAC[:])
	copy(p[arpTarget:], sender[:])
	return b
}

// appendNDP answers as RFC 4861 section 7.2.4 says: whoever asked for itself is told, solicited; a host that asks because
// it wants the address has none to be told at, so all nodes hear it, and it overrides. An answer to a single host does not,
// as MetalLB's: what it knows better, from a later announcement, stays. The source is the address that was asked for, as
// when Linux answers: to some tools (ndisc6) a link-local one is somebody else.
func (a *Answers) appendNDP(b []byte, request Message) []byte {
	destinationMAC, destination, flags := request.SenderMAC, request.Sender, byte(flagSolicited)
	if request.Probe() {
		destinationMAC, destination, flags = groupMAC(allNodes), allNodes, flagOverride
	}
	start := len(b)
	b = append(b, a.ndp...)
	f := b[start:]
	copy(f, destinationMAC[:])
	p := f[offPayload:]
	to, target := destination.As16(), request.Target.As16()
	copy(p[ip6Source:], target[:])
	copy(p[ip6Destination:], to[:])
	copy(p[ndpTarget:], target[:])
	p[ndpFlags] = flags
	p[ndpChecksum], p[ndpChecksum+1] = 0, 0
	binary.BigEndian.PutUint16(p[ndpChecksum:], checksum(p))
	return b
}
