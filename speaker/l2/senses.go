package l2

import (
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/boottime"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
	"github.com/ingot-lb/ingot/speaker/segment"
)

// listenAgain is how often is looked for somebody to be heard again.
const listenAgain = 50 * time.Millisecond

// judgement is what the evidence was last worth on a link.
type judgement struct {
	centre  ownership.Centre
	segment bool
}

// Centre says that a round trip to the centre is complete that began at began, since boot. It is how the agent tells that the
// centre is heard; see the agent's announcers.
func (s *Speaker) Centre(began time.Duration) {
	for {
		before := s.centre.Load()
		if int64(began) <= before {
			return
		}
		if s.centre.CompareAndSwap(before, int64(began)) {
			break
		}
	}
	if s.missed.Load() {
		signal(s.stir)
	}
}

// evidence is that of whoever is heard over any of the links.
func (s *Speaker) evidence(links ...string) ownership.Evidence {
	e := ownership.Evidence{Centre: time.Duration(s.centre.Load())}
	for _, name := range links {
		e.Segment = max(e.Segment, s.segments.Evidence(name))
	}
	return e
}

// sense returns what the node hears of those who have to do with an address. s.mu is held.
func (s *Speaker) sense(o *owned, now time.Duration) ownership.Senses {
	var out ownership.Senses
	e := s.evidence(o.segment...)
	out.Centre, out.Segment, _ = e.Sense(now)
	out.WitnessAt = e.Segment
	for _, name := range o.segment {
		switch s.segments.Witness(name) {
		case segment.Heard:
			out.Witness = ownership.WitnessHeard
		case segment.Silent:
			if out.Witness == ownership.NoWitness {
				out.Witness = ownership.WitnessSilent
			}
		}
		for rank := range out.Peers {
			if rank >= len(o.nodes) || o.nodes[rank] == s.node {
				continue
			}
			is, p := s.segments.Peer(name, o.nodes[rank]), &out.Peers[rank]
			p.Known = p.Known || is.BFD != segment.Unwatched
			p.Left = p.Left || is.BFD == segment.Left
			p.Up = p.Up || is.BFD == segment.Up
			p.Heard = p.Heard || is.Answer == ingotv1.Answer_ANSWER_ANSWERS
		}
	}
	return out
}

// judge looks at how old the evidence is, tells every claim when that changes something, and returns when to look again.
// s.applying and s.mu are held.
func (s *Speaker) judge(now time.Duration) (out []transmission, next time.Duration) {
	if len(s.owned) == 0 {
		return nil, 0
	}
	changed, deaf, lost := false, false, false
	for name := range s.ports {
		var j judgement
		var at time.Duration
		j.centre, j.segment, at = s.evidence(name).Sense(now)
		next = soonest(next, at)
		changed = changed || s.judged[name] != j
		s.judged[name] = j
		deaf = deaf || j.centre != ownership.Fresh || !j.segment
		lost = lost || j.centre == ownership.Lost
	}
	s.missed.Store(deaf)
	s.watchHealth(lost)
	if deaf {
		next = soonest(next, now+listenAgain)
	}
	if changed {
		out = s.stepAll(nil, ownership.Tick{})
	}
	return out, next
}

// stirred has every claim look at what is heard now.
func (s *Speaker) stirred() {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	var out []transmission
	for _, o := range s.owned {
		if o.local {
			out = s.step(out, o, s.endpointsOf(o))
		} else {
			out = s.step(out, o, ownership.Tick{})
		}
	}
	s.mu.Unlock()
	s.transmit(out)
}

// watchHealth has the node's own endpoints looked at while the centre is away. s.mu is held.
func (s *Speaker) watchHealth(away bool) {
	var ports []uint32
	if away {
		for _, o := range s.owned {
			ports = append(ports, o.health...)
		}
	}
	s.health.Watch(ports)
}

// endpointsOf says whether the node has endpoints of a Service that the address is for.
func (s *Speaker) endpointsOf(o *owned) ownership.Endpoints {
	return anyHere(o.health, s.health.Here)
}

// anyHere says whether there are endpoints behind any of the ports. That there are none is known only once all have said so.
func anyHere(ports []uint32, ask func(port uint32) (known, here bool)) ownership.Endpoints {
	e := ownership.Endpoints{Known: len(ports) > 0}
	for _, port := range ports {
		known, here := ask(port)
		if known && here {
			return ownership.Endpoints{Known: true, Here: true}
		}
		e.Known = e.Known && known
	}
	return e
}

// rankOf returns the rank that the host with a hardware address has for an address.
func (s *Speaker) rankOf(o *owned, link string, mac ownership.MAC) int {
	node, ok := s.segments.Node(link, mac)
	if !ok {
		return ownership.Foreign
	}
	for rank, name := range o.nodes {
		if name == node {
			return rank
		}
	}
	return ownership.Unlisted
}

// answerable says whether an answer for an address may leave now to a packet that the kernel had at received: the process has
// not stood still since, and somebody was heard lately enough. s.mu is held for reading.
func (s *Speaker) answerable(o *owned, received time.Duration) bool {
	now := boottime.Now()
	if !s.life.awake(now, received) {
		signal(s.thaw)
		return false
	}
	return o.claim.Alone() || s.evidence(o.segment...).Answerable(now)
}
