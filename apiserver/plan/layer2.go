package plan

import (
	"net/netip"
	"slices"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// layer2Table decides the owners of layer-2 addresses and makes their items.
type layer2Table struct {
	nodes     *nodeList
	election  *election
	decisions map[netip.Addr]Decision
	// items are by position of the node.
	items []map[string]*ingotv1.Item
	seal  digester
	note  func(Withheld)
}

// plan handles all Services that have addresses, announced or not.
func (t *layer2Table) plan(services []*service) {
	var members []*service
	announceable := map[*service]*candidacy{}
	for _, s := range services {
		if s.pool == nil || len(s.pool.layer2) == 0 {
			t.keep(s.addrs)
			continue
		}
		members = append(members, s)
		if c := t.candidacy(s); c != nil {
			announceable[s] = c
		}
	}
	for _, g := range newGroups(members, announceable) {
		t.decide(g)
	}
}

// keep retains the decisions on addresses that are not announced but still held by a Service.
func (t *layer2Table) keep(addrs []netip.Addr) {
	for _, a := range addrs {
		if _, ok := t.decisions[a]; ok {
			continue
		}
		if d, ok := t.election.before(a); ok {
			t.decisions[a] = d
		}
	}
}

// candidacy says where a Service can be announced, or says why it cannot (spec.md section 5.1, points 1 to 6).
func (t *layer2Table) candidacy(s *service) *candidacy {
	if !s.reachable {
		s.withhold(t.note, Layer2, netip.Addr{}, ReasonNoEndpoints, "the Service has no usable endpoint")
		return nil
	}
	c := &candidacy{service: s}
	selective := false
	selected := newBitset(len(t.nodes.list))
	for _, ad := range s.pool.layer2 {
		if ad.services.match(s.Labels) {
			c.ads = append(c.ads, ad)
			selective = selective || len(ad.services) > 0
			selected = selected.or(ad.nodes)
		}
	}
	c.nodes = selected.and(t.nodes.usable)
	switch {
	case len(c.ads) == 0:
		s.withhold(t.note, Layer2, netip.Addr{}, ReasonNoMatchingAdvertisement, "no L2Advertisement of %s selects the Service", s.pool)
	case selective && s.shares():
		s.withhold(t.note, Layer2, netip.Addr{}, ReasonSharedIPWithServiceSelector, "the Service may share its address, and an L2Advertisement that applies to it has serviceSelectors; the two exclude each other")
	case selected.empty():
		s.withhold(t.note, Layer2, netip.Addr{}, ReasonNoMatchingAdvertisement, "the L2Advertisements that select the Service select no node")
	case c.nodes.empty():
		s.withhold(t.note, Layer2, netip.Addr{}, ReasonNotOwner, "every node that the L2Advertisements select is excluded")
	case s.local && !c.nodes.overlaps(s.endpoints):
		s.withhold(t.note, Layer2, netip.Addr{}, ReasonNoLocalEndpoints, "externalTrafficPolicy is Local and no node that may own the address has a usable endpoint")
	default:
		if s.local {
			c.nodes = c.nodes.and(s.endpoints)
		}
		return c
	}
	return nil
}

// decide settles who owns a group's addresses and gives that node its items.
func (t *layer2Table) decide(g *group) {
	if len(g.services) == 0 {
		t.keep(g.addrs)
		return
	}
	owners := t.ownersBefore(g)
	eligible := g.eligible(t.election.connected.or(t.positions(owners, t.election.present)))
	if eligible.empty() { // nobody can take it: whoever has it goes on if it may, lost or not
		eligible = g.eligible(t.positions(owners, func(int) bool { return true }))
	}
	owner, ok := t.election.choose(eligible, owners, g.scores(len(t.nodes.list)), g.first)
	if !ok {
		t.keep(g.addrs)
		for _, c := range g.services {
			c.withhold(t.note, Layer2, netip.Addr{}, ReasonNoSpeaker, "no node that may own the address has a connected speaker")
		}
		return
	}
	for _, a := range g.addrs {
		d, known := t.election.before(a)
		if !known || d.Owner != owner {
			d = Decision{Owner: owner, Term: max(d.Term, t.election.base) + 1}
		}
		t.decisions[a] = d
		t.give(g, a, d)
	}
}

// ownersBefore are the owners of the group's addresses until now, that of its first address first; for each address,
// who answers for it goes before whom it was given to and who does not.
func (t *layer2Table) ownersBefore(g *group) []string {
	var owners []string
	for _, a := range append([]netip.Addr{g.first}, g.addrs...) {
		if node, ok := t.election.incumbent(a); ok && !slices.Contains(owners, node) {
			owners = append(owners, node)
		}
		if d, ok := t.election.before(a); ok && !slices.Contains(owners, d.Owner) {
			owners = append(owners, d.Owner)
		}
	}
	return owners
}

// positions is the set of those of the named nodes that exist and that keep says to keep.
func (t *layer2Table) positions(names []string, keep func(node int) bool) bitset {
	set := newBitset(len(t.nodes.list))
	for _, name := range names {
		if i, ok := t.nodes.index[name]; ok && keep(i) {
			set.add(i)
		}
	}
	return set
}

// give makes the owner's item for one address, unless another node has yet to let go of it.
func (t *layer2Table) give(g *group, a netip.Addr, d Decision) {
	n := t.nodes.index[d.Owner]
	occupant, occupied := t.election.occupant(a, d.Owner)
	content := &ingotv1.Layer2Address{Address: a.String(), Role: ingotv1.Layer2Address_ROLE_OWNER, Term: d.Term, Owner: d.Owner}
	var ads []*l2Advertisement
	for _, c := range g.services {
		i := slices.Index(c.addrs, a)
		switch {
		case i < 0:
		case !c.nodes.has(n):
			c.withhold(t.note, Layer2, a, ReasonNotOwner, "node %s owns %s, which other Services share, and cannot announce it for this one", d.Owner, a)
		case occupied:
			c.withhold(t.note, Layer2, a, ReasonHandover, "node %s takes %s over once node %s has stopped answering for it", d.Owner, a, occupant)
		default:
			content.Services = append(content.Services, c.refs[i])
			ads = append(ads, c.ads...)
		}
	}
	if len(content.Services) == 0 {
		return
	}
	content.Interfaces = interfaces(ads, n)
	item := &ingotv1.Item{Id: layer2ID(a), Content: &ingotv1.Item_Layer2Address{Layer2Address: content}}
	t.items[n][item.Id] = t.seal.seal(item)
}

// interfaces is the sorted union of what the advertisements of this node name; empty, meaning all, if one names none.
func interfaces(ads []*l2Advertisement, node int) []string {
	var union []string
	for _, ad := range ads {
		if !ad.nodes.has(node) {
			continue
		}
		if len(ad.interfaces) == 0 {
			return nil
		}
		union = append(union, ad.interfaces...)
	}
	slices.Sort(union)
	return slices.Compact(union)
}
