package wire

import (
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/speaker/bfd"
)

// networkHeader is SKF_NET_OFF of linux/filter.h: offsets from it are into the IP header, wherever the rest begins.
const networkHeader = uint32(0xfff00000)

const (
	accept = 1 << 16
	// minimum is the length of the mandatory section of a control packet (RFC 5880 section 4.1).
	minimum   = 24
	udpHeader = 8
)

// controlFilter lets through what can be a control packet, so that a flood of anything else costs no wake-ups: right
// TTL for a single hop (RFC 5881 section 5), version, lengths, multiplier and discriminator (RFC 5880 section 6.8.6).
// The kernel runs it with the packet beginning at the UDP header.
func controlFilter(s bfd.Scope) []bpf.Instruction {
	ttl := networkHeader + 8
	if s.IPv6 {
		ttl = networkHeader + 7
	}
	var program []bpf.Instruction
	if !s.MultiHop {
		program = append(program,
			bpf.LoadAbsolute{Off: ttl, Size: 1},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: 255, SkipTrue: 1},
			bpf.RetConstant{Val: 0})
	}
	return append(program,
		bpf.LoadAbsolute{Off: udpHeader, Size: 1}, // version and diagnostic
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xe0},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 1 << 5, SkipTrue: 11},
		bpf.LoadAbsolute{Off: udpHeader + 2, Size: 1}, // multiplier
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 9},
		bpf.LoadAbsolute{Off: udpHeader + 4, Size: 4}, // my discriminator
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 7},
		bpf.LoadAbsolute{Off: udpHeader + 3, Size: 1}, // length
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: minimum, SkipTrue: 5},
		bpf.TAX{},
		bpf.LoadExtension{Num: bpf.ExtLen},
		bpf.ALUOpConstant{Op: bpf.ALUOpSub, Val: udpHeader},
		bpf.JumpIfX{Cond: bpf.JumpLessThan, SkipTrue: 1},
		bpf.RetConstant{Val: accept},
		bpf.RetConstant{Val: 0},
	)
}

// echoFilter lets through echo packets of IPv4 whose source is their destination, addressed to this machine's hardware,
// whole, with no options. The kernel runs it with the packet beginning at the IP header.
func echoFilter() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_HOST, SkipTrue: 13},
		bpf.LoadAbsolute{Off: 0, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0x45, SkipTrue: 11},
		bpf.LoadAbsolute{Off: 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_UDP, SkipTrue: 9},
		bpf.LoadAbsolute{Off: ipHeader + 2, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: bfd.EchoPort, SkipTrue: 7},
		bpf.LoadAbsolute{Off: 6, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x3fff, SkipTrue: 5}, // a fragment
		bpf.LoadAbsolute{Off: 12, Size: 4},
		bpf.TAX{},
		bpf.LoadAbsolute{Off: 16, Size: 4},
		bpf.JumpIfX{Cond: bpf.JumpNotEqual, SkipTrue: 1},
		bpf.RetConstant{Val: accept},
		bpf.RetConstant{Val: 0},
	}
}

// nothing lets nothing through.
func nothing() []bpf.Instruction { return []bpf.Instruction{bpf.RetConstant{Val: 0}} }

// attach has the kernel run a filter over what arrives at a socket.
func attach(fd int, filter []bpf.Instruction) error {
	raw, err := bpf.Assemble(filter)
	if err != nil {
		return fmt.Errorf("assemble packet filter: %w", err)
	}
	program := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		program[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &fprog); err != nil {
		return fmt.Errorf("attach packet filter: %w", err)
	}
	return nil
}
