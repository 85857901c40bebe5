package l2

import (
	"fmt"
	"strings"
	"testing"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/test/netns"
)

const witness = "10.88.0.2" // the client

// hearers are three nodes on a LAN, of which the first two watch each other by BFD, and all ask each other and the client.
type hearers struct {
	lan
	processes []*netns.Process
}

func newHearers(t *testing.T) hearers {
	t.Helper()
	h := hearers{lan: newLAN(t, 3)}
	for i, n := range h.nodes {
		p := n.Start(t)
		p.Apply(t, h.segment(t, i, "eth0"))
		h.processes = append(h.processes, p)
	}
	for i := range h.nodes {
		h.eventually(t, i, "eth0", h.well(t, i))
	}
	return h
}

// segment is what node i is told to listen to.
func (h hearers) segment(t *testing.T, i int, name string) *ingotv1.Item {
	s := &ingotv1.Layer2Segment{Interface: name, AskIntervalMs: 200, Witnesses: []string{witness}}
	for j, n := range h.nodes {
		if j == i {
			continue
		}
		p := &ingotv1.SegmentPeer{
			Node: fmt.Sprintf("node%d", j+1), LocalAddress: fmt.Sprintf("10.88.0.%d", 11+i), RemoteAddress: fmt.Sprintf("10.88.0.%d", 11+j), Mac: mac(t, n, "eth0"),
		}
		if i+j == 1 {
			p.Bfd = &ingotv1.BfdParameters{ReceiveIntervalMs: 60, TransmitIntervalMs: 60, DetectMultiplier: 10}
		}
		s.Peers = append(s.Peers, p)
	}
	return &ingotv1.Item{Id: "layer2-segment/" + name, Digest: "d", Content: &ingotv1.Item_Layer2Segment{Layer2Segment: s}}
}

// well is what node i reports while everything works.
func (h hearers) well(t *testing.T, i int) string {
	return [...]string{
		"node2 ANSWERS heard Up, node3 ANSWERS heard, 10.88.0.2 ANSWERS",
		"node1 ANSWERS heard Up, node3 ANSWERS heard, 10.88.0.2 ANSWERS",
		"node1 ANSWERS heard, node2 ANSWERS heard, 10.88.0.2 ANSWERS",
	}[i]
}

// hears is what node i reports of a link, in words.
func (h hearers) hears(i int, name string) string {
	var words []string
	for _, s := range h.processes[i].Report().GetSegments() {
		if s.GetInterface() != name {
			continue
		}
		for _, p := range s.GetPeers() {
			w := p.GetNode() + " " + strings.TrimPrefix(p.GetAnswer().String(), "ANSWER_")
			if p.GetHeard() {
				w += " heard"
			}
			if p.GetBfdState() != "" {
				w += " " + p.GetBfdState()
			}
			words = append(words, w)
		}
		for _, w := range s.GetWitnesses() {
			words = append(words, w.GetAddress()+" "+strings.TrimPrefix(w.GetAnswer().String(), "ANSWER_"))
		}
	}
	return strings.Join(words, ", ")
}

func (h hearers) eventually(t *testing.T, i int, name, want string) {
	t.Helper()
	netns.Eventually(t, patience, func() error {
		if got := h.hears(i, name); got != want {
			return fmt.Errorf("node%d hears %q, want %q", i+1, got, want)
		}
		return nil
	})
}

var withoutBFD = strings.NewReplacer(" Up", "", " Down", "", " Init", "")

// drop has part of what arrives at eth0 thrown away, in percent.
func drop(t *testing.T, n netns.Namespace, percent int) {
	t.Helper()
	which := fmt.Sprintf("numgen random mod 100 < %d ", percent)
	if percent == 100 {
		which = ""
	}
	n.Run(t, "nft", "add table netdev test; add chain netdev test in { type filter hook ingress device eth0 priority 0; }; "+
		"add rule netdev test in "+which+"drop")
}

func TestACutCableIsHeardAtBothEnds(t *testing.T) {
	t.Parallel()
	h := newHearers(t)

	h.sw.Run(t, "ip", "link", "set", "node1", "nomaster")

	h.eventually(t, 0, "eth0", "node2 SILENT Down, node3 SILENT, 10.88.0.2 SILENT")
	h.eventually(t, 1, "eth0", "node1 SILENT Down, node3 ANSWERS heard, 10.88.0.2 ANSWERS")
	h.eventually(t, 2, "eth0", "node1 SILENT, node2 ANSWERS heard, 10.88.0.2 ANSWERS")

	h.sw.Run(t, "ip", "link", "set", "node1", "master", "br0")
	for i := range h.nodes {
		h.eventually(t, i, "eth0", h.well(t, i))
	}
}

