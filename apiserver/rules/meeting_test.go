package rules

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

func peerNamed(name, address string, change ...func(*metallb.BGPPeerSpec)) *metallb.BGPPeer {
	p := newPeer(func(s *metallb.BGPPeerSpec) { s.Address = address })
	p.Name = name
	for _, c := range change {
		c(&p.Spec)
	}
	return p
}

func withRouterID(id string) func(*metallb.BGPPeerSpec) {
	return func(s *metallb.BGPPeerSpec) { s.RouterID = id }
}

func withASN(asn int64) func(*metallb.BGPPeerSpec) {
	return func(s *metallb.BGPPeerSpec) { s.MyASN = asn }
}

func inVRF(vrf string) func(*metallb.BGPPeerSpec) {
	return func(s *metallb.BGPPeerSpec) { s.VRFName = vrf }
}

func onNodes(kv ...string) func(*metallb.BGPPeerSpec) {
	return func(s *metallb.BGPPeerSpec) { s.NodeSelectors = []metav1.LabelSelector{labels(kv...)} }
}

func onDevice(name string) func(*metallb.BGPPeerSpec) {
	return func(s *metallb.BGPPeerSpec) { s.Address, s.Interface = "", name }
}

func onPort(port int32) func(*metallb.BGPPeerSpec) {
	return func(s *metallb.BGPPeerSpec) { s.Port = port }
}

// TestPeersThatShareANode tries X5 to X7 in both orders, on shared, separate and unknown nodes.
func TestPeersThatShareANode(t *testing.T) {
	tests := []struct {
		name string
		a, b *metallb.BGPPeer
		want []string // fields
	}{
		{"nothing in common", peerNamed("a", "10.0.0.1"), peerNamed("b", "10.0.0.2"), nil},
		{"X5", peerNamed("a", "10.0.0.1", withRouterID("1.1.1.1")), peerNamed("b", "10.0.0.2", withRouterID("1.1.1.2")), []string{"spec.routerID"}},
		{"X5 one is unset", peerNamed("a", "10.0.0.1", withRouterID("1.1.1.1")), peerNamed("b", "10.0.0.2"), []string{"spec.routerID"}},
		{"X5 in another VRF", peerNamed("a", "10.0.0.1", withRouterID("1.1.1.1")), peerNamed("b", "10.0.0.2", inVRF("red")), []string{"spec.routerID"}},
		{"X5 the same", peerNamed("a", "10.0.0.1", withRouterID("1.1.1.1")), peerNamed("b", "10.0.0.2", withRouterID("1.1.1.1")), nil},
		{"X6", peerNamed("a", "10.0.0.1"), peerNamed("b", "10.0.0.1"), []string{"spec.peerAddress"}},
		{"X6 on another port", peerNamed("a", "10.0.0.1"), peerNamed("b", "10.0.0.1", onPort(1179)), []string{"spec.peerAddress"}},
		{"X6 in another VRF", peerNamed("a", "10.0.0.1"), peerNamed("b", "10.0.0.1", inVRF("red")), nil},
		{"X6 written otherwise", peerNamed("a", "2001:db8::1"), peerNamed("b", "2001:DB8:0::1"), []string{"spec.peerAddress"}},
		{"X6 IPv4 in disguise", peerNamed("a", "10.0.0.1"), peerNamed("b", "::ffff:10.0.0.1"), []string{"spec.peerAddress"}},
		{"X6 interface", peerNamed("a", "", onDevice("eth0")), peerNamed("b", "", onDevice("eth0")), []string{"spec.interface"}},
		{"X6 other interface", peerNamed("a", "", onDevice("eth0")), peerNamed("b", "", onDevice("eth1")), nil},
		{"X6 interface and address", peerNamed("a", "", onDevice("eth0")), peerNamed("b", "10.0.0.1"), nil},
		{"X7", peerNamed("a", "10.0.0.1", withASN(64600)), peerNamed("b", "10.0.0.2"), []string{"spec.myASN"}},
		{"X7 in another VRF", peerNamed("a", "10.0.0.1", withASN(64600)), peerNamed("b", "10.0.0.2", inVRF("red")), nil},
		{"X7 in the same VRF", peerNamed("a", "10.0.0.1", withASN(64600), inVRF("red")), peerNamed("b", "10.0.0.2", inVRF("red")), []string{"spec.myASN"}},
		{"all of them", peerNamed("a", "10.0.0.1", withASN(64600), withRouterID("1.1.1.1")), peerNamed("b", "10.0.0.1"),
			[]string{"spec.routerID", "spec.peerAddress", "spec.myASN"}},
	}
	places := []struct {
		name  string
		a, b  func(*metallb.BGPPeerSpec)
		nodes []Node
		meet  bool
	}{
		{"everywhere", nil, nil, racks, true},
		{"one node in common", onNodes("rack", "b"), onNodes("edge", "yes"), racks, true},
		{"apart", onNodes("rack", "a"), onNodes("rack", "b"), racks, false},
		{"nowhere", onNodes("rack", "c"), nil, racks, false},
		{"no node known", onNodes("rack", "a"), onNodes("rack", "b"), nil, true},
	}
	for _, tt := range tests {
		for _, at := range places {
			t.Run(tt.name+" "+at.name, func(t *testing.T) {
				a, b := tt.a.DeepCopy(), tt.b.DeepCopy()
				if at.a != nil {
					at.a(&a.Spec)
				}
				if at.b != nil {
					at.b(&b.Spec)
				}
				for _, order := range [][2]*metallb.BGPPeer{{a, b}, {b, a}} {
					c := &metallb.Configuration{BGPPeers: order[:1]}
					errs, _ := Check(c, Change{Resource: "bgppeers", New: order[1], Nodes: at.nodes})
					var fields []string
					for _, e := range errs {
						fields = append(fields, e.Field)
					}
					want := tt.want
					if !at.meet {
						want = nil
					}
					if len(fields) != len(want) {
						t.Fatalf("%s after %s: %v, want %v", order[1].Name, order[0].Name, errs, want)
					}
					for i := range want {
						if fields[i] != want[i] {
							t.Errorf("%s after %s: %v, want %v", order[1].Name, order[0].Name, errs, want)
						}
					}
				}
			})
		}
	}
}

