package plan

import (
	"net/netip"
	"slices"

	"github.com/ingot-lb/ingot/apiserver/segment"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// layer2Table decides the owners of layer-2 addresses and makes the items of them and of those who stand by.
type layer2Table struct {
	nodes     *nodeList
	election  *election
	segments  Segments // nil where nobody watches
	decisions map[netip.Addr]Decision
	announced map[netip.Addr]Layer2Decision
	// groups are those of announced addresses.
	groups map[netip.Addr]*group
	// surveys are the verdicts on all nodes for the addresses of a network that may be announced on any interface.
	surveys map[netip.Prefix][]segment.Verdict
	// all are the groups of all Services; twins are the nodes with one hardware address that have to own addresses, once
	// there is reason to look, and fellows those of them that are to leave a group to another.
	all     []*group
	twins   map[string]*twinned
	kins    map[netip.Prefix][]string // of networks; see kin
	fellows map[*group]bitset
	wires   wires
	// items are by position of the node.
	items []map[string]*ingotv1.Item
	seal  digester
	note  func(Withheld)
}

func newLayer2Table(in Input, nodes *nodeList, seal digester, note func(Withheld)) *layer2Table {
	t := &layer2Table{
		nodes: nodes, election: newElection(in, nodes), segments: in.Segments,
		decisions: make(map[netip.Addr]Decision, len(in.Decisions)), announced: make(map[netip.Addr]Layer2Decision, len(in.Decisions)),
		groups: make(map[netip.Addr]*group, len(in.Decisions)), items: make([]map[string]*ingotv1.Item, len(nodes.list)), surveys: map[netip.Prefix][]segment.Verdict{}, kins: map[netip.Prefix][]string{}, fellows: map[*group]bitset{}, seal: seal, note: note,
	}
	for i := range t.items {
		t.items[i] = map[string]*ingotv1.Item{}
	}
	return t
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
	t.all = newGroups(members, announceable)
	for _, g := range t.all {
		g.weigh(len(t.nodes.list))
	}
	for _, g := range t.all {
		t.decide(g)
	}
	t.watch()
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

// decide settles who owns a group's addresses and who stands by, and gives those nodes their items.
func (t *layer2Table) decide(g *group) {
	if len(g.services) == 0 {
		t.keep(g.addrs)
		return
	}
	owners := t.ownersBefore(g)
	eligible := g.eligible(t.election.connected.or(t.positions(owners, func(i int) bool { return t.keeps(g, i) })))
	if eligible.empty() { // nobody can take it: whoever has it goes on if it may, lost or not
		eligible = g.eligible(t.positions(owners, func(int) bool { return true }))
	}
	owner := t.choose(g, eligible, owners)
	if owner < 0 {
		t.keep(g.addrs)
		for _, c := range g.services {
			c.withhold(t.note, Layer2, netip.Addr{}, ReasonNoSpeaker, "no node that may own the address has a connected speaker")
		}
		return
	}
	standbys := t.standbys(g, eligible, owner)
	for _, a := range g.addrs {
		d, known := t.election.before(a)
		if !known || d.Owner != t.nodes.name(owner) {
			reason := firstChoice
			if known {
				reason = t.whyMoved(g, a, d.Owner, owner)
			}
			d = Decision{Owner: t.nodes.name(owner), Term: max(d.Term, t.election.base) + 1, Reason: reason}
		}
		t.decisions[a] = d
		if g.announces(a) {
			t.groups[a] = g
			t.give(g, a, d, owner, eligible, standbys)
		}
	}
}

// ownersBefore are the owners of the group's addresses until now, that of its first address first; for each address,
// who answers for it goes before whom it was given to and who does not.
func (t *layer2Table) ownersBefore(g *group) []string {
	owners := make([]string, 0, 2)
	add := func(a netip.Addr) {
		if node, ok := t.election.incumbent(a); ok && !slices.Contains(owners, node) {
			owners = append(owners, node)
		}
		if d, ok := t.election.before(a); ok && !slices.Contains(owners, d.Owner) {
			owners = append(owners, d.Owner)
		}
	}
	add(g.first)
	for _, a := range g.addrs {
		if a != g.first {
			add(a)
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

// give makes the items for one address: the owner's, and those of who stands by. As long as another node has yet to let
// go of the address, everybody else goes on as before.
func (t *layer2Table) give(g *group, a netip.Addr, d Decision, owner int, eligible bitset, standbys []int) {
	occupant, occupied := t.occupant(g, a, d)
	told := Layer2Decision{Decision: d}
	for _, s := range standbys {
		told.Standbys = append(told.Standbys, t.nodes.name(s))
	}
	if !occupied {
		t.announced[a] = told
		t.place(g, a, told, owner, standbys)
		return
	}
	for _, c := range g.services {
		if slices.Contains(c.addrs, a) && c.nodes.has(owner) {
			c.withhold(t.note, Layer2, a, ReasonHandover, "node %s takes %s over once node %s has stopped answering for it", d.Owner, a, occupant.node)
		}
	}
	told.Waits = occupant.node
	t.announced[a] = told
	if i, ok := t.nodes.index[occupant.node]; ok {
		before := Layer2Decision{Decision: Decision{Owner: occupant.node, Term: occupant.term}, Waits: occupant.node}
		standbys = t.standbys(g, eligible, i)
		for _, s := range standbys {
			before.Standbys = append(before.Standbys, t.nodes.name(s))
		}
		t.place(g, a, before, i, standbys)
	}
}

// place makes the items for one address, without the owner's if that one has to let go.
func (t *layer2Table) place(g *group, a netip.Addr, d Layer2Decision, owner int, standbys []int) {
	t.wires.note(t, g, a, owner, standbys)
	id := Layer2ID(a)
	content := g.content(a, d, owner)
	var item *ingotv1.Item
	if len(content.Services) > 0 {
		item = t.seal.seal(&ingotv1.Item{Id: id, Content: &ingotv1.Item_Layer2Address{Layer2Address: content}})
	}
	if d.Waits == "" {
		for _, c := range g.services {
			if slices.Contains(c.addrs, a) && !c.nodes.has(owner) {
				c.withhold(t.note, Layer2, a, ReasonNotOwner, "node %s owns %s, which other Services share, and cannot announce it for this one", d.Owner, a)
			}
		}
		if item != nil {
			t.items[owner][id] = item
		}
	}
	for _, s := range standbys {
		if item != nil && g.alike(owner, s) {
			// All but the role is the owner's, and the digest follows from its.
			t.items[s][id] = &ingotv1.Item{Id: id, Digest: item.Digest + "s", Content: &ingotv1.Item_Layer2Address{Layer2Address: &ingotv1.Layer2Address{
				Address: content.Address, Role: ingotv1.Layer2Address_ROLE_STANDBY, Interfaces: content.Interfaces, Term: content.Term, Owner: content.Owner,
				Standbys: content.Standbys, Services: content.Services, RefreshIntervalMs: content.RefreshIntervalMs,
			}}}
			continue
		}
		if own := g.content(a, d, s); len(own.Services) > 0 {
			own.Role = ingotv1.Layer2Address_ROLE_STANDBY
			t.items[s][id] = t.seal.seal(&ingotv1.Item{Id: id, Content: &ingotv1.Item_Layer2Address{Layer2Address: own}})
		}
	}
}
