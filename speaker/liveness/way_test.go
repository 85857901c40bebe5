package liveness

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/test/netns"
)

// TestFind: a session runs between the ends of the BGP connection, over one hop or several as FRR would have it.
func TestFind(t *testing.T) {
	node, router := netns.New(t, "node"), netns.New(t, "router")
	netns.Cable(t, node, "eth0", []string{"192.0.2.2/24", "192.0.2.3/24", "2001:db8::2/64"}, router, "eth0", []string{"192.0.2.1/24", "2001:db8::1/64"})
	node.Run(t, "ip", "route", "add", "203.0.113.0/24", "via", "192.0.2.1")
	node.Run(t, "ip", "-6", "route", "add", "2001:db8:1::/64", "via", "2001:db8::1")
	local := node.LinkLocal(t, "eth0")
	at := func(remote, local string, change ...func(*bfd.Key)) bfd.Key {
		k := bfd.Key{Remote: netip.MustParseAddr(remote)}
		if local != "" {
			k.Local = netip.MustParseAddr(local)
		}
		for _, c := range change {
			c(&k)
		}
		return k
	}
	hops := func(k *bfd.Key) { k.MultiHop = true }
	over := func(name string) func(*bfd.Key) { return func(k *bfd.Key) { k.Interface = name } }
	for _, tt := range []struct {
		name    string
		session *ingotv1.BgpSession
		state   *ingotv1.SessionReport
		want    bfd.Key
		fails   string
	}{
		{name: "eBGP", session: &ingotv1.BgpSession{Address: "192.0.2.1", MyAsn: 1, PeerAsn: 2}, want: at("192.0.2.1", "192.0.2.2")},
		{name: "IPv6", session: &ingotv1.BgpSession{Address: "2001:db8::1", MyAsn: 1, PeerAsn: 2}, want: at("2001:db8::1", "2001:db8::2")},
		{name: "from another address", session: &ingotv1.BgpSession{Address: "192.0.2.1", SourceAddress: "192.0.2.3", MyAsn: 1, PeerAsn: 2}, want: at("192.0.2.1", "192.0.2.3")},
		{name: "eBGP multi-hop", session: &ingotv1.BgpSession{Address: "203.0.113.1", MyAsn: 1, PeerAsn: 2, EbgpMultiHop: true}, want: at("203.0.113.1", "192.0.2.2", hops)},
		{name: "eBGP beyond a gateway", session: &ingotv1.BgpSession{Address: "203.0.113.1", MyAsn: 1, PeerAsn: 2}, want: at("203.0.113.1", "192.0.2.2")},
		{name: "iBGP on the link", session: &ingotv1.BgpSession{Address: "192.0.2.1", MyAsn: 1, PeerAsn: 1}, want: at("192.0.2.1", "192.0.2.2")},
		{name: "iBGP beyond a gateway", session: &ingotv1.BgpSession{Address: "203.0.113.1", MyAsn: 1, PeerAsn: 1}, want: at("203.0.113.1", "192.0.2.2", hops)},
		{name: "iBGP by localASN, IPv6", session: &ingotv1.BgpSession{Address: "2001:db8:1::1", MyAsn: 1, LocalAsn: 2, PeerAsn: 2}, want: at("2001:db8:1::1", "2001:db8::2", hops)},
		{name: "dynamically internal", session: &ingotv1.BgpSession{Address: "203.0.113.1", MyAsn: 1, DynamicAsn: "internal"}, want: at("203.0.113.1", "192.0.2.2", hops)},
		{name: "dynamically external", session: &ingotv1.BgpSession{Address: "203.0.113.1", MyAsn: 1, DynamicAsn: "external"}, want: at("203.0.113.1", "192.0.2.2")},
		{name: "unnumbered", session: &ingotv1.BgpSession{Interface: "eth0", MyAsn: 1, PeerAsn: 2}, state: &ingotv1.SessionReport{Address: "fe80::1", LocalAddress: local.String()},
			want: at("fe80::1", local.String(), over("eth0"))},
		{name: "unnumbered, nobody heard", session: &ingotv1.BgpSession{Interface: "eth0"}, state: &ingotv1.SessionReport{}, fails: "interface eth0 is not known (yet)"},
		{name: "link-local", session: &ingotv1.BgpSession{Address: "fe80::1"}, state: &ingotv1.SessionReport{Address: "fe80::1", LocalAddress: local.String()},
			want: at("fe80::1", local.String(), over("eth0"))},
		{name: "link-local, way unknown", session: &ingotv1.BgpSession{Address: "fe80::1"}, fails: "not known (yet)"},
		{name: "no route", session: &ingotv1.BgpSession{Address: "198.51.100.1"}, fails: "route to 198.51.100.1"},
		{name: "no VRF", session: &ingotv1.BgpSession{Address: "192.0.2.1", Vrf: "red"}, fails: `VRF device "red"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got bfd.Key
			var err error
			node.Do(t, func() error {
				got, err = kernel{}.find(tt.session, tt.state)
				return nil
			})
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) {
					t.Errorf("error %v, want one that says %q", err, tt.fails)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}
