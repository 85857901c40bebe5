package rules

import (
	"testing"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

func TestAddressesThatNoServiceCanHave(t *testing.T) {
	var table []verdict
	for item, says := range map[string]string{
		"0.0.0.0/0":            "0.0.0.0/8",
		"0.0.0.1-0.0.0.9":      "0.0.0.0/8",
		"127.0.0.1/32":         "loopback",
		"126.0.0.0-128.0.0.0":  "loopback",
		"169.254.10.0/24":      "link-local",
		"224.0.0.0/4":          "multicast",
		"239.1.1.1-239.1.1.2":  "multicast",
		"255.255.255.255/32":   "broadcast",
		"::/0":                 "unspecified",
		"::/128":               "unspecified",
		"::1/128":              "loopback",
		"::ffff:127.0.0.1/128": "loopback",
		"::fffe:0:0/95":        "IPv4 in IPv6",
		"fe80::1-fe80::9":      "link-local",
		"ff02::/16":            "multicast",
		"fec0::-ff00::":        "multicast",
	} {
		table = append(table,
			verdict{name: item, obj: newPool("p", "10.0.0.0/24", item), want: []problem{
				{"spec.addresses[1]", `"` + item + `": no Service can have the addresses `}}},
			verdict{name: item + " why", obj: newPool("p", item), want: []problem{{"spec.addresses[0]", says}}})
	}
	for _, item := range []string{"1.0.0.0/32", "100.64.0.0/10", "192.0.2.0/24", "240.0.0.0/5", "fc00::/7", "2000::/3", "64:ff9b::/96"} {
		table = append(table, verdict{name: item, obj: newPool("p", item)})
	}
	run(t, nil, table)
}

func TestPeersAtAddressesThatNobodyHas(t *testing.T) {
	run(t, nil, []verdict{
		{name: "unspecified", obj: newPeer(func(s *metallb.BGPPeerSpec) { s.Address, s.SrcAddress = "0.0.0.0", "::" }), want: []problem{
			{"spec.peerAddress", `Invalid value: "0.0.0.0": invalid BGPPeer address: is the unspecified address`},
			{"spec.sourceAddress", `Invalid value: "::": invalid source IP: is the unspecified address`}}},
		{name: "multicast", obj: newPeer(func(s *metallb.BGPPeerSpec) { s.Address = "224.0.0.5" }), want: []problem{{"spec.peerAddress", "multicast"}}},
		{name: "broadcast", obj: newPeer(func(s *metallb.BGPPeerSpec) { s.Address = "255.255.255.255" }), want: []problem{{"spec.peerAddress", "broadcast"}}},
		{name: "loopback: a router on the node", obj: newPeer(func(s *metallb.BGPPeerSpec) { s.Address = "127.0.0.1" })},
	})
}

func TestNamesThatNoInterfaceCanHave(t *testing.T) {
	wrong := map[string]string{
		"a-name-of-16-by-": "has 16 bytes, names of interfaces have at most 15", "eth0/1": `"/"`, "eth 0": "blanks", "eth\t0": "blanks",
		"eth0:1": `":"`, "..": "is not a name",
	}
	var table []verdict
	for name, says := range wrong {
		table = append(table,
			verdict{name: "L2Advertisement " + name, obj: l2Adv(metallb.L2AdvertisementSpec{Interfaces: []string{"eth0", name}}), want: []problem{
				{"spec.interfaces[1]", "no interface can have this name: it "}}},
			verdict{name: "BGPPeer " + name, obj: newPeer(func(s *metallb.BGPPeerSpec) { s.Address, s.Interface, s.VRFName = "", name, name }), want: []problem{
				{"spec.interface", says}, {"spec.vrf", "no VRF can have this name: it "}}})
	}
	table = append(table, verdict{name: "empty", obj: l2Adv(metallb.L2AdvertisementSpec{Interfaces: []string{""}}), want: []problem{
		{"spec.interfaces[0]", "must not be empty"}}})
	for _, name := range []string{"eth0", "a-name-of-15-by", "bond0.100", "br-ü", "en@x"} {
		table = append(table, verdict{name: name, obj: l2Adv(metallb.L2AdvertisementSpec{Interfaces: []string{name}})})
	}
	run(t, nil, table)
}
