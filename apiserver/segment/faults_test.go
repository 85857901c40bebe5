package segment

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// TestFaults has each fault of a segment, and whom it makes unfit. Reasons are those after a few seconds.
func TestFaults(t *testing.T) {
	tests := []struct {
		name             string
		nodes, witnesses int
		fault            func(*world)
		want             string // reasons by node
		message          string // part of that of the first node
	}{
		{"all well, two nodes", 2, 0, func(*world) {}, "- -", ""},
		{"all well, five nodes", 5, 2, func(*world) {}, "- - - - -", ""},
		{"link down", 3, 0, func(w *world) { w.node(1).down = true }, "LinkDown - -", "eth1 of node1 has no carrier"},
		{"link down, two nodes", 2, 0, func(w *world) { w.node(1).down = true }, "LinkDown -", ""},
		{"link down everywhere", 3, 1, func(w *world) { w.node(1).down, w.node(2).down, w.node(3).down = true, true, true }, "LinkDown LinkDown LinkDown", ""},
		{"cut, three nodes", 3, 0, func(w *world) { cut(w.node(1)) }, "Isolated - -",
			"nobody answers node1 on eth1, while node2 and node3 are heard there: its cable, its switch port or its VLAN"},
		{"cut, three nodes and a witness", 3, 1, func(w *world) { cut(w.node(1)) }, "Isolated - -", ""},
		{"cut, five nodes", 5, 1, func(w *world) { cut(w.node(1)) }, "Isolated - - - -", ""},
		{"cut, two nodes and a witness", 2, 1, func(w *world) { cut(w.node(1)) }, "Isolated -",
			"nobody answers node1 on eth1, while 192.0.2.251 and node2 are heard there"},
		{"cut, two nodes", 2, 0, func(w *world) { cut(w.node(1)) }, "- Undecided - Undecided", ""},
		{"a majority is cut off", 5, 0, func(w *world) { cut(w.node(1), w.node(2), w.node(3)) }, "Isolated Isolated Isolated - -", ""},
		{"all are cut off", 3, 1, func(w *world) { cut(w.node(1), w.node(2), w.node(3)) }, "- Undecided - Undecided - Undecided", ""},
		{"without BFD", 3, 0, func(w *world) { w.node(1).noBFD = true; cut(w.node(1)) }, "Isolated - -", ""},
		{"nothing arrives at it", 3, 1, func(w *world) { w.node(1).deafTo = map[string]bool{"*": true} }, "OneWay - -",
			"frames of node1 arrive at node2 and node3, but it hears nobody on eth1"},
		{"nothing of it arrives", 3, 1, func(w *world) { w.node(1).muteTo = map[string]bool{"*": true} }, "OneWay - -",
			"frames of node2 and node3 arrive at node1 on eth1, but nobody hears it"},
		{"one way, five nodes", 5, 0, func(w *world) { w.node(1).muteTo = map[string]bool{"*": true} }, "OneWay - - - -", ""},
		{"one way, two nodes and a witness", 2, 1, func(w *world) { w.node(1).deafTo = map[string]bool{"*": true} }, "OneWay -", ""},
		{"one way, two nodes", 2, 0, func(w *world) { w.node(1).deafTo = map[string]bool{"*": true} }, "- Undecided - Undecided", ""},
		{"witness silent to one", 3, 1, func(w *world) { w.node(1).deafTo = map[string]bool{"192.0.2.251": true} }, "WitnessSilent - -",
			"192.0.2.251 does not answer node1 on eth1, but answers node2 and node3"},
		{"witness silent to one of two", 2, 1, func(w *world) { w.node(1).deafTo = map[string]bool{"192.0.2.251": true} }, "WitnessSilent -", ""},
		{"one of two witnesses silent to one", 5, 2, func(w *world) { w.node(1).deafTo = map[string]bool{"192.0.2.251": true} }, "WitnessSilent - - - -", ""},
		{"a witness answers one only, another all", 5, 2, func(w *world) {
			part([]*host{w.witnesses[0]}, []*host{w.node(1), w.node(2), w.node(3), w.node(4)})
		}, "- - - - -", ""},
		{"the only witness answers one only", 3, 1, func(w *world) { part([]*host{w.witnesses[0]}, []*host{w.node(1), w.node(2)}) }, "WitnessSilent WitnessSilent -", ""},
		{"witness dead", 3, 1, func(w *world) { w.witnesses[0].dead = true }, "- - -", ""},
		{"witness dead, two nodes", 2, 1, func(w *world) { w.witnesses[0].dead = true }, "- -", ""},
		{"a peer dead, its stream not yet gone", 3, 0, func(w *world) { w.node(3).dead = true }, "- - -", ""},
		{"both peers dead", 3, 0, func(w *world) { w.node(2).dead, w.node(3).dead = true, true }, "- - -", ""},
		{"both peers gone", 3, 0, func(w *world) {
			for _, h := range w.nodes[1:] {
				h.dead, h.gone = true, true
			}
		}, "- - -", ""},
		{"split, the witness on one side", 5, 1, func(w *world) {
			part([]*host{w.node(1), w.node(2)}, []*host{w.node(3), w.node(4), w.node(5), w.witnesses[0]})
		}, "WitnessSilent WitnessSilent - - -", ""},
		{"split without a witness", 4, 0, func(w *world) { part(w.nodes[:2], w.nodes[2:]) }, "- - - -", ""},
		{"nobody said anything yet", 3, 1, func(w *world) { w.node(1).unheard = true }, "- - -", ""},
		{"one MAC", 3, 1, func(w *world) { w.node(1).mac, w.node(2).mac = w.node(3).mac, w.node(3).mac }, "SharedMAC SharedMAC SharedMAC",
			"eth1 of node1 has the hardware address 52:54:00:00:00:03, and so have eth1 of node2 and node3; nodes with a cloned /etc/machine-id"},
		{"one MAC of two", 5, 0, func(w *world) { w.node(1).mac = w.node(3).mac }, "SharedMAC - SharedMAC - -", "and so has eth1 of node3;"},
		{"one MAC on networks that are each node's own", 2, 0, func(w *world) { w.node(1).mac, w.node(1).addr = w.node(2).mac, w.node(2).addr }, "- -", ""},
		{"one MAC of a virtual router", 2, 0, func(w *world) { w.node(1).mac, w.node(2).mac = "00:00:5e:00:01:07", "00:00:5e:00:01:07" }, "- -", ""},
		{"one MAC, but the other is off", 3, 0, func(w *world) {
			w.node(1).mac = w.node(2).mac
			w.node(2).dead, w.node(2).gone = true, true
		}, "- - -", ""},
		{"wrong network", 3, 1, func(w *world) { w.node(1).addr = "192.0.3.1/24" }, "NoLink - -",
			"no link of node1 has an address in the network of 192.0.2.100; node2 and node3 reach it over eth1 (192.0.2.0/24)"},
		{"wrong network, two nodes", 2, 0, func(w *world) { w.node(1).addr = "192.0.3.1/24" }, "NoLink -", "; node2 reaches it over eth1 (192.0.2.0/24)"},
		{"routed range", 3, 0, func(w *world) {
			for _, h := range w.nodes {
				h.addr = strings.Replace(h.addr, "192.0.2.", "198.51.100.", 1)
			}
		}, "- - -", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(test.nodes, test.witnesses)
			test.fault(w)
			v := w.pass(5 * time.Second)
			want := map[string]string{}
			words := strings.Fields(test.want)
			for _, h := range w.nodes {
				if words[0] == "-" && len(words) > 1 && words[1] == string(Undecided) {
					want[h.name], words = "- Undecided", words[2:]
				} else {
					want[h.name], words = words[0], words[1:]
				}
			}
			if diff := cmp.Diff(want, w.reasons(v)); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
			first := v.Of("node1", vip, nil)
			if !strings.Contains(first.Message, test.message) {
				t.Errorf("message %q does not contain %q", first.Message, test.message)
			}
			before := allFaults(w, v)
			if diff := cmp.Diff(before, allFaults(w, w.pass(time.Minute)), cmpopts.EquateApproxTime(0)); diff != "" {
				t.Errorf("faults change though nothing else does (-before +after):\n%s", diff)
			}
		})
	}
}

