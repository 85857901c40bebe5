package l2

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/ingot-lb/ingot/speaker/l2/frame"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
	"github.com/ingot-lb/ingot/speaker/l2/port"
)

// hear handles a message that arrived on a port. It is called for every message on the link, so that it must not allocate
// or wait for what is none of ours, nor to answer.
func (s *Speaker) hear(p *port.Port, m frame.Message, received time.Duration) {
	s.listen(p, m, received)
	if s.reply(p, m, received) {
		return
	}
	s.conflict(p, m)
}

// reply answers a request for an address that this node answers for, a prober's as well: it must learn that the address is
// taken. It returns whether that is what the message was.
func (s *Speaker) reply(p *port.Port, m frame.Message, received time.Duration) bool {
	if m.Op != frame.Request || m.Gratuitous() || !m.FromHost() {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	o := s.owned[m.Target]
	if o == nil || !o.claim.Answers(p.Link().Name) || s.local[m.SenderMAC] {
		return false
	}
	if !s.answerable(o, received) {
		return true
	}
	o.requests.Inc()
	words := wordsOf(m.Target)
	if err := p.Answer(m); err != nil {
		s.unanswered.Do(func() {
			s.log.Warn("cannot answer", "op", words.reply, "interface", p.Link().Name, "ip", m.Target.String(), "senderIP", m.Sender.String(), "error", err)
		})
		return true
	}
	o.responses.Inc()
	s.askers.note(p.Link().Name, m)
	s.segments.Asker(p.Link().Name, m.Sender, m.SenderMAC)
	if s.log.Enabled(context.Background(), slog.LevelDebug) {
		s.log.Debug(words.answering, "interface", p.Link().Name, "ip", m.Target.String(),
			"senderIP", m.Sender.String(), "senderMAC", m.SenderMAC.String(), "responseMAC", p.Link().MAC.String())
	}
	return true
}

// conflict tells a claim that another host uses its address, or probes for it.
func (s *Speaker) conflict(p *port.Port, m frame.Message) {
	address, probing := m.Sender, false
	if m.Probe() {
		address, probing = m.Target, true
	}
	s.mu.RLock()
	o := s.owned[address]
	concerned := o != nil && !s.local[m.SenderMAC] && slices.Contains(o.segment, p.Link().Name)
	s.mu.RUnlock()
	if !concerned {
		return // as almost always
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	var out []transmission
	if o := s.owned[address]; o != nil {
		out = s.step(out, o, ownership.Heard{
			Link: p.Link().Name, MAC: m.SenderMAC, Rank: s.rankOf(o, p.Link().Name, m.SenderMAC), Ours: p.Link().MAC, Probe: probing,
		})
	}
	s.mu.Unlock()
	s.transmit(out)
}
