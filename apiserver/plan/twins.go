package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ingot-lb/ingot/apiserver/segment"
)

// A switch takes links with one hardware address for one host, and sends all that is for it to the port that it was heard
// on last. Nodes with such links take each other's traffic away, even when nothing is wrong with either otherwise; if one
// of them announces all addresses, and the others keep still, all addresses are reached.

// twinned is a set of nodes with one hardware address on one network, some of which have to own addresses because nobody
// else can.
type twinned struct {
	nodes []int
	// could, owns and heard are, for each node of the cluster: how many addresses it can have that only twins can, how many
	// of these it has, and whether a witness answers it.
	could, owns map[int]int
	heard       map[int]segment.Hearing
	// chosen is the one that announces, fellows are the others.
	chosen  int
	fellows bitset
}

// choose picks the one of them that is to announce all addresses that it can: one that a witness answers, is to stay in
// service, can have the most addresses and has the most already. So it stays the same once it has them.
func (s *twinned) choose(inService bitset, size int) {
	staying := func(i int) int {
		if inService.has(i) {
			return 1
		}
		return 0
	}
	s.chosen = slices.MaxFunc(s.nodes, func(a, b int) int {
		return cmp.Or(cmp.Compare(s.worth(a), s.worth(b)), cmp.Compare(staying(a), staying(b)), cmp.Compare(s.could[a], s.could[b]),
			cmp.Compare(s.owns[a], s.owns[b]), cmp.Compare(b, a))
	})
	s.fellows = newBitset(size)
	for _, n := range s.nodes {
		if n != s.chosen {
			s.fellows.add(n)
		}
	}
}

func (s *twinned) worth(i int) int {
	switch s.heard[i] {
	case segment.Heard:
		return 2
	case segment.None:
		return 1
	}
	return 0
}

// spokesman is the twin that is to own the addresses of a group for which nobody is fit, and its fellows, that are not to;
// -1 where there are no twins among the candidates, or the chosen one is none of these.
func (t *layer2Table) spokesman(g *group, candidates bitset) (chosen int, fellows bitset) {
	for _, a := range g.addrs {
		if !g.announces(a) {
			continue
		}
		kin := t.kin(g, a)
		if kin == nil {
			continue
		}
		if t.twins == nil {
			t.twins = t.gather()
		}
		for i := range candidates.members() {
			if s := t.twins[kin[i]]; s != nil && candidates.has(s.chosen) {
				return s.chosen, s.fellows
			}
		}
	}
	return -1, nil
}

// kin names for each node the set of twins to which it belongs on the link over which it reaches an address; "" where its
// hardware address is its own. It is nil where there are no twins.
func (t *layer2Table) kin(g *group, a netip.Addr) []string {
	if t.segments == nil {
		return nil
	}
	network := t.segments.Network(a)
	if names, known := t.kins[network]; known && !g.named {
		return names
	}
	var names []string
	for i := range t.nodes.list {
		if name := t.kinOf(g, a, i); name != "" {
			if names == nil {
				names = make([]string, len(t.nodes.list))
			}
			names[i] = name
		}
	}
	if !g.named {
		t.kins[network] = names
	}
	return names
}

func (t *layer2Table) kinOf(g *group, a netip.Addr, node int) string {
	name := t.nodes.name(node)
	link, ok := t.segments.Link(name, a, g.interfaces(a, node))
	if !ok {
		return ""
	}
	others := t.segments.SharesMAC(name, link)
	if len(others) == 0 {
		return ""
	}
	first := name // the first of them, by name, and its link stand for all; links of twins may have different names
	for _, other := range others {
		i, known := t.nodes.index[other]
		if !known || other >= first {
			continue
		}
		if l, ok := t.segments.Link(other, a, g.interfaces(a, i)); ok {
			first, link = other, l
		}
	}
	return first + " " + link
}

// gather finds the twins that have to own addresses, by what kin says. All groups count that nobody can own who is fit.
func (t *layer2Table) gather() map[string]*twinned {
	found := map[string]*twinned{}
	for _, g := range t.all {
		if len(g.services) == 0 {
			continue
		}
		candidates := g.eligible(t.election.connected)
		if t.anyFit(g, candidates) {
			continue
		}
		owners := t.positions(t.ownersBefore(g), func(int) bool { return true })
		for _, a := range g.addrs {
			if !g.announces(a) {
				continue
			}
			kin := t.kin(g, a)
			if kin == nil {
				continue
			}
			for i := range candidates.members() {
				if kin[i] != "" {
					t.register(found, kin[i], i, owners.has(i), t.glance(g, a, i).Witness)
				}
			}
		}
	}
	for _, s := range found {
		s.choose(t.election.inService, len(t.nodes.list))
	}
	return found
}

func (t *layer2Table) register(found map[string]*twinned, kin string, node int, owns bool, heard segment.Hearing) {
	s := found[kin]
	if s == nil {
		s = &twinned{could: map[int]int{}, owns: map[int]int{}, heard: map[int]segment.Hearing{}}
		found[kin] = s
	}
	if s.could[node] == 0 {
		s.nodes = append(s.nodes, node)
	}
	s.could[node]++
	if owns {
		s.owns[node]++
	}
	s.heard[node] = heard
}

// anyFit says whether any of the candidates is fit.
func (t *layer2Table) anyFit(g *group, candidates bitset) bool {
	for i := range candidates.members() {
		if t.fits(g, i) {
			return true
		}
	}
	return false
}

// asOne explains that a node announces the addresses of a group for its twins, too; empty where it does not.
func (t *layer2Table) asOne(g *group, node int) string {
	fellows := t.fellows[g]
	if fellows.empty() || fellows.has(node) {
		return ""
	}
	var names []string
	for i := range fellows.members() {
		names = append(names, t.nodes.name(i))
	}
	return fmt.Sprintf("a switch takes %s and %s for one host, so that one of them announces all their addresses", t.nodes.name(node), strings.Join(names, ", "))
}
