package rules

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// advNamed is a BGPAdvertisement with a length and a preference, changed.
func advNamed(name string, length int32, pref int64, change ...func(*metallb.BGPAdvertisementSpec)) *metallb.BGPAdvertisement {
	adv := &metallb.BGPAdvertisement{ObjectMeta: named(name), Spec: metallb.BGPAdvertisementSpec{AggregationLength: &length, LocalPref: pref}}
	for _, c := range change {
		c(&adv.Spec)
	}
	return adv
}

func forPools(names ...string) func(*metallb.BGPAdvertisementSpec) {
	return func(s *metallb.BGPAdvertisementSpec) { s.IPAddressPools = names }
}

func forLabels(kv ...string) func(*metallb.BGPAdvertisementSpec) {
	return func(s *metallb.BGPAdvertisementSpec) {
		s.IPAddressPoolSelectors = []metav1.LabelSelector{labels(kv...)}
	}
}

func toPeers(names ...string) func(*metallb.BGPAdvertisementSpec) {
	return func(s *metallb.BGPAdvertisementSpec) { s.Peers = names }
}

func fromNodes(kv ...string) func(*metallb.BGPAdvertisementSpec) {
	return func(s *metallb.BGPAdvertisementSpec) { s.NodeSelectors = []metav1.LabelSelector{labels(kv...)} }
}

func forServices(s *metallb.BGPAdvertisementSpec) {
	s.ServiceSelectors = []metav1.LabelSelector{labels("app", "web")}
}

func labelled(p *metallb.IPAddressPool, kv ...string) *metallb.IPAddressPool {
	p = p.DeepCopy()
	p.Labels = labels(kv...).MatchLabels
	return p
}

// racks are three Nodes in two racks.
var racks = []Node{
	{Name: "node1", Labels: map[string]string{"rack": "a"}},
	{Name: "node2", Labels: map[string]string{"rack": "b"}},
	{Name: "node3", Labels: map[string]string{"rack": "b", "edge": "yes"}},
}

func TestAggregationLengthFitsThePools(t *testing.T) {
	const words = "invalid aggregation length 26: prefix 28 in this pool is more specific than the aggregation length for addresses 1.1.1.0/28"
	small, wide := newPool("small", "1.1.1.0/28"), newPool("wide", "10.0.0.0/24", "2001:db8::/120")
	l26 := advNamed("l26", 26, 0)
	v6 := func(length int32) func(*metallb.BGPAdvertisementSpec) {
		return func(s *metallb.BGPAdvertisementSpec) { s.AggregationLengthV6 = &length }
	}

	run(t, &metallb.Configuration{IPAddressPools: []*metallb.IPAddressPool{small, wide}}, []verdict{
		{name: "all pools", obj: l26, want: []problem{{"spec.aggregationLength", "spec.aggregationLength: Invalid value: 26: " + words + ` (spec.addresses[0] of IPAddressPool "small")`}}},
		{name: "named", obj: advNamed("a", 26, 0, forPools("small")), want: []problem{{"spec.aggregationLength", words}}},
		{name: "another one", obj: advNamed("a", 26, 0, forPools("wide"))},
		{name: "as long", obj: advNamed("a", 28, 0, forPools("small"))},
		{name: "as long as the wide one", obj: advNamed("a", 24, 0, forPools("wide"))},
		{name: "shorter than the wide one", obj: advNamed("a", 23, 0, forPools("wide")), want: []problem{{"spec.aggregationLength", "prefix 24 in this pool"}}},
		{name: "both families", obj: advNamed("a", 23, 0, forPools("wide"), v6(119)), want: []problem{
			{"spec.aggregationLength", "prefix 24"}, {"spec.aggregationLengthV6", "invalid aggregation length 119: prefix 120"}}},
		{name: "a family that the pool lacks", obj: advNamed("a", 28, 0, forPools("small"), v6(0))},
		{name: "selectors select it", old: advNamed("a", 26, 0, forPools("wide")), obj: advNamed("a", 26, 0, forLabels("x", "y")),
			warnings: []string{`spec.ipAddressPoolSelectors[0]: "x=y" selects no IPAddressPool (yet)`}},
		{name: "selectors select it now", old: advNamed("a", 26, 0, forPools("wide")), obj: advNamed("a", 26, 0, forPools("wide", "small")),
			want: []problem{{"spec.aggregationLength", words}}},
	})
	ranges := newPool("ranges", "10.0.0.1-10.0.0.200")
	run(t, &metallb.Configuration{IPAddressPools: []*metallb.IPAddressPool{ranges}}, []verdict{
		{name: "range", obj: advNamed("a", 24, 0), want: []problem{{"spec.aggregationLength", "prefix 26 in this pool is more specific than the aggregation length for addresses 10.0.0.1-10.0.0.200"}}},
		{name: "range, longer", obj: advNamed("a", 26, 0)},
	})

	// The other order: the advertisement is there first.
	run(t, &metallb.Configuration{BGPAdvertisements: []*metallb.BGPAdvertisement{advNamed("l26", 26, 0, forPools("small", "other"), forLabels("use", "l26"))}}, []verdict{
		{name: "pool later", obj: small, want: []problem{{"spec.addresses[0]", `spec.addresses[0]: Invalid value: "1.1.1.0/28": ` + words +
			` (aggregationLength of BGPAdvertisement "l26", which selects this pool)`}}},
		{name: "second item", obj: newPool("other", "10.0.0.0/24", "1.1.1.0/28"), want: []problem{{"spec.addresses[1]", words}}},
		{name: "pool of another name", obj: newPool("free", "1.1.1.0/28")},
		{name: "with the label", obj: labelled(newPool("free", "1.1.1.0/28"), "use", "l26"), want: []problem{{"spec.addresses[0]", words}}},
		{name: "label edit", old: newPool("free", "1.1.1.0/28"), obj: labelled(newPool("free", "1.1.1.0/28"), "use", "l26"), want: []problem{{"spec.addresses[0]", words}}},
		{name: "label taken away", old: labelled(newPool("free", "10.0.0.0/24"), "use", "l26"), obj: newPool("free", "1.1.1.0/28")},
		{name: "item added", old: newPool("small", "10.0.0.0/24"), obj: newPool("small", "10.0.0.0/24", "1.1.1.0/28"), want: []problem{{"spec.addresses[1]", words}}},
		{name: "something else changed", old: small, obj: autoAssigned(small)},
	})
}

