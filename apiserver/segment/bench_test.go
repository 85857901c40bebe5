package segment

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// fleet are nodes with four links each, in networks of 250, of which each listens to four others and two witnesses.
func fleet(size int) []Node {
	all := make([]Node, size)
	for i := range all {
		network, host := i/250, i%250+1
		n := Node{Name: fmt.Sprintf("node%05d", i), Connected: true, Revision: 1, Since: start}
		for k := range 4 {
			n.Links = append(n.Links, &ingotv1.LinkReport{Name: fmt.Sprintf("eth%d", k), Mac: fmt.Sprintf("52:54:%02x:%02x:%02x:%02x", k, network, host, k), Up: true, Enabled: true,
				Carrier: true, Addresses: []string{fmt.Sprintf("10.%d.%d.%d/24", k, network, host), fmt.Sprintf("2001:db8:%d:%d::%d/64", k, network, host)}})
		}
		s := &ingotv1.SegmentReport{Interface: "eth1"}
		for d := 1; d <= 4; d++ {
			peer := (host-1+d)%250 + 1
			s.Peers = append(s.Peers, &ingotv1.SegmentPeerReport{Node: fmt.Sprintf("node%05d", network*250+peer-1), Address: fmt.Sprintf("10.1.%d.%d", network, peer),
				Answer: ingotv1.Answer_ANSWER_ANSWERS, Heard: true, BfdState: "Up"})
		}
		for w := range 2 {
			s.Witnesses = append(s.Witnesses, &ingotv1.WitnessReport{Address: fmt.Sprintf("10.1.%d.%d", network, 253+w), Answer: ingotv1.Answer_ANSWER_ANSWERS,
				Source: ingotv1.WitnessReport_SOURCE_NEXT_HOP})
		}
		n.Segments = []*ingotv1.SegmentReport{s}
		all[i] = n
	}
	return all
}

// deafen makes all that a node hears silent.
func deafen(n *Node) {
	old := n.Segments[0]
	s := &ingotv1.SegmentReport{Interface: old.GetInterface()}
	for _, p := range old.GetPeers() {
		s.Peers = append(s.Peers, &ingotv1.SegmentPeerReport{Node: p.GetNode(), Address: p.GetAddress(), Answer: ingotv1.Answer_ANSWER_SILENT, BfdState: "Down"})
	}
	for _, w := range old.GetWitnesses() {
		s.Witnesses = append(s.Witnesses, &ingotv1.WitnessReport{Address: w.GetAddress(), Answer: ingotv1.Answer_ANSWER_SILENT, Source: w.GetSource()})
	}
	n.Segments = []*ingotv1.SegmentReport{s}
	n.Revision++
}

// BenchmarkJudge judges a fleet: for the first time, when a node has joined or left, when nothing changed, when one node hears nobody any more, and when a
// link of one goes down. The figures of 5,000 nodes are to be compared with those of 50.
func BenchmarkJudge(b *testing.B) {
	for _, size := range []int{50, 500, 5000} {
		b.Run(fmt.Sprintf("first/%d", size), func(b *testing.B) {
			nodes := fleet(size)
			for b.Loop() {
				var m Memory
				m.Judge(start, nodes)
			}
		})
		b.Run(fmt.Sprintf("joined/%d", size), func(b *testing.B) {
			nodes := fleet(size + 1)
			var m Memory
			for i := 0; b.Loop(); i++ {
				m.Judge(start, nodes[:size+i%2])
			}
		})
		for _, change := range []struct {
			name string
			make func(n *Node, i int)
		}{
			{"nothing", func(*Node, int) {}},
			{"deaf", func(n *Node, i int) {
				if i == 0 {
					deafen(n)
				}
				n.Revision++
			}},
			{"link", func(n *Node, i int) {
				l := n.Links[0]
				n.Links = append([]*ingotv1.LinkReport{{Name: l.GetName(), Mac: l.GetMac(), Enabled: true, Up: i%2 == 0, Addresses: l.GetAddresses()}}, n.Links[1:]...)
				n.Revision++
			}},
		} {
			b.Run(fmt.Sprintf("%s/%d", change.name, size), func(b *testing.B) {
				nodes := fleet(size)
				var m Memory
				m.Judge(start, nodes)
				now, i := start.Add(time.Minute), 0
				for b.Loop() {
					change.make(&nodes[size/2], i)
					now, i = now.Add(time.Millisecond), i+1
					m.Judge(now, nodes)
				}
			})
		}
	}
}

// BenchmarkOf asks for the verdict on one node and address.
func BenchmarkOf(b *testing.B) {
	for _, size := range []int{50, 5000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			nodes := fleet(size)
			var m Memory
			v, _ := m.Judge(start, nodes)
			a := netip.MustParseAddr("10.1.0.200")
			b.ReportAllocs()
			for b.Loop() {
				v.Of("node00010", a, nil)
			}
		})
	}
}
