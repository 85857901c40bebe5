package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

func legacyPool(name string, protocol metallb.AddressPoolProtocol, addresses []string, ads ...metallb.LegacyBGPAdvertisement) *metallb.AddressPool {
	return &metallb.AddressPool{ObjectMeta: named(name), Spec: metallb.AddressPoolSpec{Protocol: protocol, Addresses: addresses, BGPAdvertisements: ads}}
}

func legacyAd(length4, length6 int32, localPref int64, communities ...string) metallb.LegacyBGPAdvertisement {
	return metallb.LegacyBGPAdvertisement{AggregationLength: &length4, AggregationLengthV6: &length6, LocalPref: localPref, Communities: communities}
}

var dualRanges = []string{"203.0.113.200/30", "fc00:f853:ccd:e799::/124"}

// TestAddressPool tries the examples of the OpenShift documentation, and what is wrong with a pool by itself.
func TestAddressPool(t *testing.T) {
	four := []string{"203.0.113.200/30"}
	run(t, nil, []verdict{
		{name: "layer2", obj: legacyPool("doc-example", "layer2", []string{"203.0.113.1-203.0.113.10", "203.0.113.65-203.0.113.75"})},
		{name: "CIDRs and ranges", obj: legacyPool("p", "layer2", []string{"192.168.100.0/24", "192.168.200.0/24", "192.168.255.1-192.168.255.5"})},
		{name: "one address", obj: legacyPool("p", "layer2", []string{"1.1.1.1-1.1.1.1"})},
		{name: "both families", obj: legacyPool("p", "layer2", []string{"10.0.100.0/28", "2002:2:2::1-2002:2:2::100"})},
		{name: "bgp", obj: legacyPool("p", "bgp", dualRanges)},
		{name: "no-advertise", obj: legacyPool("p", "bgp", []string{"192.168.1.100-192.168.1.255"}, legacyAd(32, 128, 0, "65535:65282"))},
		{name: "custom advertisement", obj: legacyPool("p", "bgp", dualRanges, legacyAd(32, 128, 100, "65535:65282"), legacyAd(30, 124, 0, "8000:800"))},
		{name: "lengths of the other family may contradict", obj: legacyPool("p", "bgp", four, legacyAd(32, 128, 100), legacyAd(30, 128, 0))},

		{name: "no protocol", obj: legacyPool("p", "", four),
			want: []problem{{"spec.protocol", `address pool is missing the protocol field: must be "layer2" or "bgp"`}}},
		{name: "unknown protocol", obj: legacyPool("p", "BGP", four),
			want: []problem{{"spec.protocol", `Unsupported value: "BGP": supported values: "layer2", "bgp"`}}},
		{name: "advertisement of layer2", obj: legacyPool("p", "layer2", four, legacyAd(32, 128, 0)),
			want: []problem{{"spec.bgpAdvertisements", `needs protocol "bgp"`}}},
		{name: "P1", obj: legacyPool("p", "layer2", nil), want: []problem{{"spec.addresses", "pool has no prefixes defined"}}},
		{name: "P2", obj: legacyPool("p", "layer2", []string{"10.0.0.1"}), want: []problem{{"spec.addresses[0]", `invalid CIDR "10.0.0.1"`}}},
		{name: "P5", obj: legacyPool("p", "bgp", []string{"10.0.0.0/24", "10.0.0.7-10.0.0.9"}),
			want: []problem{{"spec.addresses[1]", "overlaps 10.0.0.0/24 of this pool"}}},
		{name: "nonsense", obj: legacyPool("p", "layer2", []string{"0.0.0.0/0"}), want: []problem{{"spec.addresses[0]", "no Service can have"}}},
		{name: "lengths out of range", obj: legacyPool("p", "bgp", dualRanges, legacyAd(32, 128, 0), legacyAd(0, 129, 0)),
			want: []problem{{"spec.bgpAdvertisements[1].aggregationLength", "must be 1 to 32"}, {"spec.bgpAdvertisements[1].aggregationLengthV6", "must be 0 to 128"}}},
		{name: "preference out of range", obj: legacyPool("p", "bgp", four, legacyAd(32, 128, 1<<32)),
			want: []problem{{"spec.bgpAdvertisements[0].localPref", "must be 0 to 4294967295"}}},
		{name: "A3", obj: legacyPool("p", "bgp", four, legacyAd(32, 128, 0, "1:2", "1:2")),
			want: []problem{{"spec.bgpAdvertisements[0].communities[1]", `duplicate definition of community "1:2"`}}},
		{name: "A4", obj: legacyPool("p", "bgp", four, legacyAd(32, 128, 0, "1:65536")),
			want: []problem{{"spec.bgpAdvertisements[0].communities[0]", "invalid community value: invalid section"}}},
		{name: "A5, an alias that nobody defines", obj: legacyPool("p", "bgp", four, legacyAd(32, 128, 0, "gold")),
			warnings: []string{`spec.bgpAdvertisements[0].communities[0]: no Community defines the alias "gold" (yet): until then its routes are not sent`}},
		{name: "twice the same", obj: legacyPool("p", "bgp", four, legacyAd(32, 128, 5), legacyAd(30, 128, 5), legacyAd(32, 128, 5)),
			want: []problem{{"spec.bgpAdvertisements[2]", "duplicate definition of bgpAdvertisements: the same as spec.bgpAdvertisements[0]"}}},
		{name: "X2", obj: legacyPool("p", "bgp", []string{"10.0.0.0/24", "10.0.1.0/26", "2001:db8::/124"}, legacyAd(32, 128, 0, "1:1"), legacyAd(24, 120, 0)),
			want: []problem{
				{"spec.bgpAdvertisements[1].aggregationLength", "Invalid value: 24: invalid aggregation length 24: prefix 26 in this pool is more specific than the aggregation length for addresses 10.0.1.0/26 (spec.addresses[1])"},
				{"spec.bgpAdvertisements[1].aggregationLengthV6", "invalid aggregation length 120"}}},
		{name: "X3", obj: legacyPool("p", "bgp", four, legacyAd(32, 128, 100), legacyAd(32, 124, 0)),
			want: []problem{{"spec.bgpAdvertisements[1].localPref", "Invalid value: 0: conflicts with localPref 100 of spec.bgpAdvertisements[0]"}}},
		{name: "X3 in one family of two", obj: legacyPool("p", "bgp", dualRanges, legacyAd(32, 128, 100), legacyAd(30, 128, 0)),
			want: []problem{{"spec.bgpAdvertisements[1].localPref", "conflicts"}}},
		{name: "the same preference", obj: legacyPool("p", "bgp", four, legacyAd(32, 128, 100, "1:1"), legacyAd(32, 128, 100, "1:2"))},
	})
}

