package plan

import (
	"encoding/binary"
	"slices"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// setID names a set of nodes in nodeSets.
type setID int

// nodeSets keeps each distinct set of nodes once, so that nodes can be told apart by the sets they are in.
type nodeSets struct {
	sets []bitset
	byID map[string]setID
}

func newNodeSets() *nodeSets { return &nodeSets{byID: map[string]setID{}} }

func (n *nodeSets) intern(set bitset) setID {
	key := string(set.appendKey(nil))
	id, ok := n.byID[key]
	if !ok {
		id = setID(len(n.sets))
		n.sets = append(n.sets, set)
		n.byID[key] = id
	}
	return id
}

// nodeClass is a set of nodes that have the same sessions, are in the same sets, and are in service or are not, and so get
// the same items.
type nodeClass struct {
	peers    bitset
	nodes    []int
	draining bool
}

func (t *routeTable) classes() []*nodeClass {
	var list []*nodeClass
	byKey := map[string]*nodeClass{}
	var key []byte
	for n, peers := range t.peers.ofNode {
		in := newBitset(len(t.sets.sets))
		for id, set := range t.sets.sets {
			if set.has(n) {
				in.add(id)
			}
		}
		draining := t.nodes.draining.has(n)
		key = append(in.appendKey(peers.appendKey(key[:0])), 0)
		if draining {
			key[len(key)-1] = 1
		}
		class, ok := byKey[string(key)]
		if !ok {
			class = &nodeClass{peers: peers, draining: draining}
			byKey[string(key)] = class
			list = append(list, class)
		}
		class.nodes = append(class.nodes, n)
	}
	return list
}

// items makes the routing lane of every node, in the order of nodes. Nodes of one class share the map; classes that
// get the same route share the item.
func (t *routeTable) items(seal digester, guards *guards) []map[string]*ingotv1.Item {
	classes := t.classes()
	lanes := make([]map[string]*ingotv1.Item, len(classes))
	for i, class := range classes {
		lanes[i] = make(map[string]*ingotv1.Item)
		for p := range class.peers.members() {
			item := t.peers.session(p, class.draining)
			lanes[i][item.Id] = item
		}
	}
	for prefix, all := range t.routes {
		id := routeID(prefix)
		carrying := t.peers.carrying(prefix.Addr())
		made := map[string]*ingotv1.Item{}
		var key []byte
		for i, class := range classes {
			able := class.peers.and(carrying)
			key = able.appendKey(key[:0])
			for j, c := range all {
				if t.sets.sets[c.nodes].has(class.nodes[0]) {
					key = binary.AppendUvarint(key, uint64(j))
				}
			}
			item, ok := made[string(key)]
			if !ok {
				if route := t.route(prefix, all, class.nodes[0], able); route != nil {
					item = seal.seal(&ingotv1.Item{Id: id, Content: &ingotv1.Item_BgpRoute{BgpRoute: route}})
				}
				made[string(key)] = item
			}
			if item != nil {
				lanes[i][id] = item
			}
		}
	}
	byNode := make([]map[string]*ingotv1.Item, len(t.peers.ofNode))
	for i, class := range classes {
		if sessions := len(slices.Collect(class.peers.members())); sessions > 0 {
			lanes[i][GuardID] = guards.item(len(lanes[i]) - sessions)
		}
		for _, n := range class.nodes {
			byNode[n] = lanes[i]
		}
	}
	return byNode
}
