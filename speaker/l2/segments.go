package l2

import (
	"fmt"
	"net/netip"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/l2/frame"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
	"github.com/ingot-lb/ingot/speaker/l2/port"
)

// ask sends a question of the segments' watcher: whose is target?
func (s *Speaker) ask(link string, source, target netip.Addr, mac ownership.MAC) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.ports[link]
	if p == nil || !p.Serves(target) {
		return fmt.Errorf("ask for %s: interface %s cannot be spoken on", target, link)
	}
	if !source.IsValid() {
		f, err := frame.Probe(p.Link().MAC, target)
		if err != nil {
			return err
		}
		return p.Send(f)
	}
	f, err := frame.Ask(p.Link().MAC, source, mac, target)
	if err != nil {
		return err
	}
	return p.Send(f)
}

// listen tells the segments' watcher who speaks on a link. It is called for every message there.
func (s *Speaker) listen(p *port.Port, m frame.Message, received time.Duration) {
	if m.Sender.IsUnspecified() {
		return
	}
	link := p.Link()
	s.segments.Heard(link.Name, m.Sender, m.SenderMAC, m.Op == frame.Reply && m.Destination == link.MAC, received)
}

// segmentsOf returns the segments to listen on among items.
func segmentsOf(items []*ingotv1.Item) []*ingotv1.Layer2Segment {
	var out []*ingotv1.Layer2Segment
	for _, item := range items {
		if segment := item.GetLayer2Segment(); segment != nil {
			out = append(out, segment)
		}
	}
	return out
}
