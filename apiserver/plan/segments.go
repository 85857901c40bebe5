package plan

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

const (
	// watchInterval and watchMultiplier are those of the BFD sessions between who owns and who stands by: 600 ms in all.
	watchInterval   = 60 * time.Millisecond
	watchMultiplier = 10
	// ringSide is how many neighbours on either side in the circle of names a node asks.
	ringSide = 2
	// maxWitnesses bounds the witnesses of a segment, but for those that advertisements name.
	maxWitnesses = 3
	// askActive and askIdle are how often a node asks that owns or stands by, and one that does neither. All of a segment
	// together ask a witness about maxAsked times a second at most.
	askActive = 200 * time.Millisecond
	askIdle   = 2 * time.Second
	maxAsked  = 50
)

// wires collects over which networks addresses are reached, and who has to watch whom there.
type wires struct{ nets map[reach]*wire }

// reach is what nodes reach alike: all addresses of one network that the same advertisements announce.
type reach struct {
	network netip.Prefix
	// ads are the advertisements that name interfaces; empty where none does.
	ads string
}

// wire is a network with the nodes that may own addresses there.
type wire struct {
	addr netip.Addr // one of the network's
	ads  []*l2Advertisement
	// nodes may own addresses; active do, or stand by.
	nodes, active bitset
	pairs         map[[2]int]bool // owner and standby: true; two standbys: false
	links         map[int]string  // by node
}

// note takes an address with its owner and standbys.
func (w *wires) note(t *layer2Table, g *group, a netip.Addr, owner int, standbys []int) {
	if t.segments == nil {
		return
	}
	r := reach{network: t.segments.Network(a)}
	var ads []*l2Advertisement
	for _, c := range g.services {
		if slices.Contains(c.addrs, a) {
			ads = append(ads, c.ads...)
		}
	}
	if g.named {
		names := make([]string, 0, len(ads))
		for _, ad := range ads {
			names = append(names, ad.name)
		}
		slices.Sort(names)
		r.ads = strings.Join(slices.Compact(names), "\x00")
	}
	if w.nets == nil {
		w.nets = map[reach]*wire{}
	}
	net := w.nets[r]
	if net == nil {
		net = &wire{addr: a, nodes: newBitset(len(t.nodes.list)), active: newBitset(len(t.nodes.list)), pairs: map[[2]int]bool{}}
		w.nets[r] = net
	}
	if a.Less(net.addr) {
		net.addr = a
	}
	for _, ad := range ads {
		if !slices.Contains(net.ads, ad) {
			net.ads = append(net.ads, ad)
		}
	}
	for _, c := range g.services {
		net.nodes.include(c.nodes)
	}
	net.active.add(owner)
	for k, s := range standbys {
		net.active.add(s)
		net.pairs[[2]int{owner, s}] = true
		for _, fellow := range standbys[:k] {
			// Should both take over, they have to know each other.
			if pair := [2]int{fellow, s}; !net.pairs[pair] {
				net.pairs[pair] = false
			}
		}
	}
}

// spot is one link of one node.
type spot struct {
	node int
	link string
}

// listening is what one node has to do on one link.
type listening struct {
	wires []*wire
	// members are the nodes of those networks, and active those of them that own or stand by.
	members, active bitset
	paired          map[int]bool
}

// watch makes the items that say whom each node listens to on each of its links.
func (t *layer2Table) watch() {
	spots := map[spot]*listening{}
	for _, w := range t.wires.nets {
		t.connect(w, spots)
	}
	for at, l := range spots {
		if item := t.segment(at, l); item != nil {
			t.items[at.node][item.Id] = t.seal.seal(item)
		}
	}
}

// connect finds the links of a network's nodes, and adds what they have to do there.
func (t *layer2Table) connect(w *wire, spots map[spot]*listening) {
	w.links = map[int]string{}
	members := newBitset(len(t.nodes.list))
	for i := range w.nodes.members() {
		if link, ok := t.segments.Link(t.nodes.name(i), w.addr, interfaces(w.ads, i)); ok {
			w.links[i] = link
			members.add(i)
		}
	}
	for i, link := range w.links {
		at := spot{i, link}
		l := spots[at]
		if l == nil {
			l = &listening{members: newBitset(len(t.nodes.list)), active: newBitset(len(t.nodes.list)), paired: map[int]bool{}}
			spots[at] = l
		}
		l.wires = append(l.wires, w)
		l.members.include(members)
		l.active.include(w.active.and(members))
	}
	for pair, bfd := range w.pairs {
		for k, i := range pair {
			other := pair[1-k]
			if link, ok := w.links[i]; ok && members.has(other) {
				paired := spots[spot{i, link}].paired
				paired[other] = paired[other] || bfd
			}
		}
	}
}

