package segment

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// ear is what a node hears on one of its links, as it last said.
type ear struct {
	node, link string
	peers      []sound
	witnesses  []sound
	// nodes are hosts that it asks as witnesses and that are nodes. They count for nothing.
	nodes []sound
	// answered says that anybody answers; asked that anybody was asked and known to be silent; waiting that somebody is
	// asked of whom nothing is known yet.
	answered, asked, waiting bool
	// brisk says that the link is listened to at the pace of owners and standbys.
	brisk bool
	// quiet is when the last one fell silent, as the node said; zero where it did not.
	quiet time.Time
	// deafTo says that a witness is silent.
	deafTo bool
}

// sound is what is heard of one peer or witness.
type sound struct {
	// name is that of a peer's node, or the address of a witness.
	name string
	addr netip.Addr
	// mac is the hardware address of a witness, where it is known.
	mac    string
	answer answer
	// arrives says that its frames are heard, whether it answers or not.
	arrives bool
	// watched says that there is a BFD session with it, up that this is up.
	watched, up bool
	// routes says that it is a router.
	routes bool
	// rare says that the node asks it every now and then only, since nobody told it to: a host that asked for an address. What
	// it says of it may be older than what it says of others.
	rare  bool
	since time.Time
	// kept is since when nothing is known of it but what was known before, as the centre knows; zero where something is.
	kept time.Time
}

// answer is whether a peer or witness answers in any way.
type answer int

const (
	unknown answer = iota
	answers
	silent
)

func answerOf(a ingotv1.Answer) answer {
	switch a {
	case ingotv1.Answer_ANSWER_ANSWERS:
		return answers
	case ingotv1.Answer_ANSWER_SILENT:
		return silent
	}
	return unknown
}

// bfdUp is the state of RFC 5880 in which both sides hear each other.
const bfdUp = "Up"

// listen reads a report; before is what was heard until then, nil for nothing. Nothing is known for a moment of
// those who are asked anew, as after a change of orders; they have not changed by that.
func listen(node string, r *ingotv1.SegmentReport, before *ear, now time.Time) *ear {
	e := &ear{node: node, link: r.GetInterface()}
	for _, p := range r.GetPeers() {
		s := sound{name: p.GetNode(), addr: parse(p.GetAddress()), answer: answerOf(p.GetAnswer()), arrives: p.GetHeard(),
			watched: p.GetBfdState() != "", up: p.GetBfdState() == bfdUp, since: unix(max(p.GetSinceMs(), p.GetBfdSinceMs()))}
		if s.up {
			s.answer = answers // BFD is up only where both hear each other
		}
		s.stays(before.peer(s.name), now)
		e.brisk = e.brisk || s.watched
		e.peers = append(e.peers, s)
	}
	for _, w := range r.GetWitnesses() {
		s := sound{name: w.GetAddress(), addr: parse(w.GetAddress()), answer: answerOf(w.GetAnswer()), since: unix(w.GetSinceMs()),
			mac: strings.ToLower(w.GetMac()), routes: w.GetSource() == ingotv1.WitnessReport_SOURCE_NEXT_HOP, arrives: w.GetSource() == ingotv1.WitnessReport_SOURCE_ASKER,
			rare: w.GetSource() == ingotv1.WitnessReport_SOURCE_ASKER}
		s.stays(before.witness(s.name), now)
		e.witnesses = append(e.witnesses, s)
	}
	e.count()
	return e
}

// sift is the ear with those of its witnesses put aside that are nodes; itself where they are already.
func (e *ear) sift(t *topology) *ear {
	right := func(list []sound, node bool) bool {
		return !slices.ContainsFunc(list, func(s sound) bool { return t.isNode(s.addr, s.mac) != node })
	}
	if right(e.witnesses, false) && right(e.nodes, true) {
		return e
	}
	sifted := *e
	sifted.witnesses, sifted.nodes = nil, nil
	for _, list := range [][]sound{e.witnesses, e.nodes} {
		for _, s := range list {
			if t.isNode(s.addr, s.mac) {
				sifted.nodes = append(sifted.nodes, s)
			} else {
				sifted.witnesses = append(sifted.witnesses, s)
			}
		}
	}
	sifted.count()
	return &sifted
}

// isNode says whether a host that is asked as a witness is a node: by its address, or where that means something on the
// link alone, by its hardware address.
func (t *topology) isNode(a netip.Addr, mac string) bool {
	return t.addresses[a] > 0 || a.IsLinkLocalUnicast() && len(t.macs[mac]) > 0
}

// count works out what all of them do together.
func (e *ear) count() {
	e.answered, e.asked, e.waiting, e.deafTo, e.quiet = false, false, false, false, time.Time{}
	for _, list := range [][]sound{e.peers, e.witnesses} {
		for _, s := range list {
			e.add(s)
		}
	}
	for _, w := range e.witnesses {
		e.deafTo = e.deafTo || w.answer == silent
	}
}

func (e *ear) add(s sound) {
	switch s.answer {
	case answers:
		e.answered = true
	case silent:
		e.asked = true
		if s.since.After(e.quiet) {
			e.quiet = s.since
		}
	default:
		e.waiting = true
	}
}

// stays is as it was before, as long as nothing is known.
func (s *sound) stays(before *sound, now time.Time) {
	if before == nil || s.answer != unknown {
		return
	}
	s.answer, s.since, s.kept = before.answer, before.since, before.kept
	if s.kept.IsZero() {
		s.kept = now
	}
}

// witness is what is heard of a witness, nil if nothing is.
func (e *ear) witness(name string) *sound {
	if e == nil {
		return nil
	}
	for i := range e.witnesses {
		if e.witnesses[i].name == name {
			return &e.witnesses[i]
		}
	}
	return nil
}

// peer is what is heard of a node, nil if nothing is.
func (e *ear) peer(node string) *sound {
	if e == nil {
		return nil
	}
	for i := range e.peers {
		if e.peers[i].name == node {
			return &e.peers[i]
		}
	}
	return nil
}

// hearsBesides says whether anybody answers but one node.
func (e *ear) hearsBesides(node string) bool { return e.besides(node) != nil }

// besides is somebody who answers and is not one node, preferably one of whom something newer is known; nil if nobody does.
func (e *ear) besides(node string) (found *sound) {
	for _, list := range [][]sound{e.peers, e.witnesses} {
		for i := range list {
			s := &list[i]
			if s.answer != answers || s.name == node {
				continue
			}
			if !s.rare && s.kept.IsZero() {
				return s
			}
			if found == nil || found.rare && !s.rare {
				found = s
			}
		}
	}
	return found
}

// hearing is what witnesses do.
func (e *ear) hearing() Hearing {
	h := None
	for _, w := range e.witnesses {
		switch w.answer {
		case answers:
			return Heard
		case silent:
			h = Silent
		}
	}
	return h
}

// parse is the zero Addr for what is none.
func parse(text string) netip.Addr {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return a.WithZone("")
}

func unix(ms int64) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