func allFaults(w *world, v *Verdicts) map[string][]Fault {
	all := map[string][]Fault{}
	for _, h := range w.nodes {
		all[h.name] = v.Faults(h.name)
	}
	return all
}

// TestSeed003 is the story of the seed: three machines whose bridges have one hardware address, for they were cloned, and
// one of them is in a wrong network. The gateway hears one of them.
func TestSeed003(t *testing.T) {
	w := newWorld(3, 1)
	for i, h := range w.nodes {
		h.link, h.mac, h.addr = "br-bus", "5e:7a:11:22:33:44", "192.168.222.20"+string(rune('1'+i))+"/24"
	}
	w.node(2).addr = "192.168.223.202/24"
	w.witnesses[0].name, w.witnesses[0].addr = "192.168.222.1", "192.168.222.1/24"
	gateway := w.witnesses[0]
	part([]*host{gateway}, []*host{w.node(2), w.node(3)}) // its switch learned the port of node1
	v := w.pass(time.Minute)

	address := netip.MustParseAddr("192.168.222.240")
	verdicts, faults := map[string]Verdict{}, map[string]string{}
	for _, h := range w.nodes {
		verdict := v.Of(h.name, address, nil)
		verdict.Since = time.Time{}
		verdicts[h.name] = verdict
		for _, f := range v.Faults(h.name) {
			faults[h.name] += string(f.Reason) + " (" + strings.Join(f.Nodes, " ") + ") "
		}
	}
	cloned := "; nodes with a cloned /etc/machine-id get bridges with one address"
	want := map[string]Verdict{
		"node1": {Reason: SharedMAC, Link: "br-bus", Witness: Heard,
			Message: "br-bus of node1 has the hardware address 5e:7a:11:22:33:44, and so have br-bus of node2 and node3" + cloned},
		"node2": {Reason: NoLink,
			Message: "no link of node2 has an address in the network of 192.168.222.240; node1 and node3 reach it over br-bus (192.168.222.0/24)"},
		"node3": {Reason: SharedMAC, Link: "br-bus", Witness: Silent,
			Message: "br-bus of node3 has the hardware address 5e:7a:11:22:33:44, and so have br-bus of node1 and node2" + cloned},
	}
	if diff := cmp.Diff(want, verdicts); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	if got, want := v.Of("node2", address, []string{"br-bus"}), (Verdict{Reason: NoLink, Link: "br-bus",
		Message: "br-bus of node2 has no address in the network of 192.168.222.240; node1 and node3 reach it over br-bus (192.168.222.0/24)"}); got != want {
		t.Errorf("where the bridge is named: %+v, want %+v", got, want)
	}
	wantFaults := map[string]string{"node1": "SharedMAC (node2 node3) ", "node2": "SharedMAC (node1 node3) ", "node3": "SharedMAC (node1 node2) WitnessSilent (node1) "}
	if diff := cmp.Diff(wantFaults, faults); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if got := v.SharesMAC("node2", "br-bus"); !cmp.Equal(got, []string{"node1", "node3"}) {
		t.Errorf("node2 shares its MAC with %v", got)
	}
}

