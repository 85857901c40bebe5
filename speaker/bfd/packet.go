package bfd

import (
	"encoding/binary"
	"time"
)

// PacketLen is the length of a control packet without authentication section.
const PacketLen = 24

// protocolVersion is that of RFC 5880.
const protocolVersion = 1

// Packet is a control packet (RFC 5880 section 4.1).
type Packet struct {
	// Why the sender last changed its state.
	Diagnostic Diagnostic
	State      State
	// P and F: a Poll Sequence (section 6.5).
	Poll, Final bool
	// C: the sender's BFD does not share fate with its control plane.
	ControlPlaneIndependent bool
	// A: an authentication section follows.
	AuthenticationPresent bool
	// D: the sender wishes to receive nothing while the session is up.
	Demand bool
	// M: always 0.
	Multipoint       bool
	DetectMultiplier uint8
	// MyDiscriminator is the sender's, YourDiscriminator the receiver's or 0 as long as the sender does not know it.
	MyDiscriminator, YourDiscriminator uint32
	// In whole microseconds. An interval of 0 asks for silence.
	DesiredMinTx, RequiredMinRx, RequiredMinEchoRx time.Duration
	// Of the authentication section, its type; 0 when there is none.
	Authentication AuthenticationType
}

// AuthenticationType is the type of an authentication section (RFC 5880 section 4.1).
type AuthenticationType uint8

// Authentication types of RFC 5880 section 4.1.
const (
	SimplePassword       AuthenticationType = 1
	KeyedMD5             AuthenticationType = 2
	MeticulousKeyedMD5   AuthenticationType = 3
	KeyedSHA1            AuthenticationType = 4
	MeticulousKeyedSHA1  AuthenticationType = 5
	digestSectionMD5Len                     = 24
	digestSectionSHA1Len                    = 28
)

// Append appends the packet as it goes over the network, without authentication section.
func (p *Packet) Append(b []byte) []byte {
	var flags uint8
	set := func(bit uint8, on bool) {
		if on {
			flags |= bit
		}
	}
	set(flagPoll, p.Poll)
	set(flagFinal, p.Final)
	set(flagIndependent, p.ControlPlaneIndependent)
	set(flagDemand, p.Demand)
	set(flagMultipoint, p.Multipoint)
	b = append(b, protocolVersion<<5|uint8(p.Diagnostic)&0x1f, uint8(p.State)<<6|flags, p.DetectMultiplier, PacketLen)
	b = binary.BigEndian.AppendUint32(b, p.MyDiscriminator)
	b = binary.BigEndian.AppendUint32(b, p.YourDiscriminator)
	b = binary.BigEndian.AppendUint32(b, microseconds(p.DesiredMinTx))
	b = binary.BigEndian.AppendUint32(b, microseconds(p.RequiredMinRx))
	return binary.BigEndian.AppendUint32(b, microseconds(p.RequiredMinEchoRx))
}

const (
	flagPoll           = 1 << 5
	flagFinal          = 1 << 4
	flagIndependent    = 1 << 3
	flagAuthentication = 1 << 2
	flagDemand         = 1 << 1
	flagMultipoint     = 1 << 0
)

// Decode reads a control packet out of a UDP payload, into p. It refuses, with a Discard, whatever RFC 5880 section 6.8.6
// has thrown away before a session is looked for, in the order of that section. It does not allocate.
func (p *Packet) Decode(b []byte) error {
	if len(b) < PacketLen {
		return DiscardShort
	}
	length := int(b[3])
	switch {
	case b[0]>>5 != protocolVersion:
		return DiscardVersion
	case length < PacketLen || b[1]&flagAuthentication != 0 && length < PacketLen+2:
		return DiscardLength
	case length > len(b):
		return DiscardShort
	case b[2] == 0:
		return DiscardDetectMultiplier
	case b[1]&flagMultipoint != 0:
		return DiscardMultipoint
	}
	*p = Packet{
		Diagnostic:              Diagnostic(b[0] & 0x1f),
		State:                   State(b[1] >> 6),
		Poll:                    b[1]&flagPoll != 0,
		Final:                   b[1]&flagFinal != 0,
		ControlPlaneIndependent: b[1]&flagIndependent != 0,
		AuthenticationPresent:   b[1]&flagAuthentication != 0,
		Demand:                  b[1]&flagDemand != 0,
		DetectMultiplier:        b[2],
		MyDiscriminator:         binary.BigEndian.Uint32(b[4:]),
		YourDiscriminator:       binary.BigEndian.Uint32(b[8:]),
		DesiredMinTx:            duration(b[12:]),
		RequiredMinRx:           duration(b[16:]),
		RequiredMinEchoRx:       duration(b[20:]),
	}
	switch {
	case p.MyDiscriminator == 0:
		return DiscardMyDiscriminator
	case p.YourDiscriminator == 0 && p.State != Down && p.State != AdminDown:
		return DiscardYourDiscriminator
	}
	if p.AuthenticationPresent {
		return p.decodeAuthentication(b[PacketLen:length])
	}
	return nil
}

// decodeAuthentication reads the section's head (RFC 5880 sections 4.1 to 4.4).
func (p *Packet) decodeAuthentication(section []byte) error {
	p.Authentication = AuthenticationType(section[0])
	fits := int(section[1]) == len(section)
	switch p.Authentication {
	case SimplePassword:
		// A password has 1 to 16 octets.
		fits = fits && len(section) >= 4 && len(section) <= 19
	case KeyedMD5, MeticulousKeyedMD5:
		fits = fits && len(section) == digestSectionMD5Len
	case KeyedSHA1, MeticulousKeyedSHA1:
		fits = fits && len(section) == digestSectionSHA1Len
	}
	if !fits {
		return DiscardAuthenticationLength
	}
	return nil
}

func microseconds(d time.Duration) uint32 { return uint32(d / time.Microsecond) }

func duration(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Microsecond
}
