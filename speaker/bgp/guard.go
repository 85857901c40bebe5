package bgp

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// guard bounds what neighbours are told, whatever the routes say: the last word before the wire. A nil guard, of a centre
// that knows of none, bounds nothing.
type guard struct {
	item   *ingotv1.Item
	ranges []netip.Prefix // sorted, none within another
	routes int
}

// parseGuard checks an item. Its errors become the reason of a refusal.
func parseGuard(item *ingotv1.BgpGuard) (*guard, error) {
	g := &guard{routes: int(min(item.GetRoutes(), math.MaxInt32))}
	for _, text := range item.GetRanges() {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("range %q: %w", text, err)
		}
		if p != p.Masked() {
			return nil, fmt.Errorf("range %s has bits set beyond its length", p)
		}
		g.ranges = append(g.ranges, p)
	}
	slices.SortFunc(g.ranges, func(a, b netip.Prefix) int { return byPrefix(path{prefix: a}, path{prefix: b}) })
	widest := g.ranges[:0]
	for _, p := range g.ranges {
		if n := len(widest); n == 0 || !liesIn(p, widest[n-1]) {
			widest = append(widest, p)
		}
	}
	g.ranges = widest
	return g, nil
}

// liesIn says whether p lies in q.
func liesIn(p, q netip.Prefix) bool { return p.Bits() >= q.Bits() && q.Contains(p.Addr()) }

// covers says whether a prefix lies within the ranges.
func (g *guard) covers(p netip.Prefix) bool {
	if g == nil {
		return true
	}
	after, _ := slices.BinarySearchFunc(g.ranges, p.Addr(), func(r netip.Prefix, a netip.Addr) int {
		if a.Less(r.Addr()) {
			return 1
		}
		return -1
	})
	return after > 0 && liesIn(p, g.ranges[after-1])
}

// room is how many routes a neighbour that has n may get; negative when it has too many.
func (g *guard) room(n int) int {
	if g == nil {
		return math.MaxInt32
	}
	return g.routes - n
}

func (g *guard) sameRanges(o *guard) bool {
	if g == nil || o == nil {
		return g == o
	}
	return slices.Equal(g.ranges, o.ranges)
}

// outside and full say why a route is refused.
func (g *guard) outside(p netip.Prefix) string {
	return fmt.Sprintf("the prefix guard refuses %s: it is outside of every range that the plan declares", p)
}

func (g *guard) full() string {
	return fmt.Sprintf("the prefix guard allows %d routes to a peer, as many as the plan has", g.routes)
}

// guardFloor is how many routes a new guard may always take away; the same as of a full state that does not explain itself.
const guardFloor = 10

// objection is why a new guard is refused: it would take more than half of a neighbour's routes away though they are
// still wanted, and more than guardFloor. The centre contradicts itself then, and what works is not to suffer for that.
func (r *rib) objection(g *guard, d *delta) error {
	if lost, all := r.losing(g, d); lost > guardFloor && 2*lost > all {
		return fmt.Errorf("it would take %d of %d routes from peer %s that are still to be advertised; the guard before it stays", lost, all, r.cfg.peer)
	}
	return nil
}
