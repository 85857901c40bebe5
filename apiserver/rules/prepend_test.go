package rules

import (
	"fmt"
	"testing"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// TestPreferencesDoNotContradict: X3 holds for each of the fields that a route has once.
func TestPreferencesDoNotContradict(t *testing.T) {
	pool := newPool("v4", "10.0.0.0/24")
	med := func(v int64) func(*metallb.BGPAdvertisementSpec) {
		return func(s *metallb.BGPAdvertisementSpec) { s.MED = &v }
	}
	prepend := func(n int32) func(*metallb.BGPAdvertisementSpec) {
		return func(s *metallb.BGPAdvertisementSpec) { s.ASPathPrepend = n }
	}
	stored := &metallb.Configuration{IPAddressPools: []*metallb.IPAddressPool{pool},
		BGPAdvertisements: []*metallb.BGPAdvertisement{advNamed("a", 32, 0, med(5), prepend(2))}}
	const both = `of BGPAdvertisement "a": both advertise IPAddressPool "v4" with the same aggregation length to the same peers from the same nodes`
	run(t, stored, []verdict{
		{name: "alike", obj: advNamed("b", 32, 0, med(5), prepend(2))},
		{name: "another med", obj: advNamed("b", 32, 0, med(0), prepend(2)), want: []problem{{"spec.med", "spec.med: Invalid value: 0: conflicts with med 5 " + both}}},
		{name: "no med", obj: advNamed("b", 32, 0, prepend(2)), want: []problem{{"spec.med", "spec.med: Invalid value: null: conflicts with med 5 " + both}}},
		{name: "another path", obj: advNamed("b", 32, 0, med(5)), want: []problem{{"spec.asPathPrepend", "spec.asPathPrepend: Invalid value: 0: conflicts with asPathPrepend 2 " + both}}},
		{name: "the local preference goes first", obj: advNamed("b", 32, 7), want: []problem{{"spec.localPref", "conflicts with localPref 0 " + both}}},
		{name: "another length", obj: advNamed("b", 24, 0, med(1))},
	})
	unset := &metallb.Configuration{IPAddressPools: []*metallb.IPAddressPool{pool}, BGPAdvertisements: []*metallb.BGPAdvertisement{advNamed("a", 32, 0)}}
	run(t, unset, []verdict{{name: "0 is not unset", obj: advNamed("b", 32, 0, med(0)), want: []problem{{"spec.med", "Invalid value: 0: conflicts with med none " + both}}}})
}

func TestPrependingToInternalPeersWarns(t *testing.T) {
	peer := func(name string, my, asn, local int64, dynamic metallb.DynamicASNMode) *metallb.BGPPeer {
		return &metallb.BGPPeer{ObjectMeta: named(name), Spec: metallb.BGPPeerSpec{MyASN: my, ASN: asn, LocalASN: local, DynamicASN: dynamic, Address: "10.0.0.1"}}
	}
	c := &metallb.Configuration{BGPPeers: []*metallb.BGPPeer{
		peer("dynamic", 64500, 0, 0, metallb.InternalASN), peer("external", 64500, 64501, 0, ""), peer("internal", 64500, 64500, 0, ""),
		peer("local", 64500, 64501, 64501, ""), peer("outside", 64500, 0, 0, metallb.ExternalASN),
	}}
	ad := func(peers ...string) *metallb.BGPAdvertisement {
		return advNamed("a", 32, 0, toPeers(peers...), func(s *metallb.BGPAdvertisementSpec) { s.ASPathPrepend = 1 })
	}
	const says = "spec.asPathPrepend: has no effect for peers within our own AS: BGPPeer "
	run(t, c, []verdict{
		{name: "all", obj: ad(), warnings: []string{says + `"dynamic", "internal", "local"`}},
		{name: "one", obj: ad("internal", "external"), warnings: []string{says + `"internal"`}},
		{name: "none", obj: ad("external", "outside")},
		{name: "not prepending", obj: advNamed("a", 32, 0)},
	})
	many := &metallb.Configuration{}
	for i := range 8 {
		many.BGPPeers = append(many.BGPPeers, peer(fmt.Sprintf("p%d", i), 64500, 64500, 0, ""))
	}
	run(t, many, []verdict{{name: "many", obj: ad(), warnings: []string{says + `"p0", "p1", "p2", "p3", "p4", and 3 more`}}})
}
