package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// tookOver is why an address is where it is that its node took without having been told.
	tookOver = "it took the address over by itself while it did not hear the centre"
	// firstChoice is why a node has an address that nobody had before.
	firstChoice = "it was the first choice among the nodes that may own the address"
	// hadIt is why one stays where it is though a new store decided otherwise before it knew.
	hadIt = "it had the address already"
)

// whyMoved says why an address of a group leaves a node for another one.
func (t *layer2Table) whyMoved(g *group, a netip.Addr, from string, to int) string {
	if i, ok := t.nodes.index[from]; !ok {
		return fmt.Sprintf("node %s is no more", from)
	} else if _, why := t.deniedBy(g, a, i); why != "" {
		return why
	} else if why := t.asOne(g, to); why != "" && t.fellows[g].has(i) {
		return why
	} else if why := t.hindrance(g, i); why != "" {
		return why
	} else if score(g.weights, to) > score(g.weights, i) {
		return fmt.Sprintf("an L2Advertisement prefers %s", t.nodes.name(to))
	}
	return fmt.Sprintf("Services that share an address are announced by one node, and %s has another of theirs", t.nodes.name(to))
}

// hindrance says why a node cannot own the addresses of a group, or should not; empty where it could.
func (t *layer2Table) hindrance(g *group, node int) string {
	name := t.nodes.name(node)
	if _, message := t.nodes.exclusion(t.nodes.list[node]); message != "" {
		return message
	}
	if !g.mayOwn(node) {
		return g.unselected(node, name)
	}
	f := &t.election.facts[node]
	if _, why := t.denied(g, node); why != "" {
		return why
	}
	if !f.Connected {
		return fmt.Sprintf("the speaker of %s is not connected", name)
	}
	if ok, message := t.fit(g, node); !ok {
		return message
	}
	switch {
	case f.Leaving:
		return fmt.Sprintf("the speaker of %s is stopping", name)
	case t.nodes.draining.has(node):
		return fmt.Sprintf("%s is being drained (%s)", name, Drain)
	}
	return ""
}

// unselected says why a node may own no address of the group.
func (g *group) unselected(node int, name string) string {
	c := g.services[0]
	if !slices.ContainsFunc(c.ads, func(ad *l2Advertisement) bool { return ad.nodes.has(node) }) {
		return fmt.Sprintf("no L2Advertisement for Service %s selects %s", c.name, name)
	}
	return fmt.Sprintf("%s has no usable endpoint of Service %s, whose externalTrafficPolicy is Local", name, c.name)
}

// WhyNot says why a node does not own a layer-2 address that is announced; it is empty for the owner, and for addresses
// that are not announced. It may be called at any time, by any goroutine.
func (o *Output) WhyNot(a netip.Addr, node string) string {
	d, ok := o.Layer2[a]
	if !ok || d.Owner == node {
		return ""
	}
	t, g := o.layer2, o.layer2.groups[a]
	i, known := t.nodes.index[node]
	if !known {
		return fmt.Sprintf("there is no node %s", node)
	}
	if why := t.hindrance(g, i); why != "" {
		return why
	}
	if !slices.ContainsFunc(g.services, func(c *candidacy) bool { return slices.Contains(c.addrs, a) && c.nodes.has(i) }) {
		return g.unselected(i, node)
	}
	if rank := slices.Index(d.Standbys, node); rank >= 0 {
		return fmt.Sprintf("%s owns it, and %s stands by as number %d", d.Owner, node, rank+1)
	}
	if owner, ok := t.nodes.index[d.Owner]; ok && score(g.weights, owner) > score(g.weights, i) {
		return fmt.Sprintf("%s owns it, which an L2Advertisement prefers", d.Owner)
	}
	return fmt.Sprintf("%s owns it, and what works is not moved", d.Owner)
}

// MayOwn says whether a node may own a layer-2 address as far as configuration, exclusion and endpoints go, whatever its
// network is like. It may be called at any time, by any goroutine.
func (o *Output) MayOwn(a netip.Addr, node string) bool {
	g := o.layer2.groups[a]
	i, known := o.layer2.nodes.index[node]
	return g != nil && known && g.mayOwn(i)
}

// ServicesOf are the Services that are announced with a layer-2 address, sorted by name.
func (o *Output) ServicesOf(a netip.Addr) []types.NamespacedName {
	g := o.layer2.groups[a]
	if g == nil {
		return nil
	}
	var names []types.NamespacedName
	for _, c := range g.services {
		if slices.Contains(c.addrs, a) {
			names = append(names, c.name)
		}
	}
	return names
}

// Stamp fills in when what Plan decided anew was decided. Nobody else may have the Output yet.
func (o *Output) Stamp(now time.Time) {
	for a, d := range o.Decisions {
		if d.SinceMs != 0 || o.layer2.election.stored[a] == d {
			continue // it is of before, or an older version's
		}
		d.SinceMs = now.UnixMilli()
		o.Decisions[a] = d
		if told, ok := o.Layer2[a]; ok {
			told.SinceMs = d.SinceMs
			o.Layer2[a] = told
		}
	}
}
