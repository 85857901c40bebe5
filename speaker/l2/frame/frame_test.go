package frame

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

var (
	ours   = ownership.MAC{0x52, 0x54, 0, 0, 0, 1}
	theirs = ownership.MAC{0x52, 0x54, 0, 0, 0, 2}

	vip4   = netip.MustParseAddr("192.0.2.10")
	host4  = netip.MustParseAddr("192.0.2.99")
	vip6   = netip.MustParseAddr("2001:db8::10")
	host6  = netip.MustParseAddr("2001:db8::99")
	local6 = netip.MustParseAddr("fe80::1")
	zero4  = netip.IPv4Unspecified()
	zero6  = netip.IPv6Unspecified()

	byAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
)

// unhex reads bytes written with spaces, and with words about them after a #.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Frames as other hosts send them; those of IPv6 with checksums that tcpdump calls correct.
const (
	arpRequest = `
		ff ff ff ff ff ff  52 54 00 00 00 02  08 06
		00 01 08 00 06 04 00 01                      # Ethernet, IPv4, request
		52 54 00 00 00 02  c0 00 02 63               # from 192.0.2.99
		00 00 00 00 00 00  c0 00 02 0a` // for 192.0.2.10
	arpUnicastRequest = `
		52 54 00 00 00 01  52 54 00 00 00 02  08 06
		00 01 08 00 06 04 00 01
		52 54 00 00 00 02  c0 00 02 63
		52 54 00 00 00 01  c0 00 02 0a`
	arpProbe = `
		ff ff ff ff ff ff  52 54 00 00 00 02  08 06
		00 01 08 00 06 04 00 01
		52 54 00 00 00 02  00 00 00 00               # RFC 5227: from no address
		00 00 00 00 00 00  c0 00 02 0a`
	arpReply = `
		52 54 00 00 00 01  52 54 00 00 00 02  08 06
		00 01 08 00 06 04 00 02
		52 54 00 00 00 02  c0 00 02 63
		52 54 00 00 00 01  c0 00 02 0a`
	// The padding that short frames have.
	padding = `00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00`

	nsMulticast = `
		33 33 ff 00 00 10  52 54 00 00 00 02  86 dd
		60 00 00 00 00 20 3a ff                      # 32 bytes of ICMPv6, hop limit 255
		20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 99
		ff 02 00 00 00 00 00 00 00 00 00 01 ff 00 00 10
		87 00 CHECK 00 00 00 00                      # solicitation
		20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10
		01 01 52 54 00 00 00 02` // source link-layer address
	nsUnicast = `
		52 54 00 00 00 01  52 54 00 00 00 02  86 dd
		60 00 00 00 00 18 3a ff
		20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 99
		20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10
		87 00 CHECK 00 00 00 00
		20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10`
	nsProbe = `
		33 33 ff 00 00 10  52 54 00 00 00 02  86 dd
		60 00 00 00 00 20 3a ff
		00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 # Duplicate Address Detection
		ff 02 00 00 00 00 00 00 00 00 00 01 ff 00 00 10
		87 00 CHECK 00 00 00 00
		20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10
		0e 01 01 02 03 04 05 06` // nonce (RFC 7527)
	naUnicast = `
		52 54 00 00 00 01  52 54 00 00 00 02  86 dd
		60 00 00 00 00 20 3a ff
		fe 80 00 00 00 00 00 00 00 00 00 00 00 00 00 02
		fe 80 00 00 00 00 00 00 00 00 00 00 00 00 00 01
		88 00 CHECK 60 00 00 00
		20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 99
		02 01 52 54 00 00 00 05` // it answers for another host
	naMulticast = `
		33 33 00 00 00 01  52 54 00 00 00 02  86 dd
		60 00 00 00 00 18 3a ff
		fe 80 00 00 00 00 00 00 00 00 00 00 00 00 00 02
		ff 02 00 00 00 00 00 00 00 00 00 00 00 00 00 01
		88 00 CHECK 20 00 00 00
		20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 99`
)

// received is a frame with the given checksum.
func received(t testing.TB, text, sum string) []byte {
	t.Helper()
	return unhex(t, strings.Replace(text, "CHECK", sum, 1))
}

