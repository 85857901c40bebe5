package l2

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// order is a Layer2Address item, checked.
type order struct {
	address    netip.Addr
	owner      bool
	interfaces []string
	term       uint64
	// nodes are the owner and the standbys, by rank, and rank is that of this node.
	nodes   []string
	rank    int
	refresh time.Duration
	// local says that only nodes with endpoints may answer, which tell on the ports of health.
	local  bool
	health []uint32
}

// parseOrder checks an item. Its errors become the reason of a refusal.
func (s *Speaker) parseOrder(item *ingotv1.Layer2Address) (order, error) {
	address, err := netip.ParseAddr(item.GetAddress())
	if err != nil {
		return order{}, fmt.Errorf("address %q: %w", item.GetAddress(), err)
	}
	o := order{address: address.Unmap().WithZone(""), interfaces: item.GetInterfaces(), term: item.GetTerm(),
		refresh: time.Duration(item.GetRefreshIntervalMs()) * time.Millisecond, local: len(item.GetServices()) > 0}
	for _, service := range item.GetServices() {
		if port := service.GetHealthCheckNodePort(); port != 0 {
			o.health = append(o.health, port)
		} else {
			o.local = false
		}
	}
	switch item.GetRole() {
	case ingotv1.Layer2Address_ROLE_OWNER:
		o.owner = true
	case ingotv1.Layer2Address_ROLE_STANDBY:
	default:
		return o, fmt.Errorf("address %s: role %s is not known", address, item.GetRole())
	}
	o.nodes = append([]string{item.GetOwner()}, item.GetStandbys()...)
	if o.owner {
		o.nodes[0] = s.node
	} else if o.rank = 1 + slices.Index(item.GetStandbys(), s.node); o.rank == 0 {
		o.rank = len(o.nodes) // it stands by after all others
	}
	return o, nil
}

// Apply makes items the complete set of addresses to answer or stand by for, and of segments to listen on; items of other kinds are passed over.
// restored says that they come from saved state: then every address is probed before it is answered. When Apply
// returns, nothing is answered any more for what was withdrawn.
func (s *Speaker) Apply(_ context.Context, items []*ingotv1.Item, restored bool) []*ingotv1.ItemResult {
	s.applying.Lock()
	defer s.applying.Unlock()
	if !s.linked {
		if _, err := s.relist(); err != nil {
			s.log.Error("cannot follow the node's links", "op", "listLinks", "error", err)
		}
	}
	s.mu.Lock()
	var out []transmission
	keep := make(map[netip.Addr]bool)
	s.items, s.refused = nil, make(map[string]string)
	s.watched = segmentsOf(items)
	s.segments.Apply(s.watched, s.links)
	for _, item := range items {
		content := item.GetLayer2Address()
		if content == nil && item.GetLayer2Segment() == nil {
			continue
		}
		s.items = append(s.items, item)
		if content == nil {
			continue
		}
		o, err := s.parseOrder(content)
		if err != nil {
			s.refused[item.GetId()] = err.Error()
			keep[o.address] = true // what was there stays
			continue
		}
		keep[o.address] = true
		out = s.obey(out, o, restored)
	}
	for address, o := range s.owned {
		if !keep[address] {
			out = s.step(out, o, ownership.Release{})
			delete(s.owned, address)
		}
	}
	results := s.results()
	clear(s.told)
	for _, r := range results {
		s.told[r.GetId()] = r
	}
	s.mu.Unlock()
	s.regroup()
	s.transmit(out)
	signal(s.wake) // there may be claims now that depend on who is heard
	return results
}

// obey makes the node the owner of an address or a standby, or goes on with it. s.mu is held.
func (s *Speaker) obey(out []transmission, o order, restored bool) []transmission {
	have := s.owned[o.address]
	if have == nil {
		have = &owned{claim: ownership.New(jitter)}
		s.owned[o.address] = have
	}
	have.order = o
	s.place(have)
	role := ownership.Standby
	if o.owner {
		role = ownership.Owner
	}
	return s.step(out, have, ownership.Order{
		Role: role, Term: o.term, Rank: o.rank, Nodes: o.nodes, Restored: restored, Links: have.links, Local: o.local, Refresh: o.refresh,
	})
}
