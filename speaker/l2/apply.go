package l2

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/mdlayher/arp"

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
	o := order{address: address.Unmap(), interfaces: item.GetInterfaces(), term: item.GetTerm()}
	if !o.address.Is4() {
		return o, fmt.Errorf("address %s: layer 2 over IPv6 (NDP) is not supported by this speaker", address)
	}
	switch item.GetRole() {
	case ingotv1.Layer2Address_ROLE_OWNER:
		o.owner = true
	case ingotv1.Layer2Address_ROLE_STANDBY:
	default:
		return o, fmt.Errorf("address %s: role %s is not known", address, item.GetRole())
	}
	return o, nil
}

// Apply makes items the complete set of addresses to answer or stand by for; items of other kinds are passed over.
// restored says that they come from saved state: then every address is probed before it is answered. When Apply
// returns, nothing is answered any more for what was withdrawn.
func (s *Speaker) Apply(_ context.Context, items []*ingotv1.Item, restored bool) []*ingotv1.ItemResult {
	s.applying.Lock()
	defer s.applying.Unlock()
	if !s.linked {
		if err := s.relist(); err != nil {
			s.log.Error("cannot follow the node's links", "op", "listLinks", "error", err)
		}
	}
	s.mu.Lock()
	var out []transmission
	keep := make(map[netip.Addr]bool)
	s.items, s.refused = nil, make(map[string]string)
	for _, item := range items {
		content := item.GetLayer2Address()
		if content == nil {
			continue
		}
		s.items = append(s.items, item)
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
	return s.step(out, have, ownership.Order{Term: o.term, Restored: restored, Links: s.linksFor(o.interfaces)})
}

// linksFor returns the links with a responder among those allowed. s.mu is held.
func (s *Speaker) linksFor(interfaces []string) []string {
	names := allowed(interfaces, s.links)
	return slices.DeleteFunc(names, func(name string) bool { return s.responders[name] == nil })
}

// relist lists the links and opens and closes responders. s.applying is held.
func (s *Speaker) relist() error {
	links, err := listLinks(s.exclude)
	if err != nil {
		return err
	}
	want := make(map[string]link)
	for _, l := range links {
		if l.unfit == "" {
			want[l.name] = l
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links, s.linked = links, true
	for name, r := range s.responders {
		if l, ok := want[name]; !ok || !l.equal(r.link) || r.broken.Load() {
			r.close()
			delete(s.responders, name)
		}
	}
	if s.ended {
		return nil
	}
	var errs []error
	for name, l := range want {
		if s.responders[name] != nil {
			continue
		}
		r, err := newResponder(l, s.log, s.hear, func() { signal(s.relink) })
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.responders[name] = r
	}
	return errors.Join(errs...)
}

// hear handles an ARP packet.
func (s *Speaker) hear(r *responder, m message) {
	if s.reply(r, m) {
		return
	}
	s.conflict(r, m)
}

// reply answers a request for an address that this node answers for. It returns whether that is what the packet was.
func (s *Speaker) reply(r *responder, m message) bool {
	if m.operation != arp.OperationRequest || m.senderIP == m.targetIP || m.destination != broadcast && m.destination != r.link.mac {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	o := s.owned[m.targetIP]
	if o == nil || !o.claim.Answers(r.link.name) || s.isLocal(m.senderMAC) {
		return false
	}
	o.requests.Inc()
	f, err := answer(r.link.mac, m.targetIP, m)
	if err == nil {
		err = r.send(f)
	}
	if err != nil {
		r.log.Warn("cannot answer", "op", "arpReply", "ip", m.targetIP.String(), "senderIP", m.senderIP.String(), "error", err)
		return true
	}
	o.responses.Inc()
	s.askers.note(r.link.name, m)
	if r.log.Enabled(context.Background(), slog.LevelDebug) {
		r.log.Debug("got ARP request for service IP, sending response", "ip", m.targetIP.String(),
			"senderIP", m.senderIP.String(), "senderMAC", m.senderMAC.String(), "responseMAC", r.link.mac.String())
	}
	return true
}

// conflict tells a claim that another host uses its address, or probes for it.
func (s *Speaker) conflict(r *responder, m message) {
	address, probing := m.senderIP, false
	if m.operation == arp.OperationRequest && m.senderIP.IsUnspecified() {
		address, probing = m.targetIP, true
	}
	s.mu.RLock()
	concerned := s.owned[address] != nil && !s.isLocal(m.senderMAC)
	s.mu.RUnlock()
	if !concerned {
		return
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	var out []transmission
	if o := s.owned[address]; o != nil {
		out = s.step(out, o, ownership.Heard{Link: r.link.name, MAC: m.senderMAC, Ours: r.link.mac, Probe: probing})
	}
	s.mu.Unlock()
	s.transmit(out)
}

// isLocal says whether a hardware address is one of this node's. s.mu is held.
func (s *Speaker) isLocal(mac ownership.MAC) bool {
	return slices.ContainsFunc(s.links, func(l link) bool { return l.mac == mac })
}
