package segment

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
	"github.com/ingot-lb/ingot/speaker/links"
)

// Apply makes segments the complete set of those that are listened on; all are the node's links as they are now.
func (w *Watcher) Apply(segments []*ingotv1.Layer2Segment, all []links.Link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	wanted := make(map[string]*ingotv1.Layer2Segment, len(segments))
	for _, item := range segments {
		wanted[item.GetInterface()] = item
	}
	for name, s := range w.segments {
		if wanted[name] == nil {
			w.close(s)
			delete(w.segments, name)
			w.mark(s)
		}
	}
	now := w.now()
	w.nodes = nodesOf(segments, all)
	for name, item := range wanted {
		s := w.segments[name]
		if s == nil {
			s = &segment{name: name, peers: map[string]*peer{}}
			w.segments[name] = s
			w.mark(s)
		}
		var link links.Link
		if i := slices.IndexFunc(all, func(l links.Link) bool { return l.Name == name }); i >= 0 {
			link = all[i]
		}
		w.update(s, item, link, now)
	}
	w.reindex()
	w.kick()
}

// update makes a segment that of an item, on the link as it is now; its name is empty if there is none. w.mu is held.
func (w *Watcher) update(s *segment, item *ingotv1.Layer2Segment, link links.Link, now time.Duration) {
	before := s.hosts()
	again := s.usable && (s.link.Index != link.Index || s.link.MAC != link.MAC)
	s.item, s.link, s.usable = item, link, link.Name != "" && link.Unfit == ""
	w.updatePeers(s)
	w.updateWitnesses(s)
	w.sift(s)
	hosts := s.hosts()
	for _, h := range before {
		if !slices.Contains(hosts, h) {
			w.schedule.drop(h)
			w.mark(s)
		}
	}
	for _, h := range hosts {
		switch {
		case !s.usable:
			w.schedule.drop(h)
			if h.forget() {
				w.mark(s)
			}
		case h.position < 0:
			h.waiting, h.due = false, now+jitter(step)/2
			w.schedule.put(h)
		case (again || h.due > now+h.rest(s.pace(h, now))) && !item.GetQuiet():
			// Others learn a new hardware address from what they are asked, and a new pace counts from now on.
			h.waiting, h.due = false, now
			w.schedule.put(h)
		}
	}
}

// updatePeers brings the nodes that are listened to in line with the item. w.mu is held.
func (w *Watcher) updatePeers(s *segment) {
	wanted := map[string]*ingotv1.SegmentPeer{}
	for _, c := range s.item.GetPeers()[:min(len(s.item.GetPeers()), maxPeers)] {
		if remote := parseAddress(c.GetRemoteAddress()); remote.IsValid() && !s.own(remote) {
			wanted[c.GetNode()] = c
		}
	}
	for node, p := range s.peers {
		if wanted[node] == nil {
			p.drop()
			delete(s.peers, node)
			w.mark(s)
		}
	}
	for node, c := range wanted {
		remote, mac := parseAddress(c.GetRemoteAddress()), parseMAC(c.GetMac())
		p := s.peers[node]
		if p == nil {
			p = &peer{node: node, log: w.log.With("interface", s.name, "node", node)}
			s.peers[node] = p
		}
		if p.host == nil || p.host.address != remote {
			p.host = newHost(s, remote, ingotv1.WitnessReport_SOURCE_UNSPECIFIED)
			w.mark(s)
		}
		if p.host.mac.Load() == 0 || p.mac != mac {
			p.host.mac.Store(pack(mac))
		}
		p.mac = mac
		key := bfd.Key{Remote: remote, Local: parseAddress(c.GetLocalAddress()), Interface: s.name}
		was := p.state()
		p.watch(c, key, c.GetBfd() != nil && !s.item.GetQuiet(), w.open, func(generation int, status bfd.Status) {
			w.observe(s, p, generation, status)
		})
		if p.state() != was {
			w.mark(s)
		}
	}
}

