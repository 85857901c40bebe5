package bgp

import (
	"net/netip"
	"testing"
	"testing/synctest"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// TestIPv4OverALinkLocalSession: a neighbour gets IPv4 prefixes with an IPv6 next hop once it has said that it takes them (RFC
// 8950), since others reset the session for that; a neighbour that may hold them from before gets them before End-of-RIB.
func TestIPv4OverALinkLocalSession(t *testing.T) {
	own := netip.MustParseAddr("fe80::11")
	const add4, add6, remove4 = "add 198.51.100.1/32 via fe80::11 communities []", "add 2001:db8::1/128 via fe80::11 communities []", "remove 198.51.100.1/32"
	for name, tt := range map[string]struct {
		restored, extended bool
		first, up          []string
	}{
		"takes it":                     {false, true, []string{"open 133.239.37.64", add6, "connect restarting=false"}, []string{add4}},
		"does not":                     {false, false, []string{"open 133.239.37.64", add6, "connect restarting=false"}, nil},
		"may hold it, and takes it":    {true, true, []string{"open 133.239.37.64", add4, add6, "connect restarting=true"}, nil},
		"may hold it, yet does not so": {true, false, []string{"open 133.239.37.64", add4, add6, "connect restarting=true"}, []string{remove4}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, wires := newDrainingSpeaker()
				s.node = &fakeNode{way: egress{way: way{address: netip.MustParseAddr("fe80::1"), device: "eth1", index: 1, local: own}, local: own}}
				items := []*ingotv1.Item{
					sessionItem("tor1", graceful, over("eth1"), func(b *ingotv1.BgpSession) { b.Families = nil }),
					routeItem("198.51.100.1/32", to("tor1")), routeItem("2001:db8::1/128", to("tor1")),
				}
				expect := func(when string, want []string) {
					t.Helper()
					lines := map[string][]string{}
					if len(want) > 0 {
						lines["tor1"] = want
					}
					wires.expect(t, when, lines)
				}
				s.Apply(t.Context(), items, tt.restored)
				expect("first", tt.first)
				tor := wires.wires["tor1"]
				tor.extended = tt.extended
				tor.observe(transition{state: stateEstablished, peerASN: 64512})
				expect("when the session is up", tt.up)
				// It keeps what it has, whatever is looked at again meanwhile.
				tor.observe(transition{state: stateIdle})
				wires.take()
				s.refresh()
				expect("when it is lost", nil)
				tor.observe(transition{state: stateEstablished, peerASN: 64512})
				expect("when it is up again", nil)
			})
		})
	}
}
