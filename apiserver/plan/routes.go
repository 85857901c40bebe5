package plan

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/community"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// contribution is one Service's wish to have a prefix advertised by a set of nodes.
type contribution struct {
	service *service
	addr    netip.Addr
	ref     *ingotv1.ServiceRef // of addr
	ad      *bgpAdvertisement
	nodes   setID
}

// routeTable collects what the Services contribute to each prefix and makes each node's routes of it.
type routeTable struct {
	nodes  *nodeList
	peers  *peerList
	sets   *nodeSets
	routes map[netip.Prefix][]contribution
	// carried are the refs that some route names.
	carried map[*ingotv1.ServiceRef]bool
	// crowded are the prefixes with more communities, to some peer, than a message has room for.
	crowded map[netip.Prefix]bool
	// muting has, for an address, the first advertisement whose unknown communities keep routes from peers.
	muting map[netip.Addr]*bgpAdvertisement
	// contradicting are the pairs of advertisements, that of the lesser name first, of which it is said that they
	// contradict each other.
	contradicting map[[2]*bgpAdvertisement]bool
}

// add contributes a Service's addresses, or says why nothing of it is advertised (spec.md section 6.1).
func (t *routeTable) add(s *service, note func(Withheld)) {
	var ads []*bgpAdvertisement
	selected := newBitset(len(t.nodes.list))
	for _, ad := range s.pool.bgp {
		selected = selected.or(ad.nodes)
		if ad.services.match(s.Labels) {
			ads = append(ads, ad)
		}
	}
	conflicting := t.conflicting(s, ads, note)
	possible := newBitset(len(t.nodes.list))
	for _, ad := range ads {
		possible = possible.or(t.sets.sets[ad.usable].minus(conflicting))
	}
	switch {
	case selected.empty():
		s.withhold(note, BGP, netip.Addr{}, ReasonNotOwner, "the BGPAdvertisements of %s select no node", s.pool)
	case len(ads) == 0:
		s.withhold(note, BGP, netip.Addr{}, ReasonNoMatchingAdvertisement, "no BGPAdvertisement of %s selects the Service", s.pool)
	case possible.empty() && !conflicting.empty(): // said already
	case possible.empty():
		s.withhold(note, BGP, netip.Addr{}, ReasonNotOwner, "no usable node is selected by the BGPAdvertisements that select the Service")
	case !s.reachable:
		s.withhold(note, BGP, netip.Addr{}, ReasonNoEndpoints, "the Service has no usable endpoint")
	case s.local && !possible.overlaps(s.endpoints):
		s.withhold(note, BGP, netip.Addr{}, ReasonNoLocalEndpoints, "externalTrafficPolicy is Local and no node that may advertise has a usable endpoint")
	default:
		t.contribute(s, ads, conflicting)
	}
}

func (t *routeTable) contribute(s *service, ads []*bgpAdvertisement, conflicting bitset) {
	for _, ad := range ads {
		id := ad.usable
		if s.local || !conflicting.empty() {
			set := t.sets.sets[id].minus(conflicting)
			if s.local {
				set = set.and(s.endpoints)
			}
			id = t.sets.intern(set)
		}
		if t.sets.sets[id].empty() {
			continue
		}
		for i, a := range s.addrs {
			prefix := ad.prefix(a)
			t.routes[prefix] = append(t.routes[prefix], contribution{service: s, addr: a, ref: s.refs[i], ad: ad, nodes: id})
		}
	}
}

// conflicting is the set of nodes on which advertisements for one Service contradict each other; there nothing of
// it is advertised.
func (t *routeTable) conflicting(s *service, ads []*bgpAdvertisement, note func(Withheld)) bitset {
	nodes := newBitset(len(t.nodes.list))
	for i, a := range ads {
		for _, b := range ads[:i] {
			if !a.conflicts(b) || !a.nodes.overlaps(b.nodes) {
				continue
			}
			same := slices.IndexFunc(s.addrs, func(addr netip.Addr) bool { return a.prefix(addr) == b.prefix(addr) })
			if same < 0 {
				continue
			}
			nodes = nodes.or(a.nodes.and(b.nodes))
			field, ofB, ofA := b.preference.Difference(a.preference)
			s.withhold(note, BGP, netip.Addr{}, ReasonConflictingAdvertisements, "BGPAdvertisements %q and %q give %s the %s %s and %s on the same nodes",
				b.name, a.name, a.prefix(s.addrs[same]), field, ofB, ofA)
			t.contradict(b, a, note)
		}
	}
	return nodes
}

