package l2

import (
	"context"
	"fmt"
	"net/netip"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// order is a Layer2Address item, checked.
type order struct {
	address    netip.Addr
	owner      bool
	interfaces []string
	term       uint64
}

// parseOrder checks an item. Its errors become the reason of a refusal.
func parseOrder(item *ingotv1.Layer2Address) (order, error) {
	address, err := netip.ParseAddr(item.GetAddress())
	if err != nil {
		return order{}, fmt.Errorf("address %q: %w", item.GetAddress(), err)
	}
	o := order{address: address.Unmap().WithZone(""), interfaces: item.GetInterfaces(), term: item.GetTerm()}
	switch item.GetRole() {
	case ingotv1.Layer2Address_ROLE_OWNER:
		o.owner = true
	case ingotv1.Layer2Address_ROLE_STANDBY:
	default:
		return o, fmt.Errorf("address %s: role %s is not known", address, item.GetRole())
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
		o, err := parseOrder(content)
		if err != nil {
			s.refused[item.GetId()] = err.Error()
			keep[o.address] = true // what was there stays
			continue
		}
		if o.owner {
			keep[o.address] = true
			out = s.own(out, o, restored)
		}
	}
	for address, o := range s.owned {
		if !keep[address] {
			out = s.step(out, o, ownership.Release{})
			delete(s.owned, address)
			s.metrics.forget(address)
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
	return results
}

// own makes the node the owner of an address, or goes on with it. s.mu is held.
func (s *Speaker) own(out []transmission, o order, restored bool) []transmission {
	have := s.owned[o.address]
	if have == nil {
		have = &owned{address: o.address, claim: ownership.New(jitter), counters: s.metrics.of(o.address)}
		s.owned[o.address] = have
	}
	have.interfaces = o.interfaces
	return s.step(out, have, ownership.Order{Term: o.term, Restored: restored, Links: s.linksFor(o.address, o.interfaces)})
}
