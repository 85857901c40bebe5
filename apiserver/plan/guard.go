package plan

import (
	"net/netip"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// GuardID is the id of the item that bounds what a node advertises.
const GuardID = "bgp-guard"

// maxGuardRanges bounds the item, which goes to every node. Beyond it, ranges are widened until they are so few.
const maxGuardRanges = 10_000

// guards makes the guard of each node. Speakers hold to it whatever else they are told, so that it is worked out of the
// pools, and not of the routes.
type guards struct {
	ranges []string
	seal   digester
	made   map[int]*ingotv1.Item // by number of routes
}

func newGuards(pools *poolIndex, seal digester) *guards {
	g := &guards{seal: seal, made: map[int]*ingotv1.Item{}}
	for _, p := range pools.advertised() {
		g.ranges = append(g.ranges, p.String())
	}
	return g
}

// item is the guard of a node with so many routes.
func (g *guards) item(routes int) *ingotv1.Item {
	item, ok := g.made[routes]
	if !ok {
		item = g.seal.seal(&ingotv1.Item{Id: GuardID, Content: &ingotv1.Item_BgpGuard{
			BgpGuard: &ingotv1.BgpGuard{Ranges: g.ranges, Routes: uint32(routes)},
		}})
		g.made[routes] = item
	}
	return item
}

// advertised are the prefixes that the routes of all pools lie in: those of the pools that BGPAdvertisements select, with
// what aggregation adds to ranges that do not end where a prefix does.
func (idx *poolIndex) advertised() []netip.Prefix {
	var all []netip.Prefix
	for _, r := range idx.ranges {
		if len(r.pool.bgp) == 0 {
			continue
		}
		for _, p := range r.Prefixes() {
			widest := p
			for _, ad := range r.pool.bgp {
				if made := ad.prefix(p.Addr()); made.Bits() < widest.Bits() {
					widest = made
				}
			}
			all = append(all, widest)
		}
	}
	all = addrrange.Merge(all)
	for bits := 128; len(all) > maxGuardRanges && bits > 0; bits-- {
		for i, p := range all {
			if p.Bits() >= bits {
				all[i] = netip.PrefixFrom(p.Addr(), bits-1).Masked()
			}
		}
		all = addrrange.Merge(all)
	}
	return all
}