func TestMeetingsInWords(t *testing.T) {
	c := &metallb.Configuration{BGPPeers: []*metallb.BGPPeer{peerNamed("tor", "10.0.0.1")}}
	for _, tt := range []struct {
		peer  *metallb.BGPPeer
		nodes []Node
		want  string
	}{
		{peerNamed("new", "10.0.0.1"), racks, `spec.peerAddress: Invalid value: "10.0.0.1": conflicts with BGPPeer "tor", which has peerAddress "10.0.0.1": ` +
			`peers that share a node must differ in address or vrf (both are for Node node1)`},
		{peerNamed("new", "10.0.0.2", withRouterID("1.1.1.1")), nil, `spec.routerID: Invalid value: "1.1.1.1": conflicts with BGPPeer "tor", which has routerID unset: ` +
			`peers that share a node must have the same routerID (no Node is known yet, so they are taken to share one)`},
		{peerNamed("new", "10.0.0.2", withASN(1)), racks, `spec.myASN: Invalid value: 1: conflicts with BGPPeer "tor", which has myASN 64512: ` +
			`peers that share a node and a vrf must have the same myASN (both are for Node node1)`},
	} {
		errs, _ := Check(c, Change{Resource: "bgppeers", New: tt.peer, Nodes: tt.nodes})
		if len(errs) != 1 || errs[0].Error() != tt.want {
			t.Errorf("got  %v\nwant %s", errs, tt.want)
		}
	}
}

// TestPeersThatMetLaterCanBeEdited: what Nodes did is not the fault of an edit that leaves it as it is.
func TestPeersThatMetLaterCanBeEdited(t *testing.T) {
	a, b := peerNamed("a", "10.0.0.1", onNodes("rack", "a")), peerNamed("b", "10.0.0.1", onNodes("edge", "yes"))
	met := []Node{{Name: "node1", Labels: map[string]string{"rack": "a", "edge": "yes"}}}
	c := &metallb.Configuration{BGPPeers: []*metallb.BGPPeer{a, b}}
	slower, moved := b.DeepCopy(), b.DeepCopy()
	slower.Spec.HoldTime = duration("90s")
	onNodes("rack", "a")(&moved.Spec)

	if errs, _ := Check(c, Change{Resource: "bgppeers", Old: b, New: slower, Nodes: met}); len(errs) > 0 {
		t.Errorf("another hold time: %v", errs)
	}
	if errs, _ := Check(c, Change{Resource: "bgppeers", Old: b, New: moved, Nodes: met}); len(errs) != 1 {
		t.Errorf("to the other's nodes: %v, want one error", errs)
	}
}
