package bfd

import (
	"fmt"
	"net/netip"
	"time"
)

// Key is what tells a session from others before discriminators do. It is comparable.
type Key struct {
	// The neighbour's address, without a zone.
	Remote netip.Addr
	// Address that packets are sent from; the zero Addr leaves the choice to the kernel.
	Local netip.Addr
	// Interface of the session; needed when Remote is a link-local address, otherwise it may be empty.
	Interface string
	// Name of the VRF device; empty for the default VRF.
	VRF string
	// The neighbour is more than one hop away (RFC 5883).
	MultiHop bool
}

// String names the session in messages.
func (k Key) String() string {
	s := k.Remote.String()
	if k.Interface != "" {
		s += "%" + k.Interface
	}
	if k.VRF != "" {
		s += " in VRF " + k.VRF
	}
	if k.MultiHop {
		s += " (multi-hop)"
	}
	return s
}

// Parameters of a session. They may be changed while it lasts, by Session.Retune.
type Parameters struct {
	// Least time between control packets that we can receive: bfd.RequiredMinRxInterval. At least 1 ms.
	ReceiveInterval time.Duration
	// Time between control packets that we want to send: bfd.DesiredMinTxInterval. At least 1 ms.
	TransmitInterval time.Duration
	// Time between echo packets, both those that we want to send and those that we accept; at least 1 ms. Only with Echo.
	EchoInterval time.Duration
	// Number of our packets that the neighbour may miss until it takes the session for down: bfd.DetectMult. Not 0.
	DetectMultiplier uint8
	// Use the echo function (RFC 5880 section 6.4), over one hop of IPv4.
	Echo bool
	// Send nothing until the neighbour does (RFC 5880 section 6.1).
	Passive bool
	// Packets that arrive with a lower TTL are dropped (RFC 5883 section 5). Only over several hops: otherwise it is 255.
	MinimumTTL uint8
}

func (k Key) validate() error {
	switch {
	case !k.Remote.IsValid() || k.Remote.IsUnspecified() || k.Remote.IsMulticast():
		return fmt.Errorf("bfd: %q is not the address of a neighbour", k.Remote)
	case k.Remote.Zone() != "" || k.Local.Zone() != "":
		return fmt.Errorf("bfd: %s: the zone of an address belongs into Interface", k)
	case k.Local.IsValid() && k.Local.Is4() != k.Remote.Is4():
		return fmt.Errorf("bfd: %s: the local address %s is of another family", k, k.Local)
	case k.Remote.Is6() && k.Remote.IsLinkLocalUnicast() && (k.Interface == "" || k.MultiHop):
		return fmt.Errorf("bfd: %s: a link-local neighbour is one hop away, over a named interface", k)
	}
	return nil
}

func (k Key) scope() Scope {
	return Scope{VRF: k.VRF, MultiHop: k.MultiHop, IPv6: k.Remote.Is6()}
}

// Bounds of intervals: the upper one is what 32 bits of microseconds hold.
const (
	minInterval = time.Millisecond
	maxInterval = (1<<32 - 1) * time.Microsecond
)

func (p Parameters) validate() error {
	check := func(name string, d time.Duration) error {
		if d < minInterval || d > maxInterval {
			return fmt.Errorf("bfd: %s is %s: it must lie between %s and %s", name, d, minInterval, maxInterval)
		}
		return nil
	}
	if err := check("the receive interval", p.ReceiveInterval); err != nil {
		return err
	}
	if err := check("the transmit interval", p.TransmitInterval); err != nil {
		return err
	}
	if p.Echo {
		if err := check("the echo interval", p.EchoInterval); err != nil {
			return err
		}
	}
	if p.DetectMultiplier == 0 {
		return fmt.Errorf("bfd: the detect multiplier is 0")
	}
	return nil
}
