package l2

import "github.com/ingot-lb/ingot/speaker/l2/frame"

// transmission is a probe or a round of announcements to send.
type transmission struct {
	owned *owned
	link  string
	probe bool
}

// transmit sends what steps asked for, unless it was withdrawn meanwhile.
func (s *Speaker) transmit(out []transmission) {
	for _, t := range out {
		s.mu.RLock()
		s.transmitOne(t)
		s.mu.RUnlock()
	}
}

func (s *Speaker) transmitOne(t transmission) {
	p := s.ports[t.link]
	if p == nil || !p.Serves(t.owned.address) {
		return
	}
	if t.probe {
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
	frames, err := frame.Announcements(p.Link().MAC, p.Link().Source, t.owned.address)
	for _, f := range frames {
		if err == nil {
			if err = p.Send(f); err == nil {
				t.owned.gratuitous.Inc()
			}
		}
	}
	if err != nil {
		s.log.Warn("cannot announce", "op", "gratuitousAnnounce", "ip", t.owned.address.String(), "error", err)
	}
}
