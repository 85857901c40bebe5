package l2

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"golang.org/x/net/bpf"

	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// Offsets of an ARP packet for IPv4 over Ethernet (RFC 826) in an untagged frame.
const (
	offEtherType = 12
	offARP       = 14
	offOperation = offARP + 6
	offSenderMAC = offARP + 8
	offSenderIP  = offARP + 14
	offTargetMAC = offARP + 18
	offTargetIP  = offARP + 24
	frameLen     = offARP + 28
)

var (
	broadcast = ownership.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	nobody    = ownership.MAC{}
)

// message is what matters of an ARP packet.
type message struct {
	destination ownership.MAC // of the frame
	operation   arp.Operation
	senderMAC   ownership.MAC
	senderIP    netip.Addr
	targetIP    netip.Addr
}

// parse reads a frame without allocating. It returns false for anything but an ARP request or reply for IPv4.
func parse(frame []byte) (m message, ok bool) {
	if len(frame) < frameLen ||
		binary.BigEndian.Uint16(frame[offEtherType:]) != uint16(ethernet.EtherTypeARP) ||
		binary.BigEndian.Uint16(frame[offARP:]) != 1 || // Ethernet
		binary.BigEndian.Uint16(frame[offARP+2:]) != uint16(ethernet.EtherTypeIPv4) ||
		frame[offARP+4] != 6 || frame[offARP+5] != 4 {
		return message{}, false
	}
	m.operation = arp.Operation(binary.BigEndian.Uint16(frame[offOperation:]))
	if m.operation != arp.OperationRequest && m.operation != arp.OperationReply {
		return message{}, false
	}
	m.destination = ownership.MAC(frame[:6])
	m.senderMAC = ownership.MAC(frame[offSenderMAC:offSenderIP])
	m.senderIP = netip.AddrFrom4([4]byte(frame[offSenderIP:offTargetMAC]))
	m.targetIP = netip.AddrFrom4([4]byte(frame[offTargetIP:frameLen]))
	return m, true
}

// frame makes an Ethernet frame with an ARP packet.
func frame(destination ownership.MAC, op arp.Operation, senderMAC ownership.MAC, senderIP netip.Addr, targetMAC ownership.MAC, targetIP netip.Addr) ([]byte, error) {
	p, err := arp.NewPacket(op, senderMAC[:], senderIP, targetMAC[:], targetIP)
	if err != nil {
		return nil, fmt.Errorf("ARP packet: %w", err)
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("ARP packet: %w", err)
	}
	f := &ethernet.Frame{Destination: net.HardwareAddr(destination[:]), Source: net.HardwareAddr(senderMAC[:]), EtherType: ethernet.EtherTypeARP, Payload: payload}
	b, err := f.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("frame of Ethernet: %w", err)
	}
	return b, nil
}

// answer makes the reply that gives an address as ours to whoever asked.
func answer(ours ownership.MAC, address netip.Addr, asker message) ([]byte, error) {
	return frame(asker.senderMAC, arp.OperationReply, ours, address, asker.senderMAC, asker.senderIP)
}

// probe makes an ARP Probe (RFC 5227 section 1.1): a request from no address, so that no cache is changed by it.
func probe(ours ownership.MAC, address netip.Addr) ([]byte, error) {
	return frame(broadcast, arp.OperationRequest, ours, netip.IPv4Unspecified(), nobody, address)
}

// announcements makes both forms of gratuitous ARP, as MetalLB does: some hosts heed only requests, some only replies.
func announcements(ours ownership.MAC, address netip.Addr) ([2][]byte, error) {
	var frames [2][]byte
	for i, op := range [2]arp.Operation{arp.OperationRequest, arp.OperationReply} {
		f, err := frame(broadcast, op, ours, address, broadcast, address)
		if err != nil {
			return frames, err
		}
		frames[i] = f
	}
	return frames, nil
}

// filter lets through ARP requests and replies for IPv4 over Ethernet. Frames of VLANs are not this interface's:
// answers would leave untagged.
func filter() ([]bpf.RawInstruction, error) {
	const accept, drop = 10, 11
	to := func(at, where uint8) uint8 { return where - at - 1 }
	program, err := bpf.Assemble([]bpf.Instruction{
		0:      bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		1:      bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: to(1, drop)},
		2:      bpf.LoadAbsolute{Off: offEtherType, Size: 2},
		3:      bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(ethernet.EtherTypeARP), SkipTrue: to(3, drop)},
		4:      bpf.LoadAbsolute{Off: offARP, Size: 4}, // hardware and protocol type
		5:      bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 1<<16 | uint32(ethernet.EtherTypeIPv4), SkipTrue: to(5, drop)},
		6:      bpf.LoadAbsolute{Off: offOperation, Size: 2},
		7:      bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(arp.OperationRequest), SkipTrue: to(7, accept)},
		8:      bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(arp.OperationReply), SkipTrue: to(8, accept)},
		9:      bpf.Jump{Skip: uint32(to(9, drop))},
		accept: bpf.RetConstant{Val: 1 << 16},
		drop:   bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return nil, fmt.Errorf("assemble packet filter: %w", err)
	}
	return program, nil
}
