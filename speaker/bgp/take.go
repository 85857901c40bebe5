package bgp

import (
	"net/netip"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// taken is a set of items, read.
type taken struct {
	items []*ingotv1.Item // of BGP
	guard *ingotv1.Item   // nil: none
	// deltas are what changes for each peer.
	deltas        map[string]*delta
	refusedBefore map[string]string
}

func (t *taken) delta(peer string) *delta {
	d := t.deltas[peer]
	if d == nil {
		d = newDelta()
		t.deltas[peer] = d
	}
	return d
}

// take parses the items into configs and routes. Of an item that is refused, the last good content stays. What has not
// changed, it passes over.
func (s *Speaker) take(items []*ingotv1.Item, errors map[string]string) *taken {
	t := &taken{items: make([]*ingotv1.Item, 0, len(items)), deltas: make(map[string]*delta), refusedBefore: s.refused}
	configs := make(map[string]sessionConfig)
	s.refused = make(map[string]string)
	s.round++
	peers := make(map[string]bool)
	var changed []*ingotv1.Item
	kept := 0
	for _, item := range items {
		switch content := item.GetContent().(type) {
		case *ingotv1.Item_BgpSession:
			s.takeSession(item, content.BgpSession, configs, peers, errors)
		case *ingotv1.Item_BgpGuard:
			if t.guard != nil {
				errors[item.GetId()] = "another item is the guard: " + t.guard.GetId()
				break
			}
			t.guard = item
		case *ingotv1.Item_BgpRoute:
			old := s.routes[item.GetId()]
			if old != nil && old.round != s.round {
				old.round = s.round
				kept++
			}
			if old == nil || old.item != item { // items never change
				changed = append(changed, item)
			}
		default:
			continue
		}
		t.items = append(t.items, item)
	}
	s.configs = configs
	if kept < len(s.routes) {
		s.dropRoutes(t)
	}
	for _, item := range changed {
		s.takeRoute(item, t, errors)
	}
	return t
}

func (s *Speaker) takeSession(item *ingotv1.Item, content *ingotv1.BgpSession, configs map[string]sessionConfig, peers map[string]bool, errors map[string]string) {
	id, peer := item.GetId(), content.GetPeer()
	if peers[peer] {
		errors[id] = "another item configures the session with peer " + peer
		return
	}
	peers[peer] = true
	cfg, err := parseSession(content)
	if err == nil {
		configs[id] = cfg
		return
	}
	errors[id] = err.Error()
	s.refused[peer] = err.Error()
	if old, ok := s.configs[id]; ok && old.peer == peer {
		configs[id] = old
	}
}

// dropRoutes forgets the routes that are not of this round.
func (s *Speaker) dropRoutes(t *taken) {
	for id, r := range s.routes {
		if r.round == s.round {
			continue
		}
		for peer := range r.peers {
			t.delta(peer).drop(r.prefix)
		}
		delete(s.routes, id)
		delete(s.owners, r.prefix)
	}
}

func (s *Speaker) takeRoute(item *ingotv1.Item, t *taken, errors map[string]string) {
	id := item.GetId()
	r, err := parseRoute(item.GetBgpRoute())
	if err != nil {
		errors[id] = err.Error()
		return
	}
	if owner, ok := s.owners[r.prefix]; ok && owner != id {
		errors[id] = "another item is the route to " + r.prefix.String() + ": " + owner
		return
	}
	r.item, r.round = item, s.round
	old := s.routes[id]
	if old == nil {
		old = &route{}
	} else if old.prefix != r.prefix {
		delete(s.owners, old.prefix)
	}
	s.routes[id], s.owners[r.prefix] = r, id
	for peer := range old.peers {
		if _, stays := r.peers[peer]; !stays || old.prefix != r.prefix {
			t.delta(peer).drop(old.prefix)
		}
	}
	for peer, attrs := range r.peers {
		if before, had := old.peers[peer]; !had || before != attrs || old.prefix != r.prefix {
			t.delta(peer).put(r.prefix, attrs)
		}
	}
}

// takeGuard puts a new guard in force, unless it is refused.
func (s *Speaker) takeGuard(t *taken, errors map[string]string) {
	if t.guard == nil {
		s.guard = nil
		return
	}
	if s.guard != nil && s.guard.item == t.guard {
		return
	}
	g, err := parseGuard(t.guard.GetBgpGuard())
	for _, session := range s.list() {
		if err == nil {
			err = session.objection(g, t.deltas[session.cfg.peer])
		}
	}
	if err != nil {
		errors[t.guard.GetId()] = err.Error()
		return
	}
	g.item = t.guard
	s.guard = g
}

// wanted is all that a peer shall see.
func (s *Speaker) wanted(peer string) *delta {
	d := &delta{set: make(map[netip.Prefix]attributes, len(s.routes))}
	for _, r := range s.routes {
		if attrs, ok := r.peers[peer]; ok {
			d.set[r.prefix] = attrs
		}
	}
	return d
}