// TestPoolsOfBothKinds: names are unique and ranges disjoint over both, whichever is written last.
func TestPoolsOfBothKinds(t *testing.T) {
	old, now := legacyPool("old", "layer2", []string{"10.0.0.0/24"}), newPool("now", "10.1.0.0/24")
	c := &metallb.Configuration{AddressPools: []*metallb.AddressPool{old}, IPAddressPools: []*metallb.IPAddressPool{now}}
	run(t, c, []verdict{
		{name: "IPAddressPool of the name", obj: newPool("old", "10.2.0.0/24"),
			want: []problem{{"metadata.name", `Duplicate value: "old": AddressPool "old" has this name`}}},
		{name: "AddressPool of the name", obj: legacyPool("now", "layer2", []string{"10.2.0.0/24"}),
			want: []problem{{"metadata.name", `Duplicate value: "now": IPAddressPool "now" has this name`}}},
		{name: "both name and range", obj: newPool("old", "10.0.0.0/24"),
			want: []problem{{"metadata.name", "AddressPool"}, {"spec.addresses[0]", `overlaps 10.0.0.0/24 of AddressPool "old"`}}},
		{name: "IPAddressPool overlaps", obj: newPool("p", "10.2.0.0/24", "10.0.0.128/25"),
			want: []problem{{"spec.addresses[1]", `overlaps 10.0.0.0/24 of AddressPool "old" (10.0.0.128/25 overlaps with already defined CIDR 10.0.0.0/24)`}}},
		{name: "AddressPool overlaps", obj: legacyPool("p", "bgp", []string{"10.1.0.7-10.1.0.9"}),
			want: []problem{{"spec.addresses[0]", `overlaps 10.1.0.0/24 of IPAddressPool "now"`}}},
		{name: "AddressPool overlaps its like", obj: legacyPool("p", "bgp", []string{"10.0.0.7-10.0.0.9"}),
			want: []problem{{"spec.addresses[0]", `overlaps 10.0.0.0/24 of AddressPool "old"`}}},
		{name: "IPAddressPool grows into it", old: now, obj: newPool("now", "10.0.0.0/8"),
			want: []problem{{"spec.addresses[0]", `of AddressPool "old"`}}},
		{name: "AddressPool grows", old: old, obj: legacyPool("old", "bgp", []string{"10.0.0.0/23"})},
	})
}

// TestOthersAdvertisementsLeaveAddressPoolsAlone: neither X2 nor X3 nor a reference binds them to each other.
func TestOthersAdvertisementsLeaveAddressPoolsAlone(t *testing.T) {
	old := legacyPool("old", "bgp", []string{"10.0.0.0/28"}, legacyAd(32, 128, 100))
	old.Labels = map[string]string{"zone": "x"}
	all := advNamed("all", 24, 200)
	run(t, &metallb.Configuration{AddressPools: []*metallb.AddressPool{old}}, []verdict{
		{name: "all pools", obj: all},
		{name: "by label", obj: advNamed("a", 24, 200, forLabels("zone", "x")),
			warnings: []string{`spec.ipAddressPoolSelectors[0]: "zone=x" selects no IPAddressPool (yet)`}},
		{name: "by name", obj: advNamed("a", 24, 200, forPools("old")),
			warnings: []string{`spec.ipAddressPools[0]: "old" is an AddressPool, which says itself how it is announced: no advertisement selects it`}},
	})
	run(t, &metallb.Configuration{BGPAdvertisements: []*metallb.BGPAdvertisement{all, advNamed("host", 32, 5)}}, []verdict{{name: "the pool last", obj: old}})
}

