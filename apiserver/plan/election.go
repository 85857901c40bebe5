package plan

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"net/netip"
	"slices"
)

// election knows the layer-2 owners of before: the stored decisions, put right by what speakers hold.
type election struct {
	nodes     *nodeList
	facts     []NodeFacts // by position in nodes
	connected bitset
	stored    map[netip.Addr]Decision
	holds     map[netip.Addr][]hold
	// base is the term before the first.
	base uint64
}

// hold is one node's word that it owns an address.
type hold struct {
	node string
	term uint64
	// gone says that the node can no longer be asked to let go.
	gone bool
	// answers says that the node is connected and answers for the address.
	answers bool
}

func newElection(in Input, nodes *nodeList) *election {
	e := &election{
		nodes: nodes, facts: make([]NodeFacts, len(nodes.list)), connected: newBitset(len(nodes.list)),
		stored: in.Decisions, holds: map[netip.Addr][]hold{},
	}
	if in.Superseding {
		e.base = 1
	}
	for name, f := range in.Facts {
		if i, ok := nodes.index[name]; ok {
			e.facts[i] = f
			if f.Connected {
				e.connected.add(i)
			}
		}
		for a, term := range f.Holds {
			e.holds[a] = append(e.holds[a], hold{
				node: name, term: term, gone: f.Lost && !f.Connected, answers: f.Connected && !f.Waits[a],
			})
		}
	}
	for _, list := range e.holds { // the highest term first
		slices.SortFunc(list, func(a, b hold) int { return cmp.Or(cmp.Compare(b.term, a.term), cmp.Compare(a.node, b.node)) })
	}
	return e
}

// before is the decision on an address as it was: the stored one, unless a node holds the address with a higher
// term (the decisions are gone or are of an older backup, or the segment took over by itself). A node that holds it
// with the stored term, while the stored owner does not hold it at all, was the owner too: no two nodes are given
// one term by one centre, so the stored decision is that of another, newer lineage, and the address need not move.
func (e *election) before(a netip.Addr) (Decision, bool) {
	d, ok := e.stored[a]
	holds := e.holds[a]
	if len(holds) == 0 {
		return d, ok
	}
	top := holds[0]
	if !ok || top.term > d.Term || (top.term == d.Term && !e.holding(d.Owner, a)) {
		return Decision{Owner: top.node, Term: top.term}, true
	}
	return d, true
}

func (e *election) holding(node string, a netip.Addr) bool {
	return slices.ContainsFunc(e.holds[a], func(h hold) bool { return h.node == node })
}

// occupant is another node than the owner that may still answer for an address which the owner has not taken up
// yet. Until it has let go, or is lost, the owner must wait; an owner that does hold the address need not care.
func (e *election) occupant(a netip.Addr, owner string) (string, bool) {
	if e.holding(owner, a) {
		return "", false
	}
	for _, h := range e.holds[a] {
		if h.node != owner && !h.gone {
			return h.node, true
		}
	}
	return "", false
}

// incumbent is a connected node that answers for an address while the one it was given to does not. It was given away
// because its node was not heard; now that it is, and the segment never missed it, the address need not move.
func (e *election) incumbent(a netip.Addr) (string, bool) {
	d, _ := e.before(a)
	answering := ""
	for _, h := range e.holds[a] {
		if h.answers && h.node == d.Owner {
			return "", false
		}
		if h.answers && answering == "" {
			answering = h.node
		}
	}
	return answering, answering != ""
}

// present reports whether a node that owns an address may keep it: its speaker is connected, or has been away for
// no longer than the grace.
func (e *election) present(node int) bool { return e.facts[node].Connected || !e.facts[node].Lost }

// choose decides who owns, among the eligible nodes, which are connected or own already. before lists the owners of
// the group's addresses until now.
//
// The first of them that is eligible stays, unless a preference says that a connected node is better. Only where none
// stays is there an election, among nodes whose speakers are connected. ok is false where nobody can own.
func (e *election) choose(eligible bitset, before []string, scores []int, first netip.Addr) (owner string, ok bool) {
	candidates := eligible.and(e.connected)
	for _, name := range before {
		i, known := e.nodes.index[name]
		if !known || !eligible.has(i) {
			continue
		}
		if preferred(candidates, scores, i) {
			break
		}
		return name, true
	}
	if best := bestOf(e.nodes, candidates, scores, first); best >= 0 {
		return e.nodes.name(best), true
	}
	return "", false
}

// preferred reports whether any candidate scores higher than the given node.
func preferred(candidates bitset, scores []int, node int) bool {
	if scores == nil {
		return false
	}
	for i := range candidates.members() {
		if scores[i] > scores[node] {
			return true
		}
	}
	return false
}

func score(scores []int, node int) int {
	if scores == nil {
		return 0
	}
	return scores[node]
}

// bestOf is the node that MetalLB's order puts first (spec.md section 5.1, point 7): by score descending, then by
// the SHA-256 of "node#address" ascending. It is -1 for an empty set.
func bestOf(nodes *nodeList, set bitset, scores []int, first netip.Addr) int {
	best := -1
	var bestHash [sha256.Size]byte
	for i := range set.members() {
		if best >= 0 && score(scores, i) < score(scores, best) {
			continue
		}
		hash := electionHash(nodes.name(i), first)
		if best < 0 || score(scores, i) > score(scores, best) || bytes.Compare(hash[:], bestHash[:]) < 0 {
			best, bestHash = i, hash
		}
	}
	return best
}

func electionHash(node string, first netip.Addr) [sha256.Size]byte {
	return sha256.Sum256([]byte(node + "#" + first.String()))
}
