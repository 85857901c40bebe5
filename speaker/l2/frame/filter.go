package frame

import (
	"fmt"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// filterHead drops what no program that only sees the bytes of a frame can tell: frames of VLANs, which are not this
// link's (answers would leave untagged), and frames for other hosts, heard because somebody looks at the link.
var filterHead = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1},
	bpf.RetConstant{Val: 0},
	bpf.LoadExtension{Num: bpf.ExtType},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 1},
	bpf.RetConstant{Val: 0},
}

// field is a part of a frame and the values that it may have.
type field struct {
	offset uint32
	size   int
	values []uint32
}

var (
	arpFields = []field{
		{offEtherType, 2, []uint32{uint32(ethernet.EtherTypeARP)}},
		{offPayload, 4, []uint32{arpHardwareEthernet<<16 | uint32(ethernet.EtherTypeIPv4)}},
		{offPayload + arpOperation, 2, []uint32{uint32(arp.OperationRequest), uint32(arp.OperationReply)}},
	}
	ndpFields = []field{
		{offEtherType, 2, []uint32{uint32(ethernet.EtherTypeIPv6)}},
		{offPayload + ip6NextHeader, 2, []uint32{protocolICMP6<<8 | hopLimit}},
		{offPayload + ndpType, 2, []uint32{typeSolicitation << 8, typeAdvertisement << 8}}, // with code 0
	}
)

// FilterARP is a program for the kernel that lets through what Parse reads as ARP, and little else.
func FilterARP() ([]bpf.RawInstruction, error) { return assemble(arpFields) }

// FilterNDP is a program for the kernel that lets through what Parse reads as Neighbor Discovery, and little else.
func FilterNDP() ([]bpf.RawInstruction, error) { return assemble(ndpFields) }

func assemble(fields []field) ([]bpf.RawInstruction, error) {
	program, err := bpf.Assemble(append(filterHead[:len(filterHead):len(filterHead)], match(fields)...))
	if err != nil {
		return nil, fmt.Errorf("assemble packet filter: %w", err)
	}
	return program, nil
}

// match is a program that accepts frames whose fields all have one of their values.
func match(fields []field) []bpf.Instruction {
	var program []bpf.Instruction
	for _, f := range fields {
		program = append(program, bpf.LoadAbsolute{Off: f.offset, Size: f.size})
		for i, v := range f.values {
			// To the next field, over the other values and the drop.
			program = append(program, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipTrue: uint8(len(f.values) - i)})
		}
		program = append(program, bpf.RetConstant{Val: 0})
	}
	return append(program, bpf.RetConstant{Val: MaxLen})
}