// TestNamedInterfaces: a link that L2Advertisements name needs no address, for addresses are announced there all the same;
// but where other nodes' are in the network of the address, one with addresses of other networks is in a wrong one.
func TestNamedInterfaces(t *testing.T) {
	tests := []struct {
		name       string
		addrs      []string // of node1, node2 and node3
		interfaces []string
		want       string
	}{
		{"all in the network", []string{"192.0.2.1/24", "192.0.2.2/24", "192.0.2.3/24"}, []string{"eth1"}, "- - -"},
		{"one without address", []string{"169.254.0.9/16", "192.0.2.2/24", "192.0.2.3/24"}, []string{"eth1"}, "- - -"},
		{"one with addresses of the other family", []string{"2001:db8::1/64", "192.0.2.2/24", "192.0.2.3/24"}, []string{"eth1"}, "- - -"},
		{"one in a wrong network", []string{"198.51.100.1/24", "192.0.2.2/24", "192.0.2.3/24"}, []string{"eth1"}, "NoLink - -"},
		{"one in a wider network", []string{"192.0.2.1/16", "192.0.2.2/24", "192.0.2.3/24"}, []string{"eth1"}, "- - -"},
		{"none in the network", []string{"198.51.100.1/24", "198.51.100.2/24", "203.0.113.3/24"}, []string{"eth1"}, "- - -"},
		{"a name that no node has", []string{"192.0.2.1/24", "192.0.2.2/24", "192.0.2.3/24"}, []string{"eth7"}, "NoLink NoLink NoLink"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(3, 0)
			for i, a := range test.addrs {
				w.nodes[i].addr = a
			}
			v := w.pass(time.Second)
			for i, want := range strings.Fields(test.want) {
				if got := v.Of(w.nodes[i].name, vip, test.interfaces); got.Fit != (want == "-") || !got.Fit && string(got.Reason) != want {
					t.Errorf("%s: %+v, want %s", w.nodes[i].name, got, want)
				}
			}
		})
	}
}

