package bfd

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sample is a packet with every field in use, as in the figure of RFC 5880 section 4.1.
var sample = Packet{
	Diagnostic: NeighborSignaledDown, State: Up, Poll: true, ControlPlaneIndependent: true, Demand: true,
	DetectMultiplier: 3, MyDiscriminator: 0x01020304, YourDiscriminator: 0xa0b0c0d0,
	DesiredMinTx: 300 * time.Millisecond, RequiredMinRx: time.Second, RequiredMinEchoRx: 50 * time.Millisecond,
}

const sampleHex = "23ea0318" + "01020304" + "a0b0c0d0" + "000493e0" + "000f4240" + "0000c350"

func TestPacketLayout(t *testing.T) {
	want, err := hex.DecodeString(sampleHex)
	if err != nil {
		t.Fatal(err)
	}
	if got := sample.Append(nil); !bytes.Equal(got, want) {
		t.Errorf("encoded %x, want %x", got, want)
	}
	var got Packet
	if err := got.Decode(want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample, got); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
}

// TestSection6_8_6Validation: what is thrown away before a session is looked for, and that the first rule broken counts.
func TestSection6_8_6Validation(t *testing.T) {
	packet := func(change func(b []byte)) []byte {
		b := (&Packet{State: Up, DetectMultiplier: 3, MyDiscriminator: 1, YourDiscriminator: 2}).Append(nil)
		change(b)
		return b
	}
	authenticated := func(kind AuthenticationType, claimed uint8, length int) []byte {
		b := packet(func(b []byte) { b[1] |= flagAuthentication; b[3] = uint8(PacketLen + length) })
		section := make([]byte, length)
		section[0], section[1] = uint8(kind), claimed
		return append(b, section...)
	}
	for name, test := range map[string]struct {
		payload []byte
		want    error
	}{
		"empty":                       {nil, DiscardShort},
		"one octet short":             {packet(func([]byte) {})[:23], DiscardShort},
		"version 0":                   {packet(func(b []byte) { b[0] &^= 0xe0 }), DiscardVersion},
		"version 2":                   {packet(func(b []byte) { b[0] = 2 << 5 }), DiscardVersion},
		"version before length":       {packet(func(b []byte) { b[0], b[3] = 0, 0 }), DiscardVersion},
		"length 23":                   {packet(func(b []byte) { b[3] = 23 }), DiscardLength},
		"length 25 and authenticated": {packet(func(b []byte) { b[1] |= flagAuthentication; b[3] = 25 }), DiscardLength},
		"length beyond payload":       {packet(func(b []byte) { b[3] = 25 }), DiscardShort},
		"length within payload":       {append(packet(func([]byte) {}), 1, 2, 3), nil},
		"detect multiplier 0":         {packet(func(b []byte) { b[2] = 0 }), DiscardDetectMultiplier},
		"multipoint":                  {packet(func(b []byte) { b[1] |= flagMultipoint }), DiscardMultipoint},
		"my discriminator 0":          {packet(func(b []byte) { b[7] = 0 }), DiscardMyDiscriminator},
		"your discriminator 0, up":    {packet(func(b []byte) { b[11] = 0 }), DiscardYourDiscriminator},
		"your discriminator 0, init":  {packet(func(b []byte) { b[11] = 0; b[1] = uint8(Init) << 6 }), DiscardYourDiscriminator},
		"your discriminator 0, down":  {packet(func(b []byte) { b[11] = 0; b[1] = uint8(Down) << 6 }), nil},
		"your discriminator 0, admin": {packet(func(b []byte) { b[11] = 0; b[1] = uint8(AdminDown) << 6 }), nil},
		"poll and final":              {packet(func(b []byte) { b[1] |= flagPoll | flagFinal }), nil},
		"simple password":             {authenticated(SimplePassword, 9, 9), nil},
		"password too long":           {authenticated(SimplePassword, 20, 20), DiscardAuthenticationLength},
		"password empty":              {authenticated(SimplePassword, 3, 3), DiscardAuthenticationLength},
		"keyed MD5":                   {authenticated(KeyedMD5, 24, 24), nil},
		"meticulous MD5 of 23":        {authenticated(MeticulousKeyedMD5, 23, 23), DiscardAuthenticationLength},
		"keyed SHA1":                  {authenticated(KeyedSHA1, 28, 28), nil},
		"meticulous SHA1 of 24":       {authenticated(MeticulousKeyedSHA1, 24, 24), DiscardAuthenticationLength},
		"section length lies":         {authenticated(KeyedSHA1, 27, 28), DiscardAuthenticationLength},
		"unknown type":                {authenticated(99, 5, 5), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var p Packet
			if err := p.Decode(test.payload); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestPacketDoesNotAllocate(t *testing.T) {
	b := sample.Append(nil)
	bad := []byte{0}
	var p Packet
	if n := testing.AllocsPerRun(100, func() {
		if p.Decode(b) != nil || p.Decode(bad) == nil {
			t.Error("wrong verdict")
		}
		b = p.Append(b[:0])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestNames(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{State(2).String(), "Init"},
		{State(9).String(), "State(9)"},
		{Diagnostic(1).String(), "control detection time expired"},
		{Diagnostic(31).String(), "diagnostic 31"},
		{DiscardTTL.Error(), "did not arrive with a TTL of 255: it was routed"},
		{Discard(0).Error(), "is not acceptable"},
		{Discard(200).Error(), "is not acceptable"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

// FuzzDecode: whatever is accepted obeys the rules of RFC 5880 section 6.8.6 and means the same when it is sent again.
func FuzzDecode(f *testing.F) {
	f.Add(sample.Append(nil))
	down := Packet{State: Down, DetectMultiplier: 1, MyDiscriminator: 7}
	f.Add(down.Append(nil))
	section := append(down.Append(nil), uint8(KeyedMD5), 24)
	section[1] |= flagAuthentication
	section[3] = 48
	f.Add(append(section, make([]byte, 22)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Packet
		if err := p.Decode(b); err != nil {
			var d Discard
			if !errors.As(err, &d) {
				t.Fatalf("%v is no Discard", err)
			}
			return
		}
		if p.DetectMultiplier == 0 || p.MyDiscriminator == 0 || p.Multipoint || p.YourDiscriminator == 0 && p.State >= Init {
			t.Fatalf("accepted %+v", p)
		}
		if p.AuthenticationPresent {
			return
		}
		var again Packet
		if err := again.Decode(p.Append(nil)); err != nil || again != p {
			t.Fatalf("%+v became %+v: %v", p, again, err)
		}
	})
}