func TestFramesAreRead(t *testing.T) {
	fifth := ownership.MAC{0x52, 0x54, 0, 0, 0, 5}
	group, everyNode := ownership.MAC{0x33, 0x33, 0xff, 0, 0, 0x10}, ownership.MAC{0x33, 0x33, 0, 0, 0, 1}
	tests := map[string]struct {
		frame, sum string
		want       Message
		probe      bool
		gratuitous bool
	}{
		"ARP request":                          {frame: arpRequest, want: Message{Request, Broadcast, host4, theirs, vip4}},
		"ARP request, padded":                  {frame: arpRequest + padding, want: Message{Request, Broadcast, host4, theirs, vip4}},
		"ARP request to us alone":              {frame: arpUnicastRequest, want: Message{Request, ours, host4, theirs, vip4}},
		"ARP probe":                            {frame: arpProbe, want: Message{Request, Broadcast, zero4, theirs, vip4}, probe: true},
		"ARP reply":                            {frame: arpReply, want: Message{Reply, ours, host4, theirs, vip4}},
		"solicitation":                         {frame: nsMulticast, sum: "cb1d", want: Message{Request, group, host6, theirs, vip6}},
		"solicitation, padded":                 {frame: nsMulticast + padding, sum: "cb1d", want: Message{Request, group, host6, theirs, vip6}},
		"solicitation to us alone, no option":  {frame: nsUnicast, sum: "eec8", want: Message{Request, ours, host6, theirs, vip6}},
		"duplicate address detection":          {frame: nsProbe, sum: "35ba", want: Message{Request, group, zero6, theirs, vip6}, probe: true},
		"advertisement":                        {frame: naUnicast, sum: "97f3", want: Message{Reply, ours, host6, fifth, local6}},
		"unsolicited advertisement, no option": {frame: naMulticast, sum: "2bd4", want: Message{Reply, everyNode, host6, theirs, allNodes}, gratuitous: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := Parse(received(t, tt.frame, tt.sum))
			if !ok {
				t.Fatal("not understood")
			}
			if diff := cmp.Diff(tt.want, got, byAddr); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
			if got.Probe() != tt.probe || got.Gratuitous() != tt.gratuitous {
				t.Errorf("probe %t, gratuitous %t; want %t, %t", got.Probe(), got.Gratuitous(), tt.probe, tt.gratuitous)
			}
		})
	}
}

// TestWhatIsNotValidIsNotRead changes one thing of a valid frame at a time: the checks of RFC 826, and of RFC 4861 sections
// 7.1.1 and 7.1.2.
func TestWhatIsNotValidIsNotRead(t *testing.T) {
	const icmp = offPayload + ip6Len
	put := func(at int, values ...byte) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[at:], values); return b }
	}
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:len(b)-n] } }
	both := func(f, g func([]byte) []byte) func([]byte) []byte {
		return func(b []byte) []byte { return g(f(b)) }
	}
	tests := map[string]struct {
		frame  string
		change func([]byte) []byte
	}{
		"empty":                              {arpRequest, func([]byte) []byte { return nil }},
		"not ARP":                            {arpRequest, put(12, 0x08, 0x00)},
		"not Ethernet":                       {arpRequest, put(14, 0, 6)},
		"not IPv4":                           {arpRequest, put(16, 0x86, 0xdd)},
		"hardware addresses of 8 bytes":      {arpRequest, put(18, 8)},
		"protocol addresses of 16 bytes":     {arpRequest, put(19, 16)},
		"reverse ARP":                        {arpRequest, put(20, 0, 3)},
		"operation 0":                        {arpRequest, put(20, 0, 0)},
		"ARP cut short":                      {arpRequest, cut(1)},
		"IPv4 in a frame of IPv6":            {nsMulticast, put(14, 0x45)},
		"not ICMPv6":                         {nsMulticast, put(14+ip6NextHeader, 17)},
		"forwarded by a router":              {nsMulticast, put(14+ip6HopLimit, 254)},
		"code 1":                             {nsMulticast, put(icmp+1, 1)},
		"router solicitation":                {nsMulticast, put(icmp, 133)},
		"frame shorter than the packet":      {nsMulticast, cut(1)},
		"packet without its options":         {nsMulticast, put(14+ip6Length, 0, 23)},
		"target is a group":                  {nsMulticast, put(icmp+8, 0xff, 2)},
		"sent by a group":                    {nsMulticast, put(14+ip6Source, 0xff, 2)},
		"option without length":              {nsMulticast, put(icmp+25, 0)},
		"option longer than the packet":      {nsMulticast, put(icmp+25, 2)},
		"half an option":                     {nsMulticast, both(put(14+ip6Length, 0, 25), cut(7))},
		"duplicate detection to us alone":    {nsProbe, put(14+ip6Destination, vip6.AsSlice()...)},
		"duplicate detection with a source":  {nsProbe, put(icmp+24, 1, 1)},
		"advertisement of a group":           {naUnicast, put(icmp+8, 0xff, 2)},
		"solicited, but sent to all":         {naMulticast, put(icmp+4, 0x40)},
		"advertisement with a broken option": {naUnicast, put(icmp+25, 0)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := tt.change(summed(received(t, tt.frame, "0000")))
			if m, ok := Parse(summed(b)); ok {
				t.Errorf("understood as %+v", m)
			}
		})
	}
	t.Run("wrong checksum", func(t *testing.T) {
		b := summed(received(t, nsMulticast, "0000"))
		if _, ok := Parse(b); !ok {
			t.Fatal("not understood with its checksum")
		}
		b[icmp+2]++
		if m, ok := Parse(b); ok {
			t.Errorf("understood as %+v", m)
		}
	})
}

