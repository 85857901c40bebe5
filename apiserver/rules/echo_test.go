package rules

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

func profileNamed(name string, echo bool) *metallb.BFDProfile {
	return &metallb.BFDProfile{ObjectMeta: named(name), Spec: metallb.BFDProfileSpec{EchoMode: &echo}}
}

func withBFD(profile string) func(*metallb.BGPPeerSpec) {
	return func(s *metallb.BGPPeerSpec) { s.BFDProfile = profile }
}

// TestEchoModeAndIPv6 tries X10 with each of the four objects as the last that is written.
func TestEchoModeAndIPv6(t *testing.T) {
	dual := labelled(newPool("dual", "10.0.0.0/24", "2001:db8::/64"), "zone", "x")
	adv := func(change ...func(*metallb.BGPAdvertisementSpec)) *metallb.BGPAdvertisement {
		return advNamed("adv", 32, 0, change...)
	}
	tests := []struct {
		name    string
		pool    *metallb.IPAddressPool
		adv     *metallb.BGPAdvertisement
		peer    *metallb.BGPPeer
		profile *metallb.BFDProfile
		nodes   []Node
		bad     bool
	}{
		{"all pools to all peers", dual, adv(), peerNamed("tor", "10.9.0.1", withBFD("fast")), profileNamed("fast", true), nil, true},
		{"by names", dual, adv(forPools("dual"), toPeers("tor")), peerNamed("tor", "10.9.0.1", withBFD("fast")), profileNamed("fast", true), nil, true},
		{"by label", dual, adv(forLabels("zone", "x")), peerNamed("tor", "10.9.0.1", withBFD("fast")), profileNamed("fast", true), nil, true},
		{"no echo", dual, adv(), peerNamed("tor", "10.9.0.1", withBFD("fast")), profileNamed("fast", false), nil, false},
		{"echo unset", dual, adv(), peerNamed("tor", "10.9.0.1", withBFD("fast")), &metallb.BFDProfile{ObjectMeta: named("fast")}, nil, false},
		{"another profile", dual, adv(), peerNamed("tor", "10.9.0.1", withBFD("slow")), profileNamed("fast", true), nil, false},
		{"no profile", dual, adv(), peerNamed("tor", "10.9.0.1"), profileNamed("fast", true), nil, false},
		{"IPv4 alone", newPool("dual", "10.0.0.0/24"), adv(), peerNamed("tor", "10.9.0.1", withBFD("fast")), profileNamed("fast", true), nil, false},
		{"another pool", dual, adv(forPools("other")), peerNamed("tor", "10.9.0.1", withBFD("fast")), profileNamed("fast", true), nil, false},
		{"another label", dual, adv(forLabels("zone", "y")), peerNamed("tor", "10.9.0.1", withBFD("fast")), profileNamed("fast", true), nil, false},
		{"another peer", dual, adv(toPeers("other")), peerNamed("tor", "10.9.0.1", withBFD("fast")), profileNamed("fast", true), nil, false},
		{"serviceSelectors", dual, adv(forServices), peerNamed("tor", "10.9.0.1", withBFD("fast")), profileNamed("fast", true), nil, true},
		{"disjoint nodes", dual, adv(fromNodes("rack", "a")), peerNamed("tor", "10.9.0.1", withBFD("fast"), onNodes("rack", "b")), profileNamed("fast", true), racks, false},
		{"a node of both", dual, adv(fromNodes("edge", "yes")), peerNamed("tor", "10.9.0.1", withBFD("fast"), onNodes("rack", "b")), profileNamed("fast", true), racks, true},
		{"no node known", dual, adv(fromNodes("rack", "a")), peerNamed("tor", "10.9.0.1", withBFD("fast"), onNodes("rack", "b")), profileNamed("fast", true), nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for last, field := range map[runtime.Object]string{tt.pool: "spec.addresses[1]", tt.adv: "spec.ipAddressPool", tt.peer: "spec.bfdProfile", tt.profile: "spec.echoMode"} {
				c := &metallb.Configuration{}
				for _, o := range []runtime.Object{tt.pool, tt.adv, tt.peer, tt.profile} {
					if o != last {
						add(c, o)
					}
				}
				errs, _ := Check(c, Change{Resource: "tested", New: last, Nodes: tt.nodes})
				if (len(errs) > 0) != tt.bad {
					t.Errorf("%T last: %v, want a conflict: %v", last, errs, tt.bad)
				}
				for _, e := range errs {
					if !strings.HasPrefix(e.Field, field) || !strings.Contains(e.Detail, "echo mode does not work with IPv6") {
						t.Errorf("%T last: %v, want an error of %s", last, e, field)
					}
				}
			}
		})
	}
}

// add puts an object into a configuration.
func add(c *metallb.Configuration, o runtime.Object) {
	switch o := o.(type) {
	case *metallb.IPAddressPool:
		c.IPAddressPools = append(c.IPAddressPools, o)
	case *metallb.AddressPool:
		c.AddressPools = append(c.AddressPools, o)
	case *metallb.L2Advertisement:
		c.L2Advertisements = append(c.L2Advertisements, o)
	case *metallb.BGPAdvertisement:
		c.BGPAdvertisements = append(c.BGPAdvertisements, o)
	case *metallb.BGPPeer:
		c.BGPPeers = append(c.BGPPeers, o)
	case *metallb.BFDProfile:
		c.BFDProfiles = append(c.BFDProfiles, o)
	case *metallb.Community:
		c.Communities = append(c.Communities, o)
	}
}

