package bfd

import (
	"errors"
	"net/netip"
	"time"
)

// UDP ports of RFC 5881 section 4 and RFC 5883 section 5.
const (
	SingleHopPort = 3784
	EchoPort      = 3785
	MultiHopPort  = 4784
)

// ErrClosed is what comes of using an Engine, a Session or a Receiver that was closed.
var ErrClosed = errors.New("bfd: closed")

// Scope names the control packets that one Receiver takes: those to one port, in one VRF, of one family.
type Scope struct {
	// Name of the VRF device; empty for the default VRF.
	VRF string
	// UDP 4784 (RFC 5883) rather than 3784 (RFC 5881).
	MultiHop bool
	// IPv6 rather than IPv4.
	IPv6 bool
}

// Transport carries packets for an Engine. Package wire is the one that uses sockets. Its methods may be called from
// several goroutines at the same time.
type Transport interface {
	// Listen receives the control packets of a scope, whatever address of ours they were sent to.
	Listen(Scope) (Receiver, error)
	// Dial prepares to send the control packets of a session: from k.Local, or from the kernel's choice; out of k.Interface
	// or else k.VRF, if these are set; with a UDP source port between 49152 and 65535 that no other session has
	// (RFC 5881 section 4), TTL or hop limit 255 (section 5), to port 3784 or 4784.
	Dial(k Key) (Sender, error)
	// ListenEcho receives the echo packets of ours that neighbours send back, of all sessions: UDP 3785 over IPv4, with an
	// address of ours as source and destination.
	ListenEcho() (Receiver, error)
	// DialEcho prepares to send echo packets (RFC 5881 section 4): UDP 3785 with local, an address of ours, as source and
	// destination, in a frame to the neighbour's link-layer address.
	DialEcho(k Key, local netip.Addr) (Sender, error)
	// Reflects says whether this host would send back the neighbour's echo packets.
	Reflects(k Key) bool
}

// Sender sends the packets of one session.
type Sender interface {
	// Send sends one packet and does not wait. What cannot be sent now is lost, with an error; as soon as the network allows,
	// packets are sent again. Send does not keep payload.
	Send(payload []byte) error
	// Local returns the address and port that packets come from. The address may be unspecified as long as the
	// kernel has none to choose.
	Local() netip.AddrPort
	Close() error
}

// Receiver takes packets from the network. An Engine calls Wait from one goroutine; Receive is never called twice at
// the same time, but also from others.
type Receiver interface {
	// Wait blocks until Receive may have something to return. It returns ErrClosed once the receiver is closed; other errors
	// are temporary, and Wait has waited a while before it returns the same again.
	Wait() error
	// Receive fills d with the next packet that has arrived; ok is false when there is none. It does not wait. What it
	// returned is valid until it is called again. It returns ErrClosed once the receiver is closed; after other errors,
	// Wait is called.
	Receive(d *Datagram) (ok bool, err error)
	Close() error
}

// Datagram is a packet as it was received.
type Datagram struct {
	// UDP payload, at most the first 256 octets of it. It belongs to the Receiver.
	Payload []byte
	// Without zones.
	Source, Destination netip.Addr
	// Name of the interface it came in by; that of the port, not of the VRF.
	Interface string
	// TTL or hop limit as it arrived.
	TTL uint8
	// When the kernel received it, with a monotonic clock reading, and not in the future.
	At time.Time
}

// String names the packets in messages.
func (sc Scope) String() string {
	s := "single-hop"
	if sc.MultiHop {
		s = "multi-hop"
	}
	if sc.IPv6 {
		s += " IPv6"
	} else {
		s += " IPv4"
	}
	if s += " control packets"; sc.VRF != "" {
		s += " in VRF " + sc.VRF
	}
	return s
}
