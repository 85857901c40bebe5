package l2

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
	r := s.responders[t.link]
	if r == nil {
		return
	}
	if t.probe {
		f, err := probe(r.link.mac, t.owned.address)
		if err == nil {
			err = r.send(f)
		}
		if err != nil {
			r.log.Warn("cannot probe", "op", "probe", "ip", t.owned.address.String(), "error", err)
		}
		return
	}
	if !t.owned.claim.Answers(t.link) {
		return
	}
	frames, err := announcements(r.link.mac, t.owned.address)
	for _, f := range frames {
		if err == nil {
			if err = r.send(f); err == nil {
				t.owned.gratuitous.Inc()
			}
		}
	}
	if err != nil {
		r.log.Warn("cannot announce", "op", "gratuitousAnnounce", "ip", t.owned.address.String(), "error", err)
	}
}
