package plan

import (
	"net/netip"
	"slices"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/segment"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// group is the addresses that must have one owner: all addresses of a Service, and of the Services that share an
// address with it. Services that cannot be announced just now belong to it nevertheless, so that their endpoints'
// comings and goings do not take a group apart.
type group struct {
	addrs []netip.Addr // sorted
	// first decides the election: the lowest of the Services' first addresses.
	first    netip.Addr
	services []*candidacy
	// weights are what preferences say of nodes; nil where none do.
	weights []int
	// named says that an advertisement of a Service names interfaces; plain that nothing but the role tells the items of two
	// nodes apart: none does, and all Services can be announced by the same nodes, as the same advertisements say.
	named, plain bool
	// glances are the verdicts on all nodes for each address that was looked at.
	glances map[netip.Addr][]segment.Verdict
}

// candidacy is a Service that layer 2 can announce now.
type candidacy struct {
	*service
	ads []*l2Advertisement
	// nodes may own its addresses, as far as advertisements, exclusion and endpoints go.
	nodes bitset
}

// disjoint is a union-find over addresses.
type disjoint map[netip.Addr]netip.Addr

func (d disjoint) root(a netip.Addr) netip.Addr {
	parent, ok := d[a]
	if !ok || parent == a {
		return a
	}
	root := d.root(parent)
	d[a] = root
	return root
}

func (d disjoint) join(a, b netip.Addr) {
	ra, rb := d.root(a), d.root(b)
	d[ra] = rb
	d[rb] = rb
}

// newGroups partitions the Services of layer-2 pools. announceable says which of them can be announced and where.
func newGroups(services []*service, announceable map[*service]*candidacy) []*group {
	sets := disjoint{}
	for _, s := range services {
		for _, a := range s.addrs {
			sets.join(a, s.addrs[0])
		}
	}
	byRoot := map[netip.Addr]*group{}
	var list []*group
	for _, s := range services {
		root := sets.root(s.addrs[0])
		g, ok := byRoot[root]
		if !ok {
			g = &group{first: s.addrs[0]}
			byRoot[root] = g
			list = append(list, g)
		}
		if s.addrs[0].Less(g.first) {
			g.first = s.addrs[0]
		}
		g.addrs = append(g.addrs, s.addrs...)
		if c := announceable[s]; c != nil {
			g.services = append(g.services, c)
		}
	}
	for _, g := range list {
		slices.SortFunc(g.addrs, netip.Addr.Compare)
		g.addrs = slices.Compact(g.addrs)
	}
	return list
}

// eligible are those of the given nodes that can announce the most Services of the group. Services that share an
// address mostly agree on their nodes; where two of policy Local do not, the owner should serve as many as it can.
func (g *group) eligible(within bitset) bitset {
	all := within
	for _, c := range g.services {
		all = all.and(c.nodes)
	}
	if len(g.services) == 0 || !all.empty() {
		return all
	}
	best, most := all, 0
	for n := range within.members() {
		serves := 0
		for _, c := range g.services {
			if c.nodes.has(n) {
				serves++
			}
		}
		if serves > most {
			best, most = newBitset(len(within)*64), serves
		}
		if serves == most && most > 0 {
			best.add(n)
		}
	}
	return best
}

// announces says whether any Service is announced with an address.
func (g *group) announces(a netip.Addr) bool {
	return slices.ContainsFunc(g.services, func(c *candidacy) bool { return slices.Contains(c.addrs, a) })
}

// mayOwn says whether a node may own the addresses of any Service of the group, as far as advertisements, exclusion and
// endpoints go.
func (g *group) mayOwn(node int) bool {
	return slices.ContainsFunc(g.services, func(c *candidacy) bool { return c.nodes.has(node) })
}

// interfaces is where a node announces an address: the sorted union of what the advertisements that apply name; nil,
// meaning all, if one names none.
func (g *group) interfaces(a netip.Addr, node int) []string {
	if !g.named {
		return nil
	}
	var ads []*l2Advertisement
	for _, c := range g.services {
		if slices.Contains(c.addrs, a) && c.nodes.has(node) {
			ads = append(ads, c.ads...)
		}
	}
	return interfaces(ads, node)
}

// weigh works out what the group's Services and their advertisements say together.
func (g *group) weigh(nodes int) {
	g.weights = g.scores(nodes)
	g.plain = true
	for _, c := range g.services {
		for _, ad := range c.ads {
			g.named = g.named || len(ad.interfaces) > 0
			g.plain = g.plain && ad.refresh == c.ads[0].refresh
		}
	}
	g.plain = g.plain && !g.named
}

// alike says whether two nodes that may own addresses of the group announce the same.
func (g *group) alike(a, b int) bool {
	return g.plain && !slices.ContainsFunc(g.services, func(c *candidacy) bool { return c.nodes.has(a) != c.nodes.has(b) })
}

// content is what a node that owns an address shall know of it. It is without Services where none can be announced there.
func (g *group) content(a netip.Addr, d Layer2Decision, node int) *ingotv1.Layer2Address {
	content := &ingotv1.Layer2Address{Address: a.String(), Role: ingotv1.Layer2Address_ROLE_OWNER, Term: d.Term, Owner: d.Owner, Standbys: d.Standbys}
	refresh := metallb.MaxRefreshInterval
	for _, c := range g.services {
		i := slices.Index(c.addrs, a)
		if i < 0 || !c.nodes.has(node) {
			continue
		}
		content.Services = append(content.Services, c.refs[i])
		for _, ad := range c.ads {
			if ad.nodes.has(node) {
				refresh = min(refresh, ad.refresh)
			}
		}
	}
	if refresh != metallb.DefaultRefreshInterval {
		content.RefreshIntervalMs = uint32(refresh.Milliseconds())
	}
	content.Interfaces = g.interfaces(a, node)
	return content
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

// scores adds up the preferences of all advertisements that apply to the group, once for each; nil without any.
func (g *group) scores(nodes int) []int {
	var sum []int
	seen := map[*l2Advertisement]bool{}
	for _, c := range g.services {
		for _, ad := range c.ads {
			if ad.scores == nil || seen[ad] {
				continue
			}
			seen[ad] = true
			if sum == nil {
				sum = make([]int, nodes)
			}
			for n, s := range ad.scores {
				sum[n] += s
			}
		}
	}
	return sum
}
