package rules

import (
	"net/netip"
	"testing"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

func l2Named(name string, spec metallb.L2AdvertisementSpec) *metallb.L2Advertisement {
	return &metallb.L2Advertisement{ObjectMeta: named(name), Spec: spec}
}

func TestRefreshInterval(t *testing.T) {
	refresh := func(length string) *metallb.L2Advertisement {
		return l2Adv(metallb.L2AdvertisementSpec{RefreshInterval: new(metallb.Duration(length))})
	}
	const bounds = "invalid refresh interval: must be 1s to 1h; announcing cannot be turned off"
	run(t, nil, []verdict{
		{name: "least", obj: refresh("1s")},
		{name: "most", obj: refresh("60m")},
		{name: "off", obj: refresh("0s"), want: []problem{{"spec.refreshInterval", `Invalid value: "0s": ` + bounds}}},
		{name: "too short", obj: refresh("999ms"), want: []problem{{"spec.refreshInterval", bounds}}},
		{name: "too long", obj: refresh("1h1s"), want: []problem{{"spec.refreshInterval", bounds}}},
		{name: "negative", obj: refresh("-5s"), want: []problem{{"spec.refreshInterval", bounds}}},
		{name: "no unit", obj: refresh("60"), want: []problem{{"spec.refreshInterval", `Invalid value: "60": invalid refresh interval: must be a number with a unit`}}},
		{name: "empty", obj: refresh(""), want: []problem{{"spec.refreshInterval", "must be a number with a unit"}}},
	})
}

func TestProbeAddresses(t *testing.T) {
	probe := func(addresses ...string) *metallb.L2Advertisement {
		return l2Adv(metallb.L2AdvertisementSpec{ProbeAddresses: addresses})
	}
	run(t, nil, []verdict{
		{name: "both families", obj: probe("192.0.2.1", "2001:db8::1")},
		{name: "as many as there may be", obj: probe(numbered("192.0.2.%d", 16)...)},
		{name: "one too many", obj: probe(numbered("192.0.2.%d", 17)...), want: []problem{{"spec.probeAddresses", "Too many: 17: must have at most 16 items"}}},
		{name: "no addresses", obj: probe("192.0.2.0/24", "router", "", "fe80::1%eth0"), want: []problem{
			{"spec.probeAddresses[0]", `Invalid value: "192.0.2.0/24": invalid probe address: must be an IPv4 or IPv6 address, without a prefix length`},
			{"spec.probeAddresses[1]", "must be an IPv4 or IPv6 address"},
			{"spec.probeAddresses[2]", "must be an IPv4 or IPv6 address"},
			{"spec.probeAddresses[3]", "must not have a zone"}}},
		{name: "addresses of nobody", obj: probe("0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "fe80::1", "169.254.1.1", "127.0.0.1", "::ffff:127.0.0.1"), want: []problem{
			{"spec.probeAddresses[0]", "unspecified"}, {"spec.probeAddresses[1]", "unspecified"},
			{"spec.probeAddresses[2]", "multicast"}, {"spec.probeAddresses[3]", "multicast"},
			{"spec.probeAddresses[4]", "broadcast"}, {"spec.probeAddresses[5]", "link-local"}, {"spec.probeAddresses[6]", "link-local"},
			{"spec.probeAddresses[7]", "loopback"}, {"spec.probeAddresses[8]", "loopback"}}},
		{name: "twice", obj: probe("192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "2001:DB8:0::1"), want: []problem{
			{"spec.probeAddresses[2]", `Duplicate value: "::ffff:192.0.2.1": duplicate definition of probeAddresses: the same as spec.probeAddresses[0]`},
			{"spec.probeAddresses[3]", "the same as spec.probeAddresses[1]"}}},
	})
}

// TestWitnessesAreNotOurs: whichever of pool and advertisement is written last (X11).
func TestWitnessesAreNotOurs(t *testing.T) {
	c := &metallb.Configuration{
		IPAddressPools:   []*metallb.IPAddressPool{newPool("web", "10.0.1.0/24", "10.0.0.10-10.0.0.20")},
		AddressPools:     []*metallb.AddressPool{legacyPool("old", "layer2", []string{"2001:db8::/120"})},
		L2Advertisements: []*metallb.L2Advertisement{l2Named("first", metallb.L2AdvertisementSpec{ProbeAddresses: []string{"10.0.0.1", "10.0.0.2", "10.0.9.1"}})},
	}
	run(t, c, []verdict{
		{name: "beside pools", obj: l2Adv(metallb.L2AdvertisementSpec{ProbeAddresses: []string{"10.0.0.9", "10.0.0.10", "2001:db8::1"}}), want: []problem{
			{"spec.probeAddresses[1]", `Invalid value: "10.0.0.10": is an address of IPAddressPool "web" (spec.addresses[1]: 10.0.0.10-10.0.0.20)`},
			{"spec.probeAddresses[2]", `is an address of AddressPool "old" (spec.addresses[0]: 2001:db8::/120)`}}},
		{name: "a pool beside them", obj: newPool("db", "10.0.8.0/24", "10.0.9.0/24", "10.0.0.0-10.0.0.5"), want: []problem{
			{"spec.addresses[1]", `Invalid value: "10.0.9.0/24": has 10.0.9.1, which is a witness (spec.probeAddresses[2] of L2Advertisement "first")`},
			{"spec.addresses[2]", `has 10.0.0.1, which is a witness (spec.probeAddresses[0] of L2Advertisement "first")`}}},
		{name: "a legacy pool beside them", obj: legacyPool("older", "bgp", []string{"10.0.9.1/32"}), want: []problem{{"spec.addresses[0]", "has 10.0.9.1, which is a witness"}}},
		{name: "a pool that grows", old: c.IPAddressPools[0], obj: newPool("web", "10.0.1.0/24", "10.0.0.2-10.0.0.20"), want: []problem{{"spec.addresses[1]", "has 10.0.0.2"}}},
		{name: "a pool that has none", obj: newPool("db", "10.0.8.0/24")},
	})
}

func TestNodesAreNoWitnesses(t *testing.T) {
	nodes := []Node{{Name: "node1", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.11")}}}
	_, warnings := Check(nil, Change{New: l2Adv(metallb.L2AdvertisementSpec{ProbeAddresses: []string{"192.0.2.1", "::ffff:192.0.2.11"}}), Nodes: nodes})
	if want := `spec.probeAddresses[1]: "::ffff:192.0.2.11" is an address of Node node1: nodes ask each other anyway, a witness is a host that is no node`; len(warnings) != 1 || warnings[0] != want {
		t.Errorf("warnings %q, want %q", warnings, want)
	}
}
