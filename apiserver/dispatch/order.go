package dispatch

import (
	"maps"
	"net/netip"

	"github.com/ingot-lb/ingot/apiserver/plan"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

const (
	layer2Lane  = ingotv1.Lane_LANE_LAYER2
	routingLane = ingotv1.Lane_LANE_ROUTING
)

// allLanes are in the order in which they are served.
var allLanes = []ingotv1.Lane{layer2Lane, routingLane}

// stamp is in whose name an order is given; see ingotv1.Update.
type stamp struct {
	lineage  string
	epoch    uint64
	revision int64
	adoption Adoption
}

// order is what one node shall have in one lane. It never changes; one that says the same as the one before it is
// the same pointer, so that a lane that satisfies it has nothing to look at.
type order struct {
	stamp
	items map[string]*ingotv1.Item
	// owned are the layer-2 addresses that the node shall own, with their terms.
	owned map[netip.Addr]uint64
}

// newOrder returns the order for some items.
func newOrder(by stamp, items map[string]*ingotv1.Item) *order {
	o := &order{stamp: by, items: items, owned: map[netip.Addr]uint64{}}
	for id, item := range items {
		if l2 := item.GetLayer2Address(); l2.GetRole() == ingotv1.Layer2Address_ROLE_OWNER {
			if addr, ok := plan.Layer2Address(id); ok {
				o.owned[addr] = l2.GetTerm()
			}
		}
	}
	return o
}

// desired is what all nodes shall have. It never changes.
type desired struct {
	// heard is the last hello that the layer-2 orders were planned with: what a speaker says that it holds, says what it
	// may keep.
	heard uint64
	nodes map[string]map[ingotv1.Lane]*order
}

// order returns what a node shall have in a lane, or nil when nothing is to be sent to it.
func (d *desired) order(node string, lane ingotv1.Lane) *order {
	if d == nil {
		return nil
	}
	return d.nodes[node][lane]
}

// compose makes orders of plans. A lane for which items says nil has none; where nothing changed since before, the
// order is the old one.
func compose(by stamp, before *desired, plans map[string]*plan.NodePlan, items func(node string, lane ingotv1.Lane) map[string]*ingotv1.Item) *desired {
	next := &desired{nodes: make(map[string]map[ingotv1.Lane]*order, len(plans))}
	for node := range plans {
		orders := make(map[ingotv1.Lane]*order, len(allLanes))
		for _, lane := range allLanes {
			want := items(node, lane)
			if want == nil {
				continue
			}
			old := before.order(node, lane)
			if old != nil && old.epoch == by.epoch && old.adoption.TimeMs == by.adoption.TimeMs && sameItems(old.items, want) {
				orders[lane] = old
				continue
			}
			orders[lane] = newOrder(by, want)
		}
		next.nodes[node] = orders
	}
	return next
}

func sameItems(a, b map[string]*ingotv1.Item) bool {
	return maps.EqualFunc(a, b, func(x, y *ingotv1.Item) bool { return x == y || x.GetDigest() == y.GetDigest() })
}