// observe follows a session. Calls for one session come one at a time.
func (w *Watcher) observe(s *segment, p *peer, generation int, status bfd.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if generation != p.generation {
		return
	}
	changed, lost := p.observe(status)
	if !changed {
		return
	}
	w.mark(s)
	if lost {
		// Is it the peer, or everybody?
		w.verify(s)
		w.hurry(p.host)
	}
}

// updateWitnesses brings the hosts that are no nodes in line with the item and the link's routes. w.mu is held.
func (w *Watcher) updateWitnesses(s *segment) {
	known := map[netip.Addr]*host{}
	for _, h := range s.witnesses() {
		known[h.address] = h
	}
	taken := map[netip.Addr]bool{}
	for _, p := range s.peers {
		taken[p.host.address] = true
	}
	take := func(addresses []netip.Addr, most int, source ingotv1.WitnessReport_Source) (hosts []*host) {
		count := 0
		for _, a := range addresses {
			h := known[a]
			isNode := h != nil && w.isNode(s, unpack(h.mac.Load())) // by another of its addresses; it is kept, to be known again
			if !a.IsValid() || taken[a] || s.own(a) || w.nodes.addresses[a] || count == most && !isNode {
				continue
			}
			if !isNode {
				count++
			}
			if h == nil {
				h = newHost(s, a, source)
				w.mark(s)
			}
			taken[a] = true
			if h.source != source {
				h.source = source
				w.mark(s)
			}
			hosts = append(hosts, h)
		}
		return hosts
	}
	var ordered, askers []netip.Addr
	for _, text := range s.item.GetWitnesses() {
		ordered = append(ordered, parseAddress(text))
	}
	for _, h := range s.askers {
		askers = append(askers, h.address)
	}
	s.ordered = take(ordered, maxOrdered, ingotv1.WitnessReport_SOURCE_ORDERED)
	s.hops = take(s.link.NextHops, maxNextHops, ingotv1.WitnessReport_SOURCE_NEXT_HOP)
	s.askers = take(askers, maxAskers, ingotv1.WitnessReport_SOURCE_ASKER)
}

// hurry has a host asked now, unless it is being asked. w.mu is held.
func (w *Watcher) hurry(h *host) {
	if h.position < 0 || h.segment.item.GetQuiet() || h.waiting && h.state != ingotv1.Answer_ANSWER_SILENT {
		return
	}
	h.due = w.now()
	w.schedule.put(h)
	w.kick()
}

// index is what those look at who must not wait, by the name of the link.
type index struct {
	links map[string]*listing
}

// listing is what is listened to on a link. It is never changed, apart from the hosts' atomics.
type listing struct {
	segment   *segment
	mac       ownership.MAC
	own       []netip.Addr
	hosts     map[netip.Addr]*host
	nodes     map[ownership.MAC]string
	frames    map[ownership.MAC]*host // of peers
	sessions  []session
	witnesses []*host
}

// reindex makes the index anew. w.mu is held.
func (w *Watcher) reindex() {
	x := &index{links: make(map[string]*listing, len(w.segments))}
	for name, s := range w.segments {
		l := &listing{
			segment: s, mac: s.link.MAC, hosts: map[netip.Addr]*host{}, nodes: map[ownership.MAC]string{}, frames: map[ownership.MAC]*host{},
			witnesses: s.counting(),
		}
		for _, p := range s.link.Addresses {
			l.own = append(l.own, p.Addr())
		}
		for _, h := range s.hosts() {
			l.hosts[h.address] = h
		}
		for _, node := range slices.Sorted(maps.Keys(s.peers)) {
			p := s.peers[node]
			for _, mac := range [...]ownership.MAC{p.mac, unpack(p.host.mac.Load())} {
				if mac != (ownership.MAC{}) && mac != s.link.MAC {
					l.nodes[mac], l.frames[mac] = node, p.host
				}
			}
			if p.session != nil {
				l.sessions = append(l.sessions, p.session)
			}
		}
		x.links[name] = l
	}
	w.heard.Store(x)
}
