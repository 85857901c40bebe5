package segment

import (
	"net/netip"
	"slices"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
	"github.com/ingot-lb/ingot/speaker/links"
)

// nodes are who is no witness, on whichever link: this node and those that the centre names as peers.
type nodes struct {
	addresses map[netip.Addr]bool
	macs      map[ownership.MAC]bool
}

// nodesOf collects them of what is to be listened to and the node's links. Link-local addresses are left out: they say who
// somebody is on one link alone, and many routers have the same.
func nodesOf(segments []*ingotv1.Layer2Segment, all []links.Link) nodes {
	n := nodes{addresses: map[netip.Addr]bool{}, macs: map[ownership.MAC]bool{}}
	is := func(a netip.Addr) {
		if a.IsValid() && !a.IsLinkLocalUnicast() {
			n.addresses[a] = true
		}
	}
	for _, l := range all {
		for _, p := range l.Addresses {
			is(p.Addr())
		}
	}
	for _, s := range segments {
		for _, p := range s.GetPeers() {
			is(parseAddress(p.GetRemoteAddress()))
			if mac := parseMAC(p.GetMac()); mac != (ownership.MAC{}) {
				n.macs[mac] = true
			}
		}
	}
	return n
}

// isNode says whether a hardware address on a link is that of a node: as the centre says or, of a peer of which it does not,
// as was heard. w.mu is held.
func (w *Watcher) isNode(s *segment, mac ownership.MAC) bool {
	if mac == (ownership.MAC{}) {
		return false
	}
	if w.nodes.macs[mac] {
		return true
	}
	for _, p := range s.peers {
		if p.mac == (ownership.MAC{}) && unpack(p.host.mac.Load()) == mac {
			return true
		}
	}
	return false
}

// sift finds the witnesses of a link that turned out to be nodes, by other addresses of theirs. They do not count; those
// that only asked for our addresses make room for others. w.mu is held, and the index is to be made anew afterwards.
func (w *Watcher) sift(s *segment) {
	for _, h := range s.witnesses() {
		is := w.isNode(s, unpack(h.mac.Load()))
		if is != h.node {
			h.node = is
			w.mark(s)
		}
		if is && h.source == ingotv1.WitnessReport_SOURCE_ASKER {
			w.schedule.drop(h)
			s.dismiss(h)
		}
	}
}

// counting are the witnesses that are no nodes as far as is known.
func (s *segment) counting() []*host {
	return slices.DeleteFunc(s.witnesses(), func(h *host) bool { return h.node })
}
