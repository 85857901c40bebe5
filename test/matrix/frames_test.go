package matrix

import (
	"encoding/hex"
	"net/netip"
	"testing"
)

var (
	here  = MAC{2, 0, 0, 0, 0, 1}
	there = MAC{2, 0, 0, 0, 0, 2}
)

// A solicitation as tcpdump takes it for right, and an ARP request as RFC 826 has it.
func TestQuestions(t *testing.T) {
	for target, want := range map[string]string{
		"192.0.2.9": "ffffffffffff0200000000010806" + "0001080006040001" + "020000000001c0000201" + "000000000000c0000209",
		"2001:db8::9": "3333ff00000902000000000186dd" + "60000000" + "00203aff" + "20010db8000000000000000000000001" +
			"ff0200000000000000000001ff000009" + "8700" + "1c19" + "00000000" + "20010db8000000000000000000000009" + "0101020000000001",
	} {
		own := netip.MustParseAddr("192.0.2.1")
		if netip.MustParseAddr(target).Is6() {
			own = netip.MustParseAddr("2001:db8::1")
		}
		if got := hex.EncodeToString(question(here, own, netip.MustParseAddr(target))); got != want {
			t.Errorf("question for %s:\n got %s\nwant %s", target, got, want)
		}
	}
}

func TestReplies(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")
	for name, c := range map[string]struct {
		frame []byte
		want  netip.Addr
	}{
		"ARP":           {ethernet(here, there, etherARP, arp(arpReply, there, v4, here, netip.MustParseAddr("192.0.2.1"))), v4},
		"NDP":           {ethernet(here, there, etherIPv6, neighbour(advertisement, 0x60, v6, netip.MustParseAddr("2001:db8::1"), v6, optionTarget, there)), v6},
		"not to us":     {gratuitous(there, v4), netip.Addr{}},
		"a question":    {question(there, netip.MustParseAddr("192.0.2.1"), v4), netip.Addr{}},
		"cut off":       {ethernet(here, there, etherARP, make([]byte, 27)), netip.Addr{}},
		"cut off early": {here[:], netip.Addr{}},
	} {
		address, by, ok := reply(c.frame, here)
		if ok != c.want.IsValid() || ok && (address != c.want || by != there) {
			t.Errorf("%s: %v by %v, %v; want %v", name, address, by, ok, c.want)
		}
	}
}