func TestEchoModeInWordsAndEdits(t *testing.T) {
	six, four := newPool("six", "2001:db8::/64"), newPool("four", "10.0.0.0/24")
	echoing, plain := profileNamed("fast", true), profileNamed("fast", false)
	peer := peerNamed("tor", "10.9.0.1", withBFD("fast"))
	all, named4 := advNamed("adv", 32, 0), advNamed("adv", 32, 0, forPools("four"))
	whole := func(objects ...runtime.Object) *metallb.Configuration {
		c := &metallb.Configuration{}
		for _, o := range objects {
			add(c, o)
		}
		return c
	}
	run(t, whole(six, all, peer, plain), []verdict{
		{name: "echo turned on", old: plain, obj: echoing, want: []problem{{"spec.echoMode", `spec.echoMode: Invalid value: true: echo mode does not work with IPv6: ` +
			`BGPPeer "tor" uses this profile, and BGPAdvertisement "adv" advertises IPAddressPool "six" (spec.addresses[0]: 2001:db8::/64) to it`}},
			warnings: nil},
	})
	run(t, whole(four, all, peer, echoing), []verdict{
		{name: "IPv6 added", old: four, obj: newPool("four", "10.0.0.0/24", "2001:db8::/64"), want: []problem{{"spec.addresses[1]",
			`spec.addresses[1]: Invalid value: "2001:db8::/64": echo mode does not work with IPv6: BGPAdvertisement "adv" would advertise it to BGPPeer "tor", whose BFDProfile "fast" has echoMode true`}}},
	})
	run(t, whole(four, six, named4, peer, echoing), []verdict{
		{name: "pool named", old: named4, obj: advNamed("adv", 32, 0, forPools("four", "six")), want: []problem{{"spec.ipAddressPools[1]",
			`spec.ipAddressPools[1]: Invalid value: "six": echo mode does not work with IPv6: would advertise IPAddressPool "six" (spec.addresses[0]: 2001:db8::/64) to BGPPeer "tor", whose BFDProfile "fast" has echoMode true`}}},
		{name: "all pools", old: named4, obj: all, want: []problem{{"spec.ipAddressPools", "it advertises all pools"}}},
		{name: "communities", old: named4, obj: advNamed("adv", 32, 0, forPools("four"), func(s *metallb.BGPAdvertisementSpec) { s.Communities = []string{"1:1"} })},
	})
	byLabel := advNamed("adv", 32, 0, forLabels("zone", "x"))
	run(t, whole(six, byLabel, peer, echoing), []verdict{
		{name: "label edit", old: six, obj: labelled(six, "zone", "x"), want: []problem{{"metadata.labels", `metadata.labels: Invalid value: "zone=x": echo mode`}}},
		{name: "another label", old: six, obj: labelled(six, "zone", "y")},
		{name: "selector edit", old: byLabel, obj: advNamed("adv", 32, 0, func(s *metallb.BGPAdvertisementSpec) {
			s.IPAddressPoolSelectors = []metav1.LabelSelector{labels("zone", "x"), expression("zone", metav1.LabelSelectorOpDoesNotExist)}
		}), want: []problem{{"spec.ipAddressPoolSelectors[1]", `Invalid value: "!zone"`}},
			warnings: []string{`spec.ipAddressPoolSelectors[0]: "zone=x" selects no IPAddressPool (yet)`}},
	})
	toOther := advNamed("adv", 32, 0, toPeers("other"))
	run(t, whole(six, toOther, peer, echoing), []verdict{
		{name: "peers edited", old: toOther, obj: advNamed("adv", 32, 0, toPeers("other", "tor")),
			want: []problem{{"spec.ipAddressPools", "echo mode"}}, warnings: []string{`spec.peers[0]: BGPPeer "other" does not exist (yet)`}},
	})
	withoutBFD := peerNamed("tor", "10.9.0.1")
	run(t, whole(six, all, withoutBFD, echoing), []verdict{
		{name: "profile named", old: withoutBFD, obj: peer, want: []problem{{"spec.bfdProfile", `spec.bfdProfile: Invalid value: "fast": echo mode does not work with IPv6: ` +
			`BFDProfile "fast" has echoMode true, and BGPAdvertisement "adv" advertises IPAddressPool "six" (spec.addresses[0]: 2001:db8::/64) to this peer`}}},
	})
	// What Nodes brought together since is no reason to refuse what leaves it as it is.
	slower := peer.DeepCopy()
	slower.Spec.HoldTime = duration("90s")
	faster := echoing.DeepCopy()
	faster.Spec.ReceiveInterval = new(int64(50))
	louder := all.DeepCopy()
	louder.Spec.LocalPref = 100
	run(t, whole(six, all, peer, echoing), []verdict{
		{name: "another hold time", old: peer, obj: slower},
		{name: "another interval", old: echoing, obj: faster},
		{name: "another preference", old: all, obj: louder},
		{name: "more IPv6", old: six, obj: newPool("six", "2001:db8::/64", "2001:db8:1::/64")},
	})
}
