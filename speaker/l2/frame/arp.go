package frame

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"

	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// Offsets in an ARP packet for IPv4 over Ethernet (RFC 826).
const (
	arpProtocol  = 2
	arpLengths   = 4
	arpOperation = 6
	arpSenderMAC = 8
	arpSender    = 14
	arpTargetMAC = 18
	arpTarget    = 24
	arpLen       = 28

	arpHardwareEthernet = 1
)

// parseARP reads an ARP packet.
func (m *Message) parseARP(b []byte) bool {
	if len(b) < arpLen ||
		binary.BigEndian.Uint16(b) != arpHardwareEthernet ||
		binary.BigEndian.Uint16(b[arpProtocol:]) != uint16(ethernet.EtherTypeIPv4) ||
		b[arpLengths] != 6 || b[arpLengths+1] != 4 {
		return false
	}
	switch arp.Operation(binary.BigEndian.Uint16(b[arpOperation:])) {
	case arp.OperationRequest:
		m.Op = Request
	case arp.OperationReply:
		m.Op = Reply
	default:
		return false
	}
	m.SenderMAC = ownership.MAC(b[arpSenderMAC:arpSender])
	m.Sender = netip.AddrFrom4([4]byte(b[arpSender:arpTargetMAC]))
	m.Target = netip.AddrFrom4([4]byte(b[arpTarget:arpLen]))
	return true
}

// arpFrame makes a frame with an ARP packet.
func arpFrame(destination ownership.MAC, op arp.Operation, senderMAC ownership.MAC, sender netip.Addr, targetMAC ownership.MAC, target netip.Addr) ([]byte, error) {
	p, err := arp.NewPacket(op, senderMAC[:], sender, targetMAC[:], target)
	if err != nil {
		return nil, fmt.Errorf("ARP packet: %w", err)
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("ARP packet: %w", err)
	}
	return ethernetFrame(destination, senderMAC, ethernet.EtherTypeARP, payload)
}

func ethernetFrame(destination, source ownership.MAC, t ethernet.EtherType, payload []byte) ([]byte, error) {
	f := &ethernet.Frame{Destination: net.HardwareAddr(destination[:]), Source: net.HardwareAddr(source[:]), EtherType: t, Payload: payload}
	b, err := f.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("frame of Ethernet: %w", err)
	}
	return b, nil
}
