package rules

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

func bgpAdv(spec metallb.BGPAdvertisementSpec) *metallb.BGPAdvertisement {
	return &metallb.BGPAdvertisement{ObjectMeta: named("adv"), Spec: spec}
}

func l2Adv(spec metallb.L2AdvertisementSpec) *metallb.L2Advertisement {
	return &metallb.L2Advertisement{ObjectMeta: named("adv"), Spec: spec}
}

func numbered(format string, n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(format, i))
	}
	return list
}

func TestInterfacesAreNotWithoutNumber(t *testing.T) {
	run(t, nil, []verdict{
		{name: "256", obj: l2Adv(metallb.L2AdvertisementSpec{Interfaces: numbered("eth%d", 256)})},
		{name: "257", obj: l2Adv(metallb.L2AdvertisementSpec{Interfaces: numbered("eth%d", 257)}),
			want: []problem{{"spec.interfaces", "Too many: 257: must have at most 256 items"}}},
	})
}

func TestBGPAdvertisement(t *testing.T) {
	c := &metallb.Configuration{
		IPAddressPools: []*metallb.IPAddressPool{newPool("web", "10.0.0.0/24")},
		BGPPeers:       []*metallb.BGPPeer{newPeer(func(*metallb.BGPPeerSpec) {})},
	}
	twice := []metav1.LabelSelector{labels("a", "b"), labels("a", "b")}
	run(t, c, []verdict{
		{name: "empty", obj: bgpAdv(metallb.BGPAdvertisementSpec{})},
		{name: "full", obj: bgpAdv(metallb.BGPAdvertisementSpec{
			AggregationLength: new(int32(24)), AggregationLengthV6: new(int32(64)), LocalPref: 4294967295,
			Communities: []string{"65535:65535", "large:4294967295:0:1", "gold"}, IPAddressPools: []string{"web"}, Peers: []string{"tor"}}),
			warnings: []string{`spec.communities[2]: no Community defines the alias "gold" (yet): until then its routes are not sent`}},
		{name: "serviceSelectors with host routes", obj: bgpAdv(metallb.BGPAdvertisementSpec{
			AggregationLength: new(int32(32)), AggregationLengthV6: new(int32(128)), ServiceSelectors: twice[:1]})},
		{name: "as many communities as a message has room for", obj: bgpAdv(metallb.BGPAdvertisementSpec{Communities: numbered("65000:%d", 950)})},
		{name: "one too many", obj: bgpAdv(metallb.BGPAdvertisementSpec{Communities: numbered("65000:%d", 951)}),
			want: []problem{{"spec.communities", "Invalid value: 951: too many communities for one route: they take 3804 bytes"}}},
		{name: "large ones too many", obj: bgpAdv(metallb.BGPAdvertisementSpec{Communities: numbered("large:1:2:%d", 317)}),
			want: []problem{{"spec.communities", "too many communities"}}},
		{name: "A1 too long", obj: bgpAdv(metallb.BGPAdvertisementSpec{AggregationLength: new(int32(33)), AggregationLengthV6: new(int32(129))}),
			want: []problem{
				{"spec.aggregationLength", "Invalid value: 33: invalid aggregation length 33: must be 1 to 32"},
				{"spec.aggregationLengthV6", "Invalid value: 129: invalid aggregation length 129: must be 0 to 128"}}},
		{name: "A1 too short", obj: bgpAdv(metallb.BGPAdvertisementSpec{AggregationLength: new(int32(0)), AggregationLengthV6: new(int32(-1))}),
			want: []problem{{"spec.aggregationLength", "0"}, {"spec.aggregationLengthV6", "-1"}}},
		{name: "A2", obj: bgpAdv(metallb.BGPAdvertisementSpec{
			AggregationLength: new(int32(24)), AggregationLengthV6: new(int32(64)), ServiceSelectors: twice[:1]}),
			want: []problem{
				{"spec.aggregationLength", "serviceSelectors and aggregationLength are mutually exclusive"},
				{"spec.aggregationLengthV6", "serviceSelectors and aggregationLength are mutually exclusive"}}},
		{name: "localPref", obj: bgpAdv(metallb.BGPAdvertisementSpec{LocalPref: 4294967296}),
			want: []problem{{"spec.localPref", "Invalid value: 4294967296"}}},
		{name: "localPref negative", obj: bgpAdv(metallb.BGPAdvertisementSpec{LocalPref: -1}),
			want: []problem{{"spec.localPref", "Invalid value: -1"}}},
		{name: "A7", obj: bgpAdv(metallb.BGPAdvertisementSpec{MED: new(int64(4294967296))}), want: []problem{{"spec.med", "Invalid value: 4294967296"}}},
		{name: "A7 negative", obj: bgpAdv(metallb.BGPAdvertisementSpec{MED: new(int64(-1))}), want: []problem{{"spec.med", "Invalid value: -1"}}},
		{name: "A7 bounds", obj: bgpAdv(metallb.BGPAdvertisementSpec{MED: new(int64(4294967295)), ASPathPrepend: 10})},
		{name: "A8", obj: bgpAdv(metallb.BGPAdvertisementSpec{ASPathPrepend: 11}),
			want: []problem{{"spec.asPathPrepend", "invalid AS path prepend 11: must be 0 to 10"}}},
		{name: "A8 negative", obj: bgpAdv(metallb.BGPAdvertisementSpec{ASPathPrepend: -1}), want: []problem{{"spec.asPathPrepend", "Invalid value: -1"}}},
		{name: "A3", obj: bgpAdv(metallb.BGPAdvertisementSpec{
			Communities: []string{"1:1", "1:1"}, IPAddressPools: []string{"web", "web"}, Peers: []string{"tor", "tor"},
			IPAddressPoolSelectors: twice, NodeSelectors: twice, ServiceSelectors: twice}),
			want: []problem{
				{"spec.communities[1]", `duplicate definition of community "1:1"`},
				{"spec.ipAddressPools[1]", `duplicate definition of ipAddressPools "web"`},
				{"spec.ipAddressPoolSelectors[1]", "duplicate definition of ipAddressPoolSelectors"},
				{"spec.nodeSelectors[1]", "duplicate definition of nodeSelectors"},
				{"spec.peers[1]", `duplicate definition of peers "tor"`},
				{"spec.serviceSelectors[1]", "duplicate definition of serviceSelectors"}},
			warnings: []string{
				`spec.ipAddressPoolSelectors[0]: "a=b" selects no IPAddressPool (yet)`,
				`spec.ipAddressPoolSelectors[1]: "a=b" selects no IPAddressPool (yet)`}},
		{name: "A4 and A5", obj: bgpAdv(metallb.BGPAdvertisementSpec{Communities: []string{
			"65536:1", "1:x", "small:1:2:3", "large:1:4294967296:3", "1:2:3", "", "1:+2"}}),
			want: []problem{
				{"spec.communities[0]", `Invalid value: "65536:1": invalid community value: invalid section "65536"`},
				{"spec.communities[1]", `invalid community value: invalid section "x"`},
				{"spec.communities[2]", "expected community to be of format large"},
				{"spec.communities[3]", `invalid section "4294967296"`},
				{"spec.communities[4]", "invalid community format"},
				{"spec.communities[5]", "invalid community format"},
				{"spec.communities[6]", `invalid section "+2"`}}},
		{name: "references to nothing", obj: bgpAdv(metallb.BGPAdvertisementSpec{
			IPAddressPools: []string{"web", "later"}, Peers: []string{"spine", "tor"}}),
			warnings: []string{
				`spec.ipAddressPools[1]: IPAddressPool "later" does not exist (yet)`,
				`spec.peers[0]: BGPPeer "spine" does not exist (yet)`}},
	})
}

