package l2

import (
	"github.com/ingot-lb/ingot/speaker/l2/frame"
	"github.com/ingot-lb/ingot/speaker/l2/port"
)

// kind is what a transmission is for.
type kind int

const (
	// probing asks whether anyone else has the address.
	probing kind = iota
	// first announces an address that was taken over, or moved to another interface or hardware address.
	first
	// repeated announces it again.
	repeated
)

// transmission is a probe or a round of announcements to send on one link.
type transmission struct {
	owned *owned
	link  string
	kind  kind
}

// frames is how many frames it takes.
func (t transmission) frames() int {
	if t.kind != probing && t.owned.address.Is4() {
		return 2
	}
	return 1
}

// transmit has sent what steps asked for, as the budget allows.
func (s *Speaker) transmit(out []transmission) {
	if dropped := s.budget.add(out); dropped > 0 {
		s.metrics.dropped.Add(float64(dropped))
	}
}

// send sends, unless it was withdrawn meanwhile.
func (s *Speaker) send(t transmission) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.ports[t.link]
	if p == nil || !p.Serves(t.owned.address) || s.owned[t.owned.address] != t.owned {
		return
	}
	if t.kind == probing {
		f, err := frame.Probe(p.Link().MAC, t.owned.address)
		if err == nil {
			err = p.Send(f)
		}
		if err != nil {
			s.log.Warn("cannot probe", "op", "probe", "ip", t.owned.address.String(), "error", err)
		}
		return
	}
	if !t.owned.claim.Answers(t.link) {
		return
	}
	if err := t.announce(p); err != nil {
		s.log.Warn("cannot announce", "op", "gratuitousAnnounce", "ip", t.owned.address.String(), "error", err)
	}
}

// announce sends a round of announcements on a port.
func (t transmission) announce(p *port.Port) error {
	frames, err := frame.Announcements(p.Link().MAC, t.owned.address)
	if err != nil {
		return err
	}
	for _, f := range frames {
		if err := p.Send(f); err != nil {
			return err
		}
		t.owned.gratuitous.Inc()
	}
	return nil
}