func autoAssigned(p *metallb.IPAddressPool) *metallb.IPAddressPool {
	p = p.DeepCopy()
	p.Spec.AutoAssign = new(false)
	return p
}

// TestLocalPreferencesDoNotContradict tries every exception of X3, with either of the advertisements, and the pool,
// as the last that is written.
func TestLocalPreferencesDoNotContradict(t *testing.T) {
	v4, dual := newPool("v4", "10.0.0.0/24"), newPool("dual", "10.1.0.0/24", "2001:db8::/64")
	v6 := newPool("v6", "2001:db8:1::/64")
	l6 := func(length int32) func(*metallb.BGPAdvertisementSpec) {
		return func(s *metallb.BGPAdvertisementSpec) { s.AggregationLengthV6 = &length }
	}
	tests := []struct {
		name  string
		a, b  *metallb.BGPAdvertisement
		nodes []Node
		bad   bool
	}{
		{"same pool", advNamed("a", 32, 100, forPools("v4")), advNamed("b", 32, 200, forPools("v4")), nil, true},
		{"one for all pools", advNamed("a", 32, 100), advNamed("b", 32, 200, forPools("v4")), nil, true},
		{"one without a preference", advNamed("a", 32, 0, forPools("v4")), advNamed("b", 32, 200, forPools("v4")), nil, true},
		{"same preference", advNamed("a", 32, 100, forPools("v4")), advNamed("b", 32, 100, forPools("v4")), nil, false},
		{"other pools", advNamed("a", 32, 100, forPools("v4")), advNamed("b", 32, 200, forPools("dual")), nil, false},
		{"other lengths", advNamed("a", 32, 100, forPools("v4")), advNamed("b", 24, 200, forPools("v4")), nil, false},
		{"other lengths of the wrong family", advNamed("a", 32, 100, forPools("v4")), advNamed("b", 32, 200, forPools("v4"), l6(64)), nil, true},
		{"IPv6, other lengths of IPv4", advNamed("a", 32, 100, forPools("v6")), advNamed("b", 24, 200, forPools("v6")), nil, true},
		{"IPv6, other lengths", advNamed("a", 32, 100, forPools("v6")), advNamed("b", 32, 200, forPools("v6"), l6(64)), nil, false},
		{"dual, one length differs", advNamed("a", 32, 100, forPools("dual")), advNamed("b", 24, 200, forPools("dual")), nil, true},
		{"dual, both differ", advNamed("a", 32, 100, forPools("dual")), advNamed("b", 24, 200, forPools("dual"), l6(64)), nil, false},
		{"disjoint peers", advNamed("a", 32, 100, forPools("v4"), toPeers("p", "q")), advNamed("b", 32, 200, forPools("v4"), toPeers("r")), nil, false},
		{"a peer of both", advNamed("a", 32, 100, forPools("v4"), toPeers("p", "q")), advNamed("b", 32, 200, forPools("v4"), toPeers("q")), nil, true},
		{"one lists no peers", advNamed("a", 32, 100, forPools("v4"), toPeers("p")), advNamed("b", 32, 200, forPools("v4")), nil, true},
		{"disjoint nodes", advNamed("a", 32, 100, forPools("v4"), fromNodes("rack", "a")), advNamed("b", 32, 200, forPools("v4"), fromNodes("rack", "b")), racks, false},
		{"a node of both", advNamed("a", 32, 100, forPools("v4"), fromNodes("edge", "yes")), advNamed("b", 32, 200, forPools("v4"), fromNodes("rack", "b")), racks, true},
		{"one for all nodes", advNamed("a", 32, 100, forPools("v4")), advNamed("b", 32, 200, forPools("v4"), fromNodes("rack", "b")), racks, true},
		{"one for no node", advNamed("a", 32, 100, forPools("v4")), advNamed("b", 32, 200, forPools("v4"), fromNodes("rack", "c")), racks, false},
		{"no node known", advNamed("a", 32, 100, forPools("v4"), fromNodes("rack", "a")), advNamed("b", 32, 200, forPools("v4"), fromNodes("rack", "b")), nil, true},
		{"serviceSelectors", advNamed("a", 32, 100, forPools("v4"), forServices), advNamed("b", 32, 200, forPools("v4")), nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pools := []*metallb.IPAddressPool{v4, dual, v6}
			for _, order := range [][2]*metallb.BGPAdvertisement{{tt.a, tt.b}, {tt.b, tt.a}} {
				c := &metallb.Configuration{IPAddressPools: pools, BGPAdvertisements: order[:1]}
				errs, _ := Check(c, Change{Resource: "bgpadvertisements", New: order[1], Nodes: tt.nodes})
				if (len(errs) > 0) != tt.bad {
					t.Errorf("%s after %s: %v, want a conflict: %v", order[1].Name, order[0].Name, errs, tt.bad)
				}
				for _, e := range errs {
					if e.Field != "spec.localPref" || e.BadValue != order[1].Spec.LocalPref {
						t.Errorf("error %v", e)
					}
				}
			}
			found := false
			for _, p := range pools {
				c := &metallb.Configuration{BGPAdvertisements: []*metallb.BGPAdvertisement{tt.a, tt.b}}
				errs, _ := Check(c, Change{Resource: "ipaddresspools", New: p, Nodes: tt.nodes})
				found = found || len(errs) > 0
			}
			if found != tt.bad {
				t.Errorf("the pools come last: conflict %v, want %v", found, tt.bad)
			}
		})
	}

	a, b := advNamed("a", 32, 100, forPools("v4")), advNamed("b", 32, 200, forPools("v4"))
	run(t, &metallb.Configuration{IPAddressPools: []*metallb.IPAddressPool{v4}, BGPAdvertisements: []*metallb.BGPAdvertisement{a}}, []verdict{
		{name: "words", obj: b, want: []problem{{"spec.localPref", `spec.localPref: Invalid value: 200: conflicts with localPref 100 of BGPAdvertisement "a": ` +
			`both advertise IPAddressPool "v4" with the same aggregation length to the same peers from the same nodes`}}},
	})
	byLabel := &metallb.Configuration{BGPAdvertisements: []*metallb.BGPAdvertisement{advNamed("a", 32, 100, forPools("v4")), advNamed("b", 32, 200, forLabels("x", "y"))}}
	run(t, byLabel, []verdict{
		{name: "label edit of the pool", old: v4, obj: labelled(v4, "x", "y"), want: []problem{{"metadata.labels",
			`metadata.labels: Invalid value: "x=y": BGPAdvertisements "a" and "b" would advertise this pool with the same aggregation length`}}},
		{name: "label that nobody selects", old: v4, obj: labelled(v4, "x", "z")},
	})
	twoLengths := &metallb.Configuration{BGPAdvertisements: []*metallb.BGPAdvertisement{advNamed("a", 32, 100), advNamed("b", 24, 200)}}
	run(t, twoLengths, []verdict{
		{name: "pool gets another family", old: v4, obj: newPool("v4", "10.0.0.0/24", "2001:db8:9::/64"), want: []problem{{"spec.addresses[1]", "conflicting localPref 100 and 200"}}},
	})
	// Nodes that changed since are no reason to refuse what has nothing to do with them.
	metBefore := &metallb.Configuration{IPAddressPools: []*metallb.IPAddressPool{v4}, BGPAdvertisements: []*metallb.BGPAdvertisement{a, b}}
	louder := b.DeepCopy()
	louder.Spec.Communities = []string{"65000:1"}
	run(t, metBefore, []verdict{{name: "communities of one that met another since", old: b, obj: louder}})
}
