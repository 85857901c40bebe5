package plan

import (
	"cmp"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/community"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// route is what a node with sessions to the peers able advertises for a prefix, or nil.
func (t *routeTable) route(prefix netip.Prefix, all []contribution, node int, able bitset) *ingotv1.BgpRoute {
	var ads []*bgpAdvertisement
	seen := map[*bgpAdvertisement]bool{}
	able = able.minus(t.muted(all, node, able))
	route := &ingotv1.BgpRoute{Prefix: prefix.String()}
	named := map[*ingotv1.ServiceRef]bool{}
	for _, c := range all {
		if !t.sets.sets[c.nodes].has(node) || !c.ad.peers.overlaps(able) {
			continue
		}
		if !seen[c.ad] {
			seen[c.ad] = true
			ads = append(ads, c.ad)
		}
		if !named[c.ref] {
			named[c.ref] = true
			t.carried[c.ref] = true
			route.Services = append(route.Services, c.ref)
		}
	}
	if len(ads) == 0 {
		return nil
	}
	slices.SortFunc(ads, func(a, b *bgpAdvertisement) int { return cmp.Compare(a.name, b.name) })
	slices.SortFunc(route.Services, func(a, b *ingotv1.ServiceRef) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Address, b.Address))
	})
	route.Advertisements = t.advertisements(ads, able)
	for _, ad := range route.Advertisements {
		if len(ad.Communities)*community.StandardBytes+len(ad.LargeCommunities)*community.LargeBytes > community.MaxBytes {
			// With some of them left out, the route might go further than its authors meant.
			t.crowded[prefix] = true
			return nil
		}
	}
	return route
}

// muted is the set of peers, of those able, that must not get a route, for one of the advertisements that make it has a
// community that is not known: without, say, its no-export the route would reach further than its author meant, also
// where another advertisement would send it.
func (t *routeTable) muted(all []contribution, node int, able bitset) bitset {
	peers := newBitset(len(t.peers.names))
	for _, c := range all {
		if !c.ad.unresolved || !t.sets.sets[c.nodes].has(node) || !c.ad.peers.overlaps(able) {
			continue
		}
		peers = peers.or(c.ad.peers)
		if first := t.muting[c.addr]; first == nil || c.ad.name < first.name {
			t.muting[c.addr] = c.ad
		}
	}
	return peers
}

// advertisements groups the peers by the attributes they shall see: the union of the communities of all
// advertisements that go to the peer, and their preference. Both lists are sorted.
func (t *routeTable) advertisements(ads []*bgpAdvertisement, able bitset) []*ingotv1.BgpAdvertisement {
	var list []*ingotv1.BgpAdvertisement
	byAds := map[string]*ingotv1.BgpAdvertisement{}
	byAttributes := map[string]*ingotv1.BgpAdvertisement{}
	for p := range able.members() {
		in := newBitset(len(ads))
		for i, ad := range ads {
			if ad.peers.has(p) {
				in.add(i)
			}
		}
		if in.empty() {
			continue
		}
		key := string(in.appendKey(nil))
		group, ok := byAds[key]
		if !ok {
			made := attributes(ads, in)
			same := attributesKey(made)
			if group, ok = byAttributes[same]; !ok {
				group = made
				byAttributes[same] = group
				list = append(list, group)
			}
			byAds[key] = group
		}
		group.Peers = append(group.Peers, t.peers.names[p])
	}
	return list
}

func attributes(ads []*bgpAdvertisement, in bitset) *ingotv1.BgpAdvertisement {
	out := &ingotv1.BgpAdvertisement{}
	standard, large := map[uint32]bool{}, map[community.Large]bool{}
	for i := range in.members() {
		// They agree; see settle.
		p := ads[i].preference
		out.LocalPref, out.AsPathPrepend, out.Med = uint32(p.LocalPref), uint32(p.ASPathPrepend), nil
		if p.MED >= 0 {
			out.Med = new(uint32(p.MED))
		}
		for _, c := range ads[i].standard {
			standard[c] = true
		}
		for _, c := range ads[i].large {
			large[c] = true
		}
	}
	out.Communities = slices.Sorted(maps.Keys(standard))
	wide := slices.SortedFunc(maps.Keys(large), func(a, b community.Large) int {
		return cmp.Or(cmp.Compare(a.Global, b.Global), cmp.Compare(a.Local1, b.Local1), cmp.Compare(a.Local2, b.Local2))
	})
	for _, c := range wide {
		out.LargeCommunities = append(out.LargeCommunities, &ingotv1.LargeCommunity{GlobalAdministrator: c.Global, LocalData1: c.Local1, LocalData2: c.Local2})
	}
	return out
}

// medKey is -1 without one.
func medKey(a *ingotv1.BgpAdvertisement) int64 {
	if a.Med == nil {
		return -1
	}
	return int64(a.GetMed())
}

func attributesKey(a *ingotv1.BgpAdvertisement) string {
	key := binary.AppendUvarint(nil, uint64(a.LocalPref))
	key = binary.AppendUvarint(key, uint64(a.AsPathPrepend))
	key = binary.AppendVarint(key, medKey(a))
	key = binary.AppendUvarint(key, uint64(len(a.Communities)))
	for _, c := range a.Communities {
		key = binary.AppendUvarint(key, uint64(c))
	}
	for _, c := range a.LargeCommunities {
		key = binary.AppendUvarint(key, uint64(c.GlobalAdministrator))
		key = binary.AppendUvarint(key, uint64(c.LocalData1))
		key = binary.AppendUvarint(key, uint64(c.LocalData2))
	}
	return string(key)
}
