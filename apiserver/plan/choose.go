package plan

import (
	"net/netip"
	"slices"
	"strings"
)

// choose decides who owns the addresses of a group, among the eligible nodes, which are connected or own already; -1
// where nobody can. owners are those until now.
//
// The first of them that is eligible stays, as long as the network reaches it and it is to stay in service, unless a
// preference says that another such node is better. Only where none stays is there an election among such nodes. Where
// there is none of them, whoever is fit goes on though it is to leave; and where nobody is fit, whoever does best.
func (t *layer2Table) choose(g *group, eligible bitset, owners []string) int {
	candidates := eligible.and(t.election.connected)
	for _, name := range owners {
		i, known := t.nodes.index[name]
		if !known || !eligible.has(i) || t.election.connected.has(i) && !t.election.inService.has(i) {
			continue
		}
		if ok, _ := t.suits(g, i); !ok {
			continue
		}
		if t.preferred(g, candidates, i) {
			break
		}
		return i
	}
	serving := t.fitOf(g, candidates.and(t.election.inService))
	if !serving.empty() {
		return t.elect(g, serving, owners)
	}
	return t.makeshift(g, eligible, candidates, owners)
}

// preferred reports whether any candidate that is fit and stays in service scores higher than the given node.
func (t *layer2Table) preferred(g *group, candidates bitset, node int) bool {
	if g.weights == nil {
		return false
	}
	for i := range candidates.members() {
		if g.weights[i] > g.weights[node] && t.election.inService.has(i) && t.fits(g, i) {
			return true
		}
	}
	return false
}

// fitOf are those of some nodes that are fit.
func (t *layer2Table) fitOf(g *group, set bitset) bitset {
	if t.segments == nil {
		return set
	}
	fit := newBitset(len(t.nodes.list))
	for i := range set.members() {
		if t.fits(g, i) {
			fit.add(i)
		}
	}
	return fit
}

// elect picks the next owner: by preference; then who found the address without its owner, for it can take it at once;
// then who stands by; then as MetalLB's order says.
func (t *layer2Table) elect(g *group, serving bitset, owners []string) int {
	best := newBitset(len(t.nodes.list))
	highest := 0
	for i := range serving.members() {
		highest = max(highest, score(g.weights, i))
	}
	for i := range serving.members() {
		if score(g.weights, i) == highest {
			best.add(i)
		}
	}
	for _, ready := range []bitset{t.finders(g, owners), t.standing(g)} {
		if both := best.and(ready); !both.empty() {
			best = both
		}
	}
	return bestOf(t.nodes, best, g.weights, g.first)
}

// finders are the nodes that know that one of the owners is gone.
func (t *layer2Table) finders(g *group, owners []string) bitset {
	set := newBitset(len(t.nodes.list))
	if t.segments == nil {
		return set
	}
	for _, a := range g.addrs {
		for _, i := range t.election.vacant[a] {
			if slices.ContainsFunc(owners, func(owner string) bool {
				gone, _ := t.segments.Gone(owner, t.nodes.name(i), a)
				return gone && owner != t.nodes.name(i)
			}) {
				set.add(i)
			}
		}
	}
	return set
}

// standing are the nodes that stand by for any address of the group.
func (t *layer2Table) standing(g *group) bitset {
	set := newBitset(len(t.nodes.list))
	for _, a := range g.addrs {
		for _, i := range t.election.stands[a] {
			set.add(i)
		}
	}
	return set
}

// makeshift picks an owner where no node is both fit and in service, and says so. It changes nothing that works.
func (t *layer2Table) makeshift(g *group, eligible, candidates bitset, owners []string) int {
	stays := -1
	for _, name := range owners {
		if i, known := t.nodes.index[name]; known && eligible.has(i) {
			stays = i
			break
		}
	}
	if stays >= 0 {
		if ok, _ := t.suits(g, stays); ok {
			t.undrained(g, stays)
			return stays
		}
	}
	if fit := t.fitOf(g, candidates); !fit.empty() {
		next := t.elect(g, fit, owners)
		t.undrained(g, next)
		return next
	}
	if chosen, fellows := t.spokesman(g, candidates); chosen >= 0 {
		candidates = candidates.minus(fellows) // they would take its traffic away
		if stays >= 0 && fellows.has(stays) {
			stays = chosen
		}
		t.fellows[g] = fellows
	}
	owner := stays
	if better := t.best(g, candidates, stays); !better.empty() {
		owner = t.elect(g, better, owners)
	}
	if owner < 0 {
		return -1
	}
	why := t.troubles(g, candidates)
	if one := t.asOne(g, owner); one != "" {
		why = one + "; " + why
	}
	for _, c := range g.services {
		c.withhold(t.note, Layer2, netip.Addr{}, ReasonUnfit, "no node that may own %s is as it should be; %s announces it nevertheless: %s",
			texts(g.addrs), t.nodes.name(owner), why)
	}
	return owner
}

// undrained says that a node that is to leave service has to go on.
func (t *layer2Table) undrained(g *group, node int) {
	if t.election.inService.has(node) || !t.election.connected.has(node) {
		return
	}
	for _, c := range g.services {
		c.withhold(t.note, Layer2, netip.Addr{}, ReasonNotDrained, "%s is to go out of service, and goes on announcing %s: no other node can take over", t.nodes.name(node), texts(g.addrs))
	}
}

// best are those of the candidates that would do best, and better than who has the addresses; -1 if nobody has.
func (t *layer2Table) best(g *group, candidates bitset, owner int) bitset {
	best := newBitset(len(t.nodes.list))
	most, known := worth{}, owner >= 0
	if known {
		most = t.worth(g, owner)
	}
	for i := range candidates.members() {
		switch w := t.worth(g, i); {
		case !known || w.better(most):
			clear(best)
			best.add(i)
			most, known = w, true
		case w == most && !best.empty():
			best.add(i)
		}
	}
	return best
}

func texts(addrs []netip.Addr) string {
	words := make([]string, 0, len(addrs))
	for _, a := range addrs {
		words = append(words, a.String())
	}
	return strings.Join(words, " and ")
}