// TestEchoModeAndAddressPools is X10, with each of the objects as the last that is written.
func TestEchoModeAndAddressPools(t *testing.T) {
	six := legacyPool("old", "bgp", dualRanges)
	peer, echoing := peerNamed("tor", "10.9.0.1", withBFD("fast")), profileNamed("fast", true)
	peers, profiles := []*metallb.BGPPeer{peer}, []*metallb.BFDProfile{echoing}
	run(t, &metallb.Configuration{BGPPeers: peers, BFDProfiles: profiles}, []verdict{
		{name: "pool last", obj: six, want: []problem{{"spec.addresses[1]",
			`Invalid value: "fc00:f853:ccd:e799::/124": echo mode does not work with IPv6: would be advertised to BGPPeer "tor", whose BFDProfile "fast" has echoMode true`}}},
		{name: "protocol last", old: legacyPool("old", "layer2", dualRanges), obj: six, want: []problem{{"spec.addresses[1]", "echo mode"}}},
		{name: "layer2", obj: legacyPool("old", "layer2", dualRanges)},
		{name: "IPv4 alone", obj: legacyPool("old", "bgp", dualRanges[:1])},
	})
	pools := []*metallb.AddressPool{six}
	run(t, &metallb.Configuration{AddressPools: pools, BGPPeers: peers}, []verdict{{name: "profile last", obj: echoing, want: []problem{{"spec.echoMode",
		`BGPPeer "tor" uses this profile, and AddressPool "old" (spec.addresses[1]: fc00:f853:ccd:e799::/124) is advertised to it`}}}})
	run(t, &metallb.Configuration{AddressPools: pools, BFDProfiles: profiles}, []verdict{{name: "peer last", obj: peer, want: []problem{{"spec.bfdProfile",
		`BFDProfile "fast" has echoMode true, and AddressPool "old" (spec.addresses[1]: fc00:f853:ccd:e799::/124) is advertised to this peer`}}}})
}

func TestDeletingAnAddressPoolInUse(t *testing.T) {
	old := legacyPool("old", "layer2", []string{"10.0.0.0/24"})
	c := &metallb.Configuration{AddressPools: []*metallb.AddressPool{old}}
	_, warnings := Check(c, Change{Resource: "addresspools", Old: old, Holders: []Holder{{Name: "shop/web", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.7")}}}})
	if !slices.Equal(warnings, []string{`AddressPool "old" is in use by Service shop/web (10.0.0.7)`}) {
		t.Errorf("warnings %q", warnings)
	}
	kept := old.DeepCopy()
	kept.Annotations = map[string]string{DeletionProtection: "true"}
	if errs, _ := Check(c, Change{Resource: "addresspools", Old: kept}); len(errs) != 1 {
		t.Errorf("errors of a protected pool: %v", errs)
	}
	definer := newCommunity("c", "gold", "1:1")
	c = &metallb.Configuration{Communities: []*metallb.Community{definer},
		AddressPools: []*metallb.AddressPool{legacyPool("old", "bgp", []string{"10.0.0.0/24"}, legacyAd(32, 128, 0, "1:2"), legacyAd(24, 128, 0, "gold"))}}
	_, warnings = Check(c, Change{Resource: "communities", Old: definer})
	if !slices.Equal(warnings, []string{`no Community defines the alias "gold" any more, which spec.bgpAdvertisements[1] of AddressPool "old" uses: it announces nothing`}) {
		t.Errorf("warnings %q", warnings)
	}
}

// TestManyLegacyAdvertisements: one request must not keep the server busy, nor its answer be without end. If the cost
// grew with the square of their number, this would take minutes.
func TestManyLegacyAdvertisements(t *testing.T) {
	p := legacyPool("p", "bgp", []string{"10.0.0.0/24"})
	for i := range 50_000 {
		p.Spec.BGPAdvertisements = append(p.Spec.BGPAdvertisements, legacyAd(32, 128, 7, fmt.Sprintf("%d:%d", i/60_000, i%60_000)))
	}
	if errs, _ := Check(nil, Change{Resource: "addresspools", New: p}); len(errs) > 0 {
		t.Errorf("all right, and %d errors", len(errs))
	}
	for i := range p.Spec.BGPAdvertisements {
		p.Spec.BGPAdvertisements[i].LocalPref = int64(i)
	}
	if errs, _ := Check(nil, Change{Resource: "addresspools", New: p}); len(errs) > maxErrors+1 {
		t.Errorf("%d errors", len(errs))
	}
}