// TestIPv6NeedsALinkLocalAddress (RFC 4291 section 2.1): neighbour discovery is spoken from it, so that without nobody would
// answer.
func TestIPv6NeedsALinkLocalAddress(t *testing.T) {
	link := func(name, mac string, addrs ...string) *ingotv1.LinkReport {
		return &ingotv1.LinkReport{Name: name, Mac: mac, Up: true, Enabled: true, Carrier: true, Addresses: addrs}
	}
	var m Memory
	v, _ := m.Judge(time.Unix(1700000000, 0), []Node{
		{Name: "node1", Connected: true, Links: []*ingotv1.LinkReport{link("eth1", "52:54:00:00:00:01", "192.0.2.1/24", "2001:db8::1/64")}},
		{Name: "node2", Connected: true, Links: []*ingotv1.LinkReport{link("eth1", "52:54:00:00:00:02", "192.0.2.2/24", "2001:db8::2/64", "fe80::2/64")}},
	})
	for _, test := range []struct {
		address    string
		interfaces []string
		fit        bool
	}{
		{"192.0.2.100", nil, true},
		{"2001:db8::100", nil, false},
		{"2001:db8::100", []string{"eth1"}, false},
		{"2001:db8:7::1", nil, false},
		{"2001:db8:7::1", []string{"eth1"}, false},
	} {
		a := netip.MustParseAddr(test.address)
		got := v.Of("node1", a, test.interfaces)
		if got.Fit != test.fit {
			t.Errorf("%s on %q: %+v", test.address, test.interfaces, got)
		}
		if want := "eth1 of node1 has no link-local IPv6 address, and cannot answer for IPv6 addresses without"; !got.Fit && (got.Reason != LinkUnfit || got.Message != want || got.Link != "eth1") {
			t.Errorf("%s on %q: %+v, want LinkUnfit: %s", test.address, test.interfaces, got, want)
		}
		if got := v.Of("node2", a, test.interfaces); !got.Fit {
			t.Errorf("%s on %q: node2, which has one: %+v", test.address, test.interfaces, got)
		}
	}
}

// TestAFaultLastsUntilSomebodyAnswers: when an address has moved, nodes are told to listen to others, and anew to the same,
// of whom nothing is known at first. That is no recovery.
func TestAFaultLastsUntilSomebodyAnswers(t *testing.T) {
	for _, fault := range []func(*world){
		func(w *world) { cut(w.node(1)) },
		func(w *world) { w.node(1).deafTo = map[string]bool{"*": true} },
		func(w *world) { part(w.nodes[:1], w.witnesses) },
	} {
		w := newWorld(4, 1)
		fault(w)
		before := w.pass(5 * time.Second).Faults("node1")
		forget := func(asked bool) *Verdicts {
			nodes := w.reports()
			for _, n := range nodes {
				for _, s := range n.Segments {
					for _, p := range s.GetPeers() {
						p.Answer, p.BfdState = ingotv1.Answer_ANSWER_UNSPECIFIED, ""
					}
					for _, x := range s.GetWitnesses() {
						x.Answer = ingotv1.Answer_ANSWER_UNSPECIFIED
					}
				}
			}
			if !asked {
				s := nodes[0].Segments[0]
				s.Peers = append(s.Peers, &ingotv1.SegmentPeerReport{Node: "node5", Address: "192.0.2.5"})
			}
			v, _ := w.memory.Judge(w.now, nodes)
			return v
		}
		for _, asked := range []bool{true, false} {
			if diff := cmp.Diff(before, forget(asked).Faults("node1")); diff != "" {
				t.Errorf("asked anew (-before +after):\n%s", diff)
			}
			w.now = w.now.Add(time.Second)
		}
		if diff := cmp.Diff(before, w.pass(5*time.Second).Faults("node1")); diff != "" {
			t.Errorf("silent as before (-before +after):\n%s", diff)
		}
	}
}

// TestNodesAreNoWitnesses: routes to the networks of pods may lead over other nodes.
func TestNodesAreNoWitnesses(t *testing.T) {
	w := newWorld(3, 0)
	w.witnesses = append(w.witnesses, &host{name: "192.0.2.2", addr: "192.0.2.2/24"})
	part(w.nodes[:1], []*host{w.node(2), w.witnesses[0]})
	v := w.pass(5 * time.Second)
	if got := v.Of("node1", vip, nil); !got.Fit {
		t.Errorf("got %+v", got)
	}
	if got := v.Witnesses("node3", "eth1"); len(got) > 0 {
		t.Errorf("witnesses %v", got)
	}
}
