package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ingot-lb/ingot/apiserver/segment"
)

// Segments is what is known of the links of nodes; a *segment.Verdicts.
type Segments interface {
	// Of says whether a node is fit to own an address.
	Of(node string, a netip.Addr, interfaces []string) segment.Verdict
	// Network is the network of an address: nodes reach all of its addresses alike.
	Network(a netip.Addr) netip.Prefix
	// Link is the link over which a node reaches an address.
	Link(node string, a netip.Addr, interfaces []string) (link string, ok bool)
	// Vouched says which other node hears the node on its link.
	Vouched(node, link string) (by string, ok bool)
	// Gone says whether a node knows that the owner of an address is off the segment and nobody answers for it.
	Gone(owner, by string, a netip.Addr) (gone bool, why string)
	// Meet says how a node hears another one on one of its links.
	Meet(node, link, other string, a netip.Addr) (m segment.Meeting, ok bool)
	// Witnesses are hosts to ask on a node's link that are none of ours.
	Witnesses(node, link string) []string
	// SharesMAC names the other nodes that have the hardware address of a node's link.
	SharesMAC(node, link string) []string
}

// judge says whether a node is fit to own an address of a group. One that is not connected is judged by its neighbours
// alone.
func (t *layer2Table) judge(g *group, a netip.Addr, node int) segment.Verdict {
	if t.segments == nil {
		return segment.Verdict{Fit: true, Keeps: true}
	}
	if by, why := t.deniedBy(g, a, node); by >= 0 {
		return segment.Verdict{Message: why}
	}
	if !t.election.connected.has(node) {
		return segment.Verdict{Fit: true, Keeps: true}
	}
	return t.segments.Of(t.nodes.name(node), a, g.interfaces(a, node))
}

// fit says whether a node may be given all addresses of a group; if not, message says why not.
func (t *layer2Table) fit(g *group, node int) (ok bool, message string) {
	return t.passes(g, node, func(v segment.Verdict) bool { return v.Fit })
}

// suits says whether a node that owns the addresses of a group may go on doing so, as far as its links go.
func (t *layer2Table) suits(g *group, node int) (ok bool, message string) {
	return t.passes(g, node, func(v segment.Verdict) bool { return v.Keeps })
}

func (t *layer2Table) passes(g *group, node int, test func(segment.Verdict) bool) (ok bool, message string) {
	if t.segments == nil {
		return true, ""
	}
	for _, a := range g.addrs {
		if !g.announces(a) {
			continue
		}
		if v := t.judge(g, a, node); !test(v) {
			return false, v.Message
		}
	}
	return true, ""
}

// fits is fit for who does not ask why: of many nodes.
func (t *layer2Table) fits(g *group, node int) bool {
	if t.segments == nil {
		return true
	}
	for _, a := range g.addrs {
		if g.announces(a) && !t.glance(g, a, node).Fit {
			return false
		}
	}
	return true
}

// glance is judge without the words. Where no node of a cluster is fit, each is looked at for each address; but all
// addresses of a network are reached alike. It is for Plan alone.
func (t *layer2Table) glance(g *group, a netip.Addr, node int) segment.Verdict {
	if g.named || len(t.election.vacant[a]) > 0 {
		return t.judge(g, a, node)
	}
	known := g.glances[a]
	if known == nil {
		known = t.survey(g, a)
		if g.glances == nil {
			g.glances = map[netip.Addr][]segment.Verdict{}
		}
		g.glances[a] = known
	}
	return known[node]
}

// survey judges all nodes, once for each network.
func (t *layer2Table) survey(g *group, a netip.Addr) []segment.Verdict {
	network := t.segments.Network(a)
	verdicts := t.surveys[network]
	if verdicts == nil {
		verdicts = make([]segment.Verdict, len(t.nodes.list))
		for i := range verdicts {
			verdicts[i] = t.judge(g, a, i)
		}
		t.surveys[network] = verdicts
	}
	return verdicts
}

// deniedBy is a node that could have an address and knows that its owner is gone; -1 where there is none.
func (t *layer2Table) deniedBy(g *group, a netip.Addr, owner int) (by int, why string) {
	if t.segments == nil {
		return -1, ""
	}
	for _, i := range t.election.vacant[a] {
		if i == owner || !g.mayOwn(i) {
			continue
		}
		if gone, why := t.segments.Gone(t.nodes.name(owner), t.nodes.name(i), a); gone {
			return i, why
		}
	}
	return -1, ""
}