// segment is what a node listens to on a link.
func (t *layer2Table) segment(at spot, l *listening) *ingotv1.Item {
	slices.SortFunc(l.wires, func(a, b *wire) int { return a.addr.Compare(b.addr) })
	twins := t.segments.SharesMAC(t.nodes.name(at.node), at.link)
	content := &ingotv1.Layer2Segment{Interface: at.link, Quiet: len(twins) > 0 && !t.alone(at, l, twins)}
	peers := maps.Clone(l.paired)
	for i := range l.members.around(at.node, ringSide) {
		if !peers[i] {
			peers[i] = false
		}
	}
	for _, i := range slices.Sorted(maps.Keys(peers)) {
		if slices.Contains(twins, t.nodes.name(i)) {
			continue
		}
		if peer := t.peer(at, l, i); peer != nil {
			if peers[i] {
				peer.Bfd = &ingotv1.BfdParameters{
					ReceiveIntervalMs: uint32(watchInterval.Milliseconds()), TransmitIntervalMs: uint32(watchInterval.Milliseconds()), DetectMultiplier: watchMultiplier,
				}
			}
			content.Peers = append(content.Peers, peer)
		}
	}
	content.Witnesses = t.witnesses(at, l)
	content.AskIntervalMs = uint32(pace(l.active.has(at.node), l.active.count(), l.members.count()).Milliseconds())
	return &ingotv1.Item{Id: SegmentID(at.link), Content: &ingotv1.Item_Layer2Segment{Layer2Segment: content}}
}

// alone says that a node owns addresses and none of its twins does. It goes on asking, for what it sends brings the
// traffic back to it, whenever a twin has taken that away.
func (t *layer2Table) alone(at spot, l *listening, twins []string) bool {
	return l.active.has(at.node) && !slices.ContainsFunc(twins, func(name string) bool {
		i, known := t.nodes.index[name]
		return known && l.active.has(i)
	})
}

// peer is how a node hears another one on a link; nil where they have no network in common. Both sides are told the same:
// it is worked out from the side of the lower name.
func (t *layer2Table) peer(at spot, l *listening, other int) *ingotv1.SegmentPeer {
	for _, w := range l.wires {
		link, ok := w.links[other]
		if !ok {
			continue
		}
		here, there := spot{at.node, at.link}, spot{other, link}
		swapped := there.node < here.node
		if swapped {
			here, there = there, here
		}
		m, ok := t.segments.Meet(t.nodes.name(here.node), here.link, t.nodes.name(there.node), w.addr)
		if !ok || m.RemoteLink != there.link {
			continue
		}
		if swapped {
			back, ok := t.segments.Meet(t.nodes.name(there.node), there.link, t.nodes.name(here.node), m.Local)
			if !ok {
				continue
			}
			m.Local, m.Remote, m.MAC = m.Remote, m.Local, back.MAC
		}
		return &ingotv1.SegmentPeer{Node: t.nodes.name(other), LocalAddress: m.Local.String(), RemoteAddress: m.Remote.String(), Mac: m.MAC}
	}
	return nil
}

// witnesses are the hosts to ask on a link: those that advertisements name, and if they are few, others.
func (t *layer2Table) witnesses(at spot, l *listening) []string {
	var named []netip.Addr
	for _, w := range l.wires {
		for _, ad := range w.ads {
			for _, probe := range ad.probes {
				if slices.Contains(named, probe) {
					continue
				}
				if link, ok := t.segments.Link(t.nodes.name(at.node), probe, nil); ok && link == at.link {
					named = append(named, probe)
				}
			}
		}
	}
	slices.SortFunc(named, netip.Addr.Compare)
	list := make([]string, 0, maxWitnesses)
	for _, a := range named {
		list = append(list, a.String())
	}
	for _, w := range t.segments.Witnesses(t.nodes.name(at.node), at.link) {
		if len(list) >= maxWitnesses {
			break
		}
		if !slices.Contains(list, w) {
			list = append(list, w)
		}
	}
	return list
}

// pace is how often a node asks, given how many there are on the segment. It changes in steps, so that a node more or
// less is mostly none of the others' business.
func pace(active bool, actives, members int) time.Duration {
	rate := float64(actives)/askActive.Seconds() + float64(members-actives)/askIdle.Seconds()
	slower := 1.0
	for rate > maxAsked*slower {
		slower *= 1.5
	}
	interval := time.Duration(float64(askActive) * slower).Round(time.Millisecond)
	if !active {
		interval *= askIdle / askActive
	}
	return interval
}
