package plan

import (
	"net/netip"
	"slices"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Plan decides. It does not fail: what cannot be planned is withheld with its reason, and all else is planned.
func Plan(in Input) Output {
	var withheld []Withheld
	note := func(w Withheld) { withheld = append(withheld, w) }
	config := in.Config
	if config == nil {
		config = &metallb.Configuration{}
	}
	seal := newDigester(in.Key)
	nodes := newNodeList(in.Nodes, in.IgnoreExcludeLabel, note)
	peers := newPeerList(config.BGPPeers, newProfiles(config.BFDProfiles), in.Secrets, nodes, seal, note)
	pools := newPoolIndex(config, note)
	sets := newNodeSets()
	known := newAliases(config.Communities, note)
	compileBGP(config.BGPAdvertisements, known, pools, nodes, peers, sets, note)
	compileL2(config.L2Advertisements, pools, nodes, note)
	compileLegacy(pools, known, nodes, peers, sets, note)
	services := newServices(in, pools, nodes, note)

	routes := &routeTable{
		nodes: nodes, peers: peers, sets: sets, routes: map[netip.Prefix][]contribution{}, carried: map[*ingotv1.ServiceRef]bool{},
		crowded: map[netip.Prefix]bool{}, muting: map[netip.Addr]*bgpAdvertisement{}, contradicting: map[[2]*bgpAdvertisement]bool{},
	}
	for _, s := range services {
		switch {
		case s.pool == nil:
		case len(s.pool.bgp) > 0:
			routes.add(s, note)
		case len(s.pool.layer2) == 0:
			s.withhold(note, "", netip.Addr{}, ReasonNoMatchingAdvertisement, "no advertisement selects %s", s.pool)
		}
	}
	routes.settle(note)
	routing := routes.items(seal, newGuards(pools, seal))
	routes.unheard(note)

	owners := newLayer2Table(in, nodes, seal, note)
	owners.plan(services)

	out := Output{Nodes: make(map[string]*NodePlan, len(nodes.list)), Decisions: owners.decisions, Layer2: owners.announced, layer2: owners}
	for i := range nodes.list {
		out.Nodes[nodes.name(i)] = newNodePlan(owners.items[i], routing[i])
	}
	for name, f := range in.Facts {
		if _, known := out.Nodes[name]; !known && f.Connected {
			out.Nodes[name] = newNodePlan(map[string]*ingotv1.Item{}, map[string]*ingotv1.Item{})
		}
	}
	slices.SortFunc(withheld, compareWithheld)
	out.Withheld = slices.Compact(withheld)
	return out
}

func newNodePlan(layer2, routing map[string]*ingotv1.Item) *NodePlan {
	return &NodePlan{Items: map[ingotv1.Lane]map[string]*ingotv1.Item{
		ingotv1.Lane_LANE_LAYER2: layer2, ingotv1.Lane_LANE_ROUTING: routing,
	}}
}
