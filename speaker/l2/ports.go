package l2

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/ingot-lb/ingot/speaker/l2/ownership"
	"github.com/ingot-lb/ingot/speaker/l2/port"
	"github.com/ingot-lb/ingot/speaker/links"
)

// linksFor returns the links that an address can be answered on among those allowed. s.mu is held.
func (s *Speaker) linksFor(address netip.Addr, interfaces []string) []string {
	names := allowed(interfaces, s.links)
	return slices.DeleteFunc(names, func(name string) bool { return s.ports[name] == nil || !s.ports[name].Serves(address) })
}

// place finds the links of an address: where the order names interfaces, those, and otherwise all that qualify. It is reached
// over those whose on-link prefix for it is the longest. s.mu is held.
func (s *Speaker) place(o *owned) {
	o.links = s.linksFor(o.address, o.interfaces)
	o.segment = o.links
	if len(o.interfaces) > 0 {
		return
	}
	best := -1
	for _, l := range s.links {
		if !slices.Contains(o.links, l.Name) {
			continue
		}
		for _, prefix := range slices.Concat(l.Addresses, l.OnLink) {
			if !prefix.Contains(o.address) || prefix.Bits() < best {
				continue
			}
			if prefix.Bits() > best {
				best, o.segment = prefix.Bits(), nil
			}
			if !slices.Contains(o.segment, l.Name) {
				o.segment = append(o.segment, l.Name)
			}
		}
	}
}

// relist lists the links and opens and closes ports. It returns the names of links that there were, and that have a new
// port. s.applying is held.
func (s *Speaker) relist() (renewed []string, err error) {
	listed, err := links.List(s.exclude)
	if err != nil {
		return nil, err
	}
	want := make(map[string]port.Link)
	local := make(map[ownership.MAC]bool)
	for _, l := range listed {
		local[l.MAC] = true
		if l.Unfit == "" {
			want[l.Name] = port.Link{Index: l.Index, Name: l.Name, MAC: l.MAC, IPv6: l.LinkLocal.IsValid()}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	links.Stamp(s.links, listed, time.Now())
	s.links, s.local, s.linked = listed, local, true
	for name, p := range s.ports {
		l, ok := want[name]
		if ok && l == p.Link() && !p.Broken() {
			continue
		}
		if ok {
			renewed = append(renewed, name)
		}
		p.Close()
		delete(s.ports, name)
		delete(s.judged, name)
	}
	if s.ended {
		return nil, nil
	}
	var errs []error
	for name, l := range want {
		if s.ports[name] != nil {
			continue
		}
		p, err := port.Open(l, s.log, s.hear, func() { signal(s.relink) })
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.ports[name] = p
	}
	return renewed, errors.Join(errs...)
}

// membership is an address that is asked for on a link.
type membership struct {
	address netip.Addr
	link    string
}

// regroup has the requests for the node's addresses sent to it, on the links where they are answered or could be.
// s.applying is held; s.mu is not, because drivers may take their time.
func (s *Speaker) regroup() {
	want := make(map[membership]*port.Port)
	s.mu.RLock()
	for address, o := range s.owned {
		for _, name := range s.linksFor(address, o.interfaces) {
			want[membership{address, name}] = s.ports[name]
		}
	}
	s.mu.RUnlock()
	for m, p := range s.joined {
		if want[m] == p {
			continue
		}
		if err := p.Leave(m.address); err != nil {
			s.log.Debug("cannot leave the group of an address", "ip", m.address.String(), "interface", m.link, "error", err)
		}
		delete(s.joined, m)
	}
	for m, p := range want {
		if s.joined[m] == p {
			continue
		}
		if err := p.Join(m.address); err != nil {
			s.log.Warn("cannot join the group in which an address is asked for", "op", "joinGroup",
				"ip", m.address.String(), "interface", m.link, "error", err)
			continue
		}
		s.joined[m] = p
	}
}
