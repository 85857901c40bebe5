package bgp

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	bgppacket "github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// openWith is an OPEN message of AS 64512 with these optional parameters, their length included.
func openWith(optional ...byte) []byte {
	b := bytes.Repeat([]byte{0xff}, 16)
	b = append(b, 0, 0, bgppacket.BGP_MSG_OPEN, 4, 0xfc, 0, 0, 90, 192, 0, 2, 99)
	b = append(b, optional...)
	binary.BigEndian.PutUint16(b[16:], uint16(len(b)))
	return b
}

// extended are capabilities, in one optional parameter, with lengths of two bytes.
func extended(capabilities ...byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{255, 255}, uint16(3+len(capabilities)))
	b = binary.BigEndian.AppendUint16(append(b, bgppacket.BGP_OPT_CAPABILITY), uint16(len(capabilities)))
	return append(b, capabilities...)
}

var (
	ordinary   = []byte{1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 2, 0, 65, 4, 0, 0, 0xfc, 0}
	families   = bytes.Repeat([]byte{1, 4, 0, 25, 0, 65}, 60)
	restart    = []byte{64, 10, 0x80, 120, 0, 1, 128, 0x80, 0, 2, 1, 0x80}
	restarting = []byte{64, 6, 0x80, 120, 0, 2, 1, 0x80}
	aNextHop   = []byte{5, 12, 0, 1, 0, 128, 0, 2, 0, 1, 0, 1, 0, 2}
	nextHops   = []byte{5, 6, 0, 1, 0, 1, 0, 2}
)

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// parameter is one optional parameter with capabilities, after the length of all.
func parameter(capabilities []byte) []byte {
	return append([]byte{byte(2 + len(capabilities)), bgppacket.BGP_OPT_CAPABILITY, byte(len(capabilities))}, capabilities...)
}

// TestExtendedOptionalParameters (RFC 9072): gobgp gets what it understands, and anything else as it came.
func TestExtendedOptionalParameters(t *testing.T) {
	same := func(b []byte) [2][]byte { return [2][]byte{b, b} }
	for name, tt := range map[string][2][]byte{
		"usual lengths":       same(openWith(parameter(ordinary)...)),
		"none":                same(openWith(0)),
		"a type of 255":       same(openWith(2, 255, 0)),
		"extended":            {openWith(extended(ordinary...)...), openWith(parameter(ordinary)...)},
		"extended, none":      {openWith(255, 255, 0, 0), openWith(0)},
		"many families":       {openWith(extended(join(families, ordinary)...)...), openWith(parameter(ordinary)...)},
		"each thrice":         {openWith(extended(bytes.Repeat(ordinary, 3)...)...), openWith(parameter(ordinary)...)},
		"families elsewhere":  {openWith(extended(join(restart, aNextHop)...)...), openWith(parameter(join(restarting, nextHops))...)},
		"another parameter":   {openWith(255, 255, 0, 4, 1, 0, 1, 9), openWith(0)},
		"too short":           same(openWith(255, 255, 0, 9, 2, 0, 1)),
		"too long":            same(openWith(255, 255, 0, 1, 2, 0, 1)),
		"capability too long": same(openWith(extended(65, 9, 0)...)),
	} {
		if diff := cmp.Diff(tt[1], shortenOpen(tt[0])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// FuzzShortenOpen: what comes out is what came in, or an OPEN message that gobgp can read.
func FuzzShortenOpen(f *testing.F) {
	f.Add(openWith(extended(join(families, ordinary, restart, aNextHop)...)...))
	f.Add(openWith(255, 255, 0, 0))
	f.Fuzz(func(t *testing.T, message []byte) {
		before := bytes.Clone(message)
		short := shortenOpen(message)
		if !bytes.Equal(before, message) {
			t.Fatal("the message was changed")
		}
		if bytes.Equal(short, message) {
			return
		}
		header := &bgppacket.BGPHeader{}
		if err := header.DecodeFromBytes(short); err != nil || int(header.Len) != len(short) {
			t.Fatalf("%x: length %d, %v", short, header.Len, err)
		}
		if int(short[openFixed-1]) != len(short)-openFixed {
			t.Fatalf("%x: optional parameters of %d bytes", short, short[openFixed-1])
		}
	})
}
