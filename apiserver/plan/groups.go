package plan

import (
	"net/netip"
	"slices"
)

// group is the addresses that must have one owner: all addresses of a Service, and of the Services that share an
// address with it. Services that cannot be announced just now belong to it nevertheless, so that their endpoints'
// comings and goings do not take a group apart.
type group struct {
	addrs []netip.Addr // sorted
	// first decides the election: the lowest of the Services' first addresses.
	first    netip.Addr
	services []*candidacy
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
