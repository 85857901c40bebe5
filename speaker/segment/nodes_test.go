package segment

import (
	"maps"
	"net/netip"
	"testing"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
	"github.com/ingot-lb/ingot/speaker/links"
)

// cannotSend has no question leave the node, or every one again.
func (n *network) cannotSend(is bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unsendable = is
}

func TestWhoCannotBeAskedIsNotSilent(t *testing.T) {
	run(t, func(n *network) {
		known := func(what string, want ingotv1.Answer) {
			t.Helper()
			if p, w := n.peerReport("node2").GetAnswer(), n.witnessReport("192.0.2.1").GetAnswer(); p != want || w != want {
				t.Errorf("%s: node2 %s, witness %s, want %s", what, p, w, want)
			}
		}
		n.cannotSend(true)
		n.Apply(item(), eth0())
		for range 100 {
			n.pass(100 * time.Millisecond)
			known("from the beginning", unknown)
		}
		if n.Witness("eth0") != None {
			t.Errorf("witnesses: %s", n.Witness("eth0"))
		}
		n.cannotSend(false)
		n.pass(2 * time.Second)
		known("asked", answers)
		n.cannotSend(true)
		n.pass(200 * time.Millisecond)
		n.cannotSend(false)
		n.pass(200 * time.Millisecond)
		known("a few were not sent", answers)
		n.cannotSend(true)
		for range 100 {
			n.pass(20 * time.Millisecond)
			if n.peerReport("node2").GetAnswer() == silent || n.Witness("eth0") == Silent {
				t.Fatal("silence, though nobody was asked")
			}
		}
		known("none is sent any more", unknown)
		n.cannotSend(false)
		n.pass(2 * time.Second)
		n.answer()
		n.pass(2 * time.Second)
		known("asked, and not answered", silent)
		n.cannotSend(true)
		n.pass(5 * time.Second)
		known("and not asked any more", unknown)
	})
}

// TestNodesAreNoWitnesses, however they come to be taken for one, and whenever that is learnt.
func TestNodesAreNoWitnesses(t *testing.T) {
	other := ownership.MAC{2, 0, 0, 0, 3, 3}
	elsewhere := &ingotv1.Layer2Segment{Interface: "eth1", Peers: []*ingotv1.SegmentPeer{
		{Node: "node4", RemoteAddress: "192.0.2.77", Mac: macs["192.0.2.51"].String()}, {Node: "node5", RemoteAddress: "fe80::5", Mac: other.String()}}}
	all := append(eth0(func(l *links.Link) {
		l.NextHops = []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("198.51.100.9")}
	}), links.Link{Index: 3, Name: "eth1", Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix("198.51.100.9/24")}})
	segments := append(item(func(s *ingotv1.Layer2Segment) {
		// One that is a peer elsewhere by its address, one by the MAC that only its answer shows, and one of this node's.
		s.Witnesses = []string{"192.0.2.77", "192.0.2.51", "198.51.100.9"}
	}), elsewhere)
	run(t, func(n *network) {
		n.Apply(segments, all)
		n.Asker("eth0", netip.MustParseAddr("192.0.2.52"), other)
		n.pass(time.Second)
		n.Asker("eth0", netip.MustParseAddr("192.0.2.50"), macs["192.0.2.50"])
		n.pass(time.Second)
		expect := func(what string, want ...string) {
			t.Helper()
			got := n.segment().GetWitnesses()
			for _, address := range want {
				if n.witnessReport(address).GetAnswer() != answers {
					t.Errorf("%s: %s is no witness that answers", what, address)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s: witnesses %v, want %v", what, got, want)
			}
		}
		expect("as ordered", "192.0.2.53", "192.0.2.50")
		// It turns out that those two are nodes as well.
		n.mu.Lock()
		before := macs
		macs = maps.Clone(macs)
		macs["192.0.2.53"], macs["192.0.2.50"] = other, other
		n.mu.Unlock()
		n.pass(15 * time.Second)
		expect("with the hardware address of a node")
		if n.Witness("eth0") != None {
			t.Errorf("witnesses: %s", n.Witness("eth0"))
		}
		n.Apply(segments, all)
		n.pass(time.Second)
		expect("after other orders")
		n.mu.Lock()
		macs = before
		n.mu.Unlock()
		n.Apply(item(func(s *ingotv1.Layer2Segment) { s.Witnesses = []string{"192.0.2.51"} }), all)
		n.pass(time.Second)
		expect("node4 is none any more", "192.0.2.51", "192.0.2.53")
	})
}