func TestALinkThatWorksOneWayIsKnownByWhatArrives(t *testing.T) {
	t.Parallel()
	h := newHearers(t)

	drop(t, h.nodes[0], 100)

	h.eventually(t, 0, "eth0", "node2 SILENT Down, node3 SILENT, 10.88.0.2 SILENT")
	h.eventually(t, 1, "eth0", "node1 SILENT heard Init, node3 ANSWERS heard, 10.88.0.2 ANSWERS")
	h.eventually(t, 2, "eth0", "node1 SILENT heard, node2 ANSWERS heard, 10.88.0.2 ANSWERS")

	h.nodes[0].Run(t, "nft", "flush ruleset")
	for i := range h.nodes {
		h.eventually(t, i, "eth0", h.well(t, i))
	}
}

func TestAWitnessThatDoesNotAnswerIsSilent(t *testing.T) {
	t.Parallel()
	h := newHearers(t)

	h.client.Run(t, "sysctl", "-qw", "net.ipv4.conf.eth0.arp_ignore=8")

	h.eventually(t, 0, "eth0", "node2 ANSWERS heard Up, node3 ANSWERS heard, 10.88.0.2 SILENT")
	h.client.Run(t, "sysctl", "-qw", "net.ipv4.conf.eth0.arp_ignore=0")
	h.eventually(t, 0, "eth0", h.well(t, 0))
}

// TestLostFramesAreNotSilence leaves out BFD, which a machine without time for anything may well end; its own tests lose packets in
// virtual time.
func TestLostFramesAreNotSilence(t *testing.T) {
	t.Parallel()
	h := newHearers(t)
	for _, n := range append(h.nodes, h.client) {
		drop(t, n, 20)
	}
	for range 100 {
		<-time.After(50 * time.Millisecond)
		for i := range h.nodes {
			if got := h.hears(i, "eth0"); withoutBFD.Replace(got) != withoutBFD.Replace(h.well(t, i)) {
				t.Fatalf("with a fifth of the frames lost, node%d hears %q", i+1, got)
			}
		}
	}
}

func TestANewHardwareAddressIsLearnedByOthers(t *testing.T) {
	t.Parallel()
	h := newHearers(t)
	h.nodes[0].Run(t, "ip", "link", "set", "eth0", "address", "02:00:00:00:00:77")

	netns.Eventually(t, patience, func() error {
		p := h.processes[1].Report().GetSegments()[0].GetPeers()[0]
		if p.GetMac() != "02:00:00:00:00:77" {
			return fmt.Errorf("node1 is heard from %s", p.GetMac())
		}
		return nil
	})
	for i := range h.nodes {
		h.eventually(t, i, "eth0", h.well(t, i))
	}
}

func TestARenamedLinkIsListenedOnByItsNewName(t *testing.T) {
	t.Parallel()
	h := newHearers(t)

	h.nodes[0].Run(t, "sh", "-c", "ip link set eth0 down && ip link set eth0 name lan0 && ip link set lan0 up")

	netns.Eventually(t, patience, func() error {
		for _, l := range h.processes[0].Report().GetLinks() {
			if l.GetName() == "lan0" && l.GetUp() {
				return nil
			}
		}
		return fmt.Errorf("links: %v", h.processes[0].Report().GetLinks())
	})
	h.eventually(t, 0, "eth0", "node2 UNSPECIFIED Down, node3 UNSPECIFIED, 10.88.0.2 UNSPECIFIED")
	h.processes[0].Apply(t, &ingotv1.Item{Id: "layer2-segment/lan0", Digest: "d", Content: &ingotv1.Item_Layer2Segment{Layer2Segment: &ingotv1.Layer2Segment{
		Interface: "lan0", AskIntervalMs: 200, Witnesses: []string{witness}, Peers: []*ingotv1.SegmentPeer{{
			Node: "node2", LocalAddress: "10.88.0.11", RemoteAddress: "10.88.0.12", Mac: mac(t, h.nodes[1], "eth0"),
			Bfd: &ingotv1.BfdParameters{ReceiveIntervalMs: 60, TransmitIntervalMs: 60, DetectMultiplier: 10},
		}},
	}}})
	h.eventually(t, 0, "lan0", "node2 ANSWERS heard Up, 10.88.0.2 ANSWERS")
	h.eventually(t, 1, "eth0", h.well(t, 1))
}