// denied is deniedBy for any of a group's addresses.
func (t *layer2Table) denied(g *group, owner int) (by int, why string) {
	for _, a := range g.addrs {
		if by, why := t.deniedBy(g, a, owner); by >= 0 {
			return by, why
		}
	}
	return -1, ""
}

// vouched says who hears a node on a link over which it reaches an address of the group.
func (t *layer2Table) vouched(g *group, node int) (by string, ok bool) {
	if t.segments == nil {
		return "", false
	}
	name := t.nodes.name(node)
	for _, a := range g.addrs {
		if link, ok := t.segments.Link(name, a, g.interfaces(a, node)); ok {
			if by, ok := t.segments.Vouched(name, link); ok {
				return by, true
			}
		}
	}
	return "", false
}

// keeps reports whether a node that owns addresses of a group may keep them, as far as it is heard: its speaker is
// connected; or it has not released them, no standby knows better, and it has been away for no longer than the grace or a neighbour hears it.
func (t *layer2Table) keeps(g *group, node int) bool {
	f := &t.election.facts[node]
	if f.Connected {
		return true
	}
	if by, _ := t.denied(g, node); by >= 0 || f.Released {
		return false
	}
	if !f.Lost {
		return true
	}
	_, ok := t.vouched(g, node)
	return ok
}

// occupant is another node than the owner that may still answer for an address which the owner has not taken up yet.
// Until it has let go, or is gone, the owner must wait; an owner that does hold the address, or was ordered to, need not
// care.
func (t *layer2Table) occupant(g *group, a netip.Addr, d Decision) (hold, bool) {
	e := t.election
	if len(e.holds[a]) == 0 || e.holding(d.Owner, a) || e.ordered(d.Owner, a, d.Term) {
		return hold{}, false
	}
	for _, h := range e.holds[a] {
		if h.node != d.Owner && !t.gone(g, a, h, d.Owner) {
			return h, true
		}
	}
	return hold{}, false
}

// gone says that a node which held an address can no longer be asked to let go of it, and need not be.
func (t *layer2Table) gone(g *group, a netip.Addr, h hold, owner string) bool {
	if t.segments != nil {
		if gone, _ := t.segments.Gone(h.node, owner, a); gone {
			return true
		}
	}
	if !h.unheard {
		return false
	}
	if i, ok := t.nodes.index[h.node]; ok && !t.election.facts[i].Released {
		if _, vouched := t.vouched(g, i); vouched {
			return false
		}
	}
	return true
}

// worth is how well a node would do as an owner when nobody is fit for everything.
type worth struct{ fitness, reach, heard int }

func (w worth) better(o worth) bool {
	return cmp.Or(cmp.Compare(w.fitness, o.fitness), cmp.Compare(w.reach, o.reach), cmp.Compare(w.heard, o.heard)) > 0
}

func (t *layer2Table) worth(g *group, node int) (w worth) {
	if t.segments == nil {
		return worth{}
	}
	for _, a := range g.addrs {
		if !g.announces(a) {
			continue
		}
		v := t.glance(g, a, node)
		switch {
		case v.Fit:
			w.fitness += 2
		case v.Keeps:
			w.fitness++
		}
		switch v.Reason {
		case segment.NoLink, segment.LinkDown, segment.LinkUnfit: // nothing works there
		default:
			w.reach++
		}
		if v.Witness == segment.Heard {
			w.heard++
		}
	}
	return w
}

// maxTroubles bounds, in bytes, what is said of nodes that are not fit: it goes into events.
const maxTroubles = 500

// troubles says why none of some nodes is fit; of the first few, by name.
func (t *layer2Table) troubles(g *group, set bitset) string {
	var words []string
	size, more := 0, 0
	for i := range set.members() {
		if more > 0 {
			more++
			continue
		}
		switch ok, message := t.fit(g, i); {
		case ok || slices.Contains(words, message):
		case size > 0 && size+len(message) > maxTroubles:
			more++
		default:
			words = append(words, message)
			size += len(message)
		}
	}
	slices.Sort(words)
	said := once(words)
	if more > 0 {
		said += fmt.Sprintf("; and %d more", more)
	}
	return said
}

// once joins sentences, and says each clause of theirs once.
func once(sentences []string) string {
	var said []string
	for _, clause := range strings.Split(strings.Join(sentences, "; "), "; ") {
		if !slices.Contains(said, clause) {
			said = append(said, clause)
		}
	}
	return strings.Join(said, "; ")
}