// contradict says of two advertisements, however many Services they have in common, that they contradict each other. The
// rules refuse that by the Nodes that exist, so that labels of Nodes have brought them together since, or those of Services
// where one of them selects by these: whoever did it was not asked, and wrote neither of them.
func (t *routeTable) contradict(a, b *bgpAdvertisement, note func(Withheld)) {
	pair := [2]*bgpAdvertisement{a, b}
	if t.contradicting[pair] {
		return
	}
	t.contradicting[pair] = true
	where := t.nodes.some(a.nodes.and(b.nodes))
	for i, ad := range pair {
		other := pair[1-i]
		field, mine, theirs := ad.preference.Difference(other.preference)
		note(Withheld{
			Kind: ad.kind, Name: ad.object, Protocol: BGP, Reason: ReasonConflictingAdvertisements,
			Message: fmt.Sprintf("%s %s conflicts with %s %s of BGPAdvertisement %q: Services that both advertise with the same aggregation length to the same peers are not advertised from %s",
				field, mine, field, theirs, other.name, where),
		})
	}
}

// settle leaves out what contradicts another Service's contribution to the same prefix; the older Service wins.
// It can only happen where Services share an address and advertisements select among them.
func (t *routeTable) settle(note func(Withheld)) {
	for prefix, all := range t.routes {
		first := all[0].ad.preference
		if !slices.ContainsFunc(all, func(c contribution) bool { return c.ad.preference != first }) {
			continue
		}
		byAge := slices.Clone(all)
		slices.SortStableFunc(byAge, func(a, b contribution) int {
			switch {
			case a.service == b.service:
				return 0
			case a.service.older(b.service):
				return -1
			}
			return 1
		})
		var kept []contribution
		for _, c := range byAge {
			rival := slices.IndexFunc(kept, func(k contribution) bool {
				return k.ad.conflicts(c.ad) && t.sets.sets[k.nodes].overlaps(t.sets.sets[c.nodes])
			})
			if rival < 0 {
				kept = append(kept, c)
				continue
			}
			field, mine, theirs := c.ad.preference.Difference(kept[rival].ad.preference)
			c.service.withhold(note, BGP, prefix.Addr(), ReasonConflictingAdvertisements,
				"BGPAdvertisement %q gives %s the %s %s, but %q gives it %s for the older Service %s",
				c.ad.name, prefix, field, mine, kept[rival].ad.name, theirs, kept[rival].service.name)
		}
		t.routes[prefix] = kept
	}
}

// unheard says which addresses are advertised by nobody because no session carries them.
func (t *routeTable) unheard(note func(Withheld)) {
	said := map[*ingotv1.ServiceRef]bool{}
	for prefix, all := range t.routes {
		for _, c := range all {
			if t.crowded[prefix] {
				c.service.withhold(note, BGP, c.addr, ReasonTooManyCommunities,
					"the BGPAdvertisements of %s have more communities together than one BGP message has room for (%d bytes)", prefix, community.MaxBytes)
				continue
			}
			if t.carried[c.ref] || said[c.ref] {
				continue
			}
			said[c.ref] = true
			if ad := t.muting[c.addr]; ad != nil {
				c.service.withhold(note, BGP, c.addr, ReasonInvalidCommunity, "the BGPAdvertisement %q has a community that is not known, so that no peer gets a route to %s", ad.name, c.addr)
				continue
			}
			c.service.withhold(note, BGP, c.addr, ReasonNoSession, "no node that may advertise %s has a BGP session that can carry it", c.addr)
		}
	}
}