func TestL2Advertisement(t *testing.T) {
	twice := []metav1.LabelSelector{labels("a", "b"), labels("a", "b")}
	run(t, nil, []verdict{
		{name: "empty", obj: l2Adv(metallb.L2AdvertisementSpec{})},
		{name: "preference of all nodes", obj: l2Adv(metallb.L2AdvertisementSpec{
			Interfaces:             []string{"eth0"},
			PreferredNodeSelectors: []metallb.PreferredNodeSelector{{Weight: 1}, {Weight: 100, Preference: labels("a", "b")}}})},
		{name: "A3", obj: l2Adv(metallb.L2AdvertisementSpec{
			IPAddressPools: []string{"a", "a"}, IPAddressPoolSelectors: twice, NodeSelectors: twice, ServiceSelectors: twice}),
			want: []problem{
				{"spec.ipAddressPools[1]", "duplicate definition of ipAddressPools"},
				{"spec.ipAddressPoolSelectors[1]", "duplicate definition of ipAddressPoolSelectors"},
				{"spec.nodeSelectors[1]", "duplicate definition of nodeSelectors"},
				{"spec.serviceSelectors[1]", "duplicate definition of serviceSelectors"}},
			warnings: []string{
				`spec.ipAddressPools[0]: IPAddressPool "a" does not exist (yet)`,
				`spec.ipAddressPools[1]: IPAddressPool "a" does not exist (yet)`,
				`spec.ipAddressPoolSelectors[0]: "a=b" selects no IPAddressPool (yet)`,
				`spec.ipAddressPoolSelectors[1]: "a=b" selects no IPAddressPool (yet)`}},
		{name: "L1", obj: l2Adv(metallb.L2AdvertisementSpec{PreferredNodeSelectors: []metallb.PreferredNodeSelector{
			{Weight: 0}, {Weight: 101, Preference: expression("a", "Near")}}}),
			want: []problem{
				{"spec.preferredNodeSelectors[0].weight", "Invalid value: 0: invalid weight 0: must be 1 to 100"},
				{"spec.preferredNodeSelectors[1].weight", "Invalid value: 101"},
				{"spec.preferredNodeSelectors[1].preference.matchExpressions[0].operator", "Near"}}},
	})
}