// summed puts the right checksum into a frame of IPv6 that is long enough to have one.
func summed(b []byte) []byte {
	if !IsIPv6(b) || len(b) < offPayload+ndpOptions {
		return b
	}
	p := b[offPayload:]
	if n := ip6Len + int(p[ip6Length])<<8 + int(p[ip6Length+1]); n >= ndpOptions && n < len(p) {
		p = p[:n]
	}
	p[ndpChecksum], p[ndpChecksum+1] = 0, 0
	sum := checksum(p)
	p[ndpChecksum], p[ndpChecksum+1] = byte(sum>>8), byte(sum)
	return b
}

func TestFramesAreMade(t *testing.T) {
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	announced := func(address netip.Addr, n int) []byte {
		t.Helper()
		frames, err := Announcements(ours, address)
		if err != nil {
			t.Fatal(err)
		}
		return frames[n]
	}
	answered := func(text, sum string) []byte {
		t.Helper()
		m, ok := Parse(received(t, text, sum))
		if !ok {
			t.Fatalf("not understood: %s", text)
		}
		a, err := NewAnswers(ours)
		if err != nil {
			t.Fatal(err)
		}
		return a.Append(nil, m)
	}
	const arpAnswer = `
		52 54 00 00 00 02  52 54 00 00 00 01  08 06
		00 01 08 00 06 04 00 02
		52 54 00 00 00 01  c0 00 02 0a
		52 54 00 00 00 02  c0 00 02 63` + padding
	const naAnswer = `
		52 54 00 00 00 02  52 54 00 00 00 01  86 dd
		60 00 00 00 00 20 3a ff
		20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10
		20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 99
		88 00 CHECK 40 00 00 00                       # solicited, does not override
		20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10
		02 01 52 54 00 00 00 01`
	tests := map[string]struct {
		got       []byte
		want, sum string
	}{
		"answer to a request":         {got: answered(arpRequest, ""), want: arpAnswer},
		"answer to a unicast request": {got: answered(arpUnicastRequest, ""), want: arpAnswer},
		"defence against an ARP probe": {got: answered(arpProbe, ""), want: `
			52 54 00 00 00 02  52 54 00 00 00 01  08 06
			00 01 08 00 06 04 00 02
			52 54 00 00 00 01  c0 00 02 0a
			52 54 00 00 00 02  00 00 00 00` + padding},
		"answer to a solicitation":                   {got: answered(nsMulticast, "cb1d"), want: naAnswer, sum: "596a"},
		"answer to a solicitation without an option": {got: answered(nsUnicast, "eec8"), want: naAnswer, sum: "596a"},
		"defence against duplicate address detection": {got: answered(nsProbe, "35ba"), sum: "a8b8", want: `
			33 33 00 00 00 01  52 54 00 00 00 01  86 dd
			60 00 00 00 00 20 3a ff
			20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10
			ff 02 00 00 00 00 00 00 00 00 00 00 00 00 00 01
			88 00 CHECK 20 00 00 00                       # overrides
			20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10
			02 01 52 54 00 00 00 01`},
		"ARP probe": {got: must(Probe(ours, vip4)), want: `
			ff ff ff ff ff ff  52 54 00 00 00 01  08 06
			00 01 08 00 06 04 00 01
			52 54 00 00 00 01  00 00 00 00
			00 00 00 00 00 00  c0 00 02 0a` + padding},
		"duplicate address detection": {got: must(Probe(ours, vip6)), sum: "4ccf", want: `
			33 33 ff 00 00 10  52 54 00 00 00 01  86 dd
			60 00 00 00 00 18 3a ff
			00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
			ff 02 00 00 00 00 00 00 00 00 00 01 ff 00 00 10
			87 00 CHECK 00 00 00 00
			20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10`},
		"gratuitous request": {got: announced(vip4, 0), want: `
			ff ff ff ff ff ff  52 54 00 00 00 01  08 06
			00 01 08 00 06 04 00 01
			52 54 00 00 00 01  c0 00 02 0a
			ff ff ff ff ff ff  c0 00 02 0a` + padding},
		"gratuitous reply": {got: announced(vip4, 1), want: `
			ff ff ff ff ff ff  52 54 00 00 00 01  08 06
			00 01 08 00 06 04 00 02
			52 54 00 00 00 01  c0 00 02 0a
			ff ff ff ff ff ff  c0 00 02 0a` + padding},
		"unsolicited advertisement": {got: announced(vip6, 0), sum: "a8b8", want: `
			33 33 00 00 00 01  52 54 00 00 00 01  86 dd
			60 00 00 00 00 20 3a ff
			20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10
			ff 02 00 00 00 00 00 00 00 00 00 00 00 00 00 01
			88 00 CHECK 20 00 00 00
			20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10
			02 01 52 54 00 00 00 01`},
		"question to all, IPv4": {got: must(Ask(ours, vip4, nobody, host4)), want: `
			ff ff ff ff ff ff  52 54 00 00 00 01  08 06
			00 01 08 00 06 04 00 01
			52 54 00 00 00 01  c0 00 02 0a
			00 00 00 00 00 00  c0 00 02 63` + padding},
		"question to one host, IPv4": {got: must(Ask(ours, vip4, theirs, host4)), want: `
			52 54 00 00 00 02  52 54 00 00 00 01  08 06
			00 01 08 00 06 04 00 01
			52 54 00 00 00 01  c0 00 02 0a
			00 00 00 00 00 00  c0 00 02 63` + padding},
		"question to all, IPv6": {got: must(Ask(ours, local6, nobody, host6)), sum: "f9dc", want: `
			33 33 ff 00 00 99  52 54 00 00 00 01  86 dd
			60 00 00 00 00 20 3a ff
			fe 80 00 00 00 00 00 00 00 00 00 00 00 00 00 01
			ff 02 00 00 00 00 00 00 00 00 00 01 ff 00 00 99
			87 00 CHECK 00 00 00 00
			20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 99
			01 01 52 54 00 00 00 01`},
		"question to one host, IPv6": {got: must(Ask(ours, local6, theirs, host6)), sum: "ca28", want: `
			52 54 00 00 00 02  52 54 00 00 00 01  86 dd
			60 00 00 00 00 20 3a ff
			fe 80 00 00 00 00 00 00 00 00 00 00 00 00 00 01
			20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 99
			87 00 CHECK 00 00 00 00
			20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 99
			01 01 52 54 00 00 00 01`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(hex.Dump(received(t, tt.want, tt.sum)), hex.Dump(tt.got)); diff != "" {
				t.Errorf("frame (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnlyOneHostIsAnswered(t *testing.T) {
	a, err := NewAnswers(ours)
	if err != nil {
		t.Fatal(err)
	}
	for _, mac := range []ownership.MAC{Broadcast, {0x33, 0x33, 0, 0, 0, 1}, {1, 0, 0x5e, 0, 0, 1}, {}} {
		for _, m := range []Message{{Request, Broadcast, host4, mac, vip4}, {Request, Broadcast, host6, mac, vip6}} {
			if b := a.Append(nil, m); len(b) != 0 {
				t.Errorf("an answer to %s: %x", mac, b)
			}
		}
	}
}

func TestSolicitedNodeGroupsAreShared(t *testing.T) {
	want := netip.MustParseAddr("ff02::1:ff28:9c5a") // RFC 4291 section 2.7.1 has the form
	for _, a := range []string{"4037::1:800:200e:8c28:9c5a", "2001:db8::aa28:9c5a"} {
		if got := SolicitedNode(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s is asked for in %s, want %s", a, got, want)
		}
	}
}

func TestAFrameIsForItsHostOrAGroup(t *testing.T) {
	for mac, want := range map[ownership.MAC]bool{ours: true, theirs: false, Broadcast: true, {0x33, 0x33, 0xff, 0, 0, 1}: true} {
		if got := (Message{Destination: mac}).IsFor(ours); got != want {
			t.Errorf("a frame to %s is for us: %t, want %t", mac, got, want)
		}
	}
}

func TestReadingAndAnsweringDoNotAllocate(t *testing.T) {
	a, err := NewAnswers(ours)
	if err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 0, 128)
	for name, b := range map[string][]byte{"ARP": received(t, arpRequest, ""), "NDP": received(t, nsMulticast, "cb1d")} {
		if n := testing.AllocsPerRun(100, func() {
			m, _ := Parse(b)
			buffer = a.Append(buffer[:0], m)
		}); n != 0 {
			t.Errorf("%s: %v allocations a packet, want none", name, n)
		}
		if len(buffer) == 0 {
			t.Errorf("%s: not answered", name)
		}
	}
}
