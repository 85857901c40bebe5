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
	// inService are the connected nodes that are not about to leave it.
	inService bitset
	stored    map[netip.Addr]Decision
	holds     map[netip.Addr][]hold
	// stands and vacant are who stands by for an address, and who found that nobody answers for it.
	stands, vacant map[netip.Addr][]int
	// base is the term before the first.
	base uint64
}

// hold is one node's word that it owns an address.
type hold struct {
	node string
	term uint64
	// unheard says that the node has not been heard for longer than the grace.
	unheard bool
	// answers says that the node is connected, answers for the address, and was not told to stop.
	answers bool
}

func newElection(in Input, nodes *nodeList) *election {
	e := &election{
		nodes: nodes, facts: make([]NodeFacts, len(nodes.list)), connected: newBitset(len(nodes.list)), inService: newBitset(len(nodes.list)),
		stored: in.Decisions, holds: map[netip.Addr][]hold{}, stands: map[netip.Addr][]int{}, vacant: map[netip.Addr][]int{},
	}
	if in.Superseding {
		e.base = 1
	}
	for name, f := range in.Facts {
		if i, ok := nodes.index[name]; ok {
			e.place(i, f)
		}
		for a, term := range f.Holds {
			e.holds[a] = append(e.holds[a], hold{
				node: name, term: term, unheard: f.Lost && !f.Connected, answers: f.Connected && !f.Waits[a] && !f.told(a),
			})
		}
	}
	for _, list := range e.holds { // the highest term first
		slices.SortFunc(list, func(a, b hold) int { return cmp.Or(cmp.Compare(b.term, a.term), cmp.Compare(a.node, b.node)) })
	}
	for _, index := range []map[netip.Addr][]int{e.stands, e.vacant} {
		for _, list := range index {
			slices.Sort(list)
		}
	}
	return e
}

// place takes what is known of a node that exists.
func (e *election) place(i int, f NodeFacts) {
	e.facts[i] = f
	if f.Connected {
		e.connected.add(i)
		if !f.Leaving && !e.nodes.draining.has(i) {
			e.inService.add(i)
		}
		for a := range f.Vacant {
			e.vacant[a] = append(e.vacant[a], i)
		}
	}
	for a := range f.Stands {
		e.stands[a] = append(e.stands[a], i)
	}
}

// told says that the node was told to let go of an address, and has not said yet that it did. One that stands by and took
// it was not.
func (f NodeFacts) told(a netip.Addr) bool {
	_, ordered := f.Orders[a]
	return f.Orders != nil && !ordered && !f.Stands[a]
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
		reason := ""
		switch {
		case !ok || top.node == d.Owner:
		case top.term > d.Term:
			reason = tookOver
		default:
			reason = hadIt
		}
		return Decision{Owner: top.node, Term: top.term, Reason: reason}, true
	}
	return d, true
}

func (e *election) holding(node string, a netip.Addr) bool {
	return slices.ContainsFunc(e.holds[a], func(h hold) bool { return h.node == node })
}

// ordered says that a node was ordered to own an address with a term. What was ordered may have been done.
func (e *election) ordered(node string, a netip.Addr, term uint64) bool {
	i, ok := e.nodes.index[node]
	return ok && e.facts[i].Orders != nil && e.facts[i].Orders[a] == term
}

// incumbent is a connected node that answers for an address while the one it was given to does not. It was given away
// because its node was not heard; now that it is, and the segment never missed it, the address need not move.
func (e *election) incumbent(a netip.Addr) (string, bool) {
	holds := e.holds[a]
	if len(holds) == 0 {
		return "", false
	}
	d, _ := e.before(a)
	answering := ""
	for _, h := range holds {
		if h.answers && h.node == d.Owner {
			return "", false
		}
		if h.answers && answering == "" {
			answering = h.node
		}
	}
	return answering, answering != ""
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
