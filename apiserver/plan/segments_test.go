package plan

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/testing/protocmp"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

func TestOwnersAndStandbysWatchEachOther(t *testing.T) {
	f, _ := watched(t)
	bfd := &ingotv1.BfdParameters{ReceiveIntervalMs: 60, TransmitIntervalMs: 60, DetectMultiplier: 10}
	peer := func(node, other string, bfd *ingotv1.BfdParameters) *ingotv1.SegmentPeer {
		return &ingotv1.SegmentPeer{Node: other, LocalAddress: addressOf(node).String(), RemoteAddress: addressOf(other).String(), Mac: "mac-" + other, Bfd: bfd}
	}
	out := f.settle(t)
	for node, peers := range map[string][]*ingotv1.SegmentPeer{
		"node-a": {peer("node-a", "node-b", bfd), peer("node-a", "node-c", nil)},
		"node-b": {peer("node-b", "node-a", bfd), peer("node-b", "node-c", bfd)},
		"node-c": {peer("node-c", "node-a", nil), peer("node-c", "node-b", bfd)},
	} {
		want := &ingotv1.Layer2Segment{Interface: "eth1", Peers: peers, AskIntervalMs: 200}
		diff(t, node, want, segmentOf(out, node), protocmp.Transform())
	}
}

func TestNodesWithOneMACDoNotWatchEachOtherAndAreQuiet(t *testing.T) {
	f, l := watched(t)
	l.twins = []string{"node-a", "node-b"}

	out := f.settle(t)

	for node, want := range map[string]string{"node-a": "quiet [node-c]", "node-b": "quiet [node-c]", "node-c": "[node-a node-b]"} {
		s := segmentOf(out, node)
		var names []string
		for _, p := range s.GetPeers() {
			names = append(names, p.Node)
		}
		got := fmt.Sprint(names)
		if s.GetQuiet() {
			got = "quiet " + got
		}
		diff(t, node, want, got)
	}
}

// TestWhoMayOwnAskstheRing: every node that may own an address asks four others, also those that neither own nor stand by;
// nodes that may not are left alone.
func TestWhoMayOwnAsksTheRing(t *testing.T) {
	f := newFixture()
	f.Segments = newLAN()
	var names []string
	for i := range 9 {
		f.node(fmt.Sprintf("node-%02d", i))
		if i < 8 {
			names = append(names, f.Nodes[i].Name)
		}
	}
	f.pool("p", "10.20.30.0/24")
	f.l2("l2", func(s *metallb.L2AdvertisementSpec) { s.NodeSelectors = onNodes(names...) })
	f.service("web", "10.20.30.1")
	out := f.settle(t)

	d := layer2(t, out)["10.20.30.1"]
	for i, name := range names {
		asked := map[string]bool{}
		for _, p := range segmentOf(out, name).GetPeers() {
			asked[p.Node] = true
		}
		for _, step := range []int{1, 2, 6, 7} {
			if other := names[(i+step)%8]; !asked[other] {
				t.Errorf("%s does not ask %s but %v", name, other, asked)
			}
		}
		if len(asked) != 4 && name != d {
			t.Errorf("%s asks %d", name, len(asked))
		}
	}
	if s := segmentOf(out, "node-08"); s != nil {
		t.Errorf("a node that may own nothing is told to listen: %v", s)
	}
}

func TestNodesWithoutAddressesToAnnounceListenToNobody(t *testing.T) {
	f, _ := watched(t)
	f.Services = nil
	if s := segmentOf(Plan(f.Input), "node-b"); s != nil {
		t.Errorf("got %v", s)
	}
}

func TestWitnessesThatAdvertisementsNameGoFirst(t *testing.T) {
	f, l := watched(t)
	l.witnesses = []string{"10.20.30.201", "10.20.30.202", "10.20.30.254", "10.20.30.204"}
	diff(t, "others", l.witnesses[:3], segmentOf(f.settle(t), "node-a").GetWitnesses())

	f.Config.L2Advertisements[0].Spec.ProbeAddresses = []string{"10.20.30.254", "10.20.30.253"}
	diff(t, "named", []string{"10.20.30.253", "10.20.30.254", "10.20.30.201"}, segmentOf(f.settle(t), "node-a").GetWitnesses())
}

func TestAllTogetherAskAWitnessFiftyTimesASecond(t *testing.T) {
	for _, tt := range []struct{ active, members int }{{1, 1}, {3, 3}, {10, 10}, {11, 11}, {0, 100}, {3, 50}, {50, 50}, {30, 1000}, {1000, 1000}} {
		busy, idle := pace(true, tt.active, tt.members), pace(false, tt.active, tt.members)
		rate := float64(tt.active)/busy.Seconds() + float64(tt.members-tt.active)/idle.Seconds()
		if rate > maxAsked+0.1 || rate < maxAsked/1.6 && busy > askActive {
			t.Errorf("%d of %d: every %s and %s, %.1f times a second", tt.active, tt.members, busy, idle, rate)
		}
		if busy < askActive || idle != 10*busy {
			t.Errorf("%d of %d: every %s and %s", tt.active, tt.members, busy, idle)
		}
	}
	diff(t, "few", 200*time.Millisecond, pace(true, 3, 3))
}

func TestNeighboursInTheCircle(t *testing.T) {
	for _, size := range []int{3, 64, 65, 130, 1000} {
		for _, members := range [][]int{{0}, {0, 1}, {0, 1, 2}, {0, 2}, {0, size - 1}, {1, size / 2, size - 1}, {0, 1, 2, size / 2, size - 2, size - 1}} {
			set := newBitset(size)
			for _, m := range members {
				set.add(m)
			}
			for i := range set.members() {
				got := map[int]int{}
				for j := range set.around(i, 2) {
					got[j]++
				}
				want := map[int]int{}
				for n, found := 1, 0; n < size && found < 2; n++ {
					if j := (i + n) % size; set.has(j) {
						want[j], found = 1, found+1
					}
				}
				for n, found := 1, 0; n < size && found < 2; n++ {
					if j := (i - n + size) % size; set.has(j) {
						want[j], found = 1, found+1
					}
				}
				diff(t, fmt.Sprint(size, members, i), want, got)
			}
		}
	}
}
