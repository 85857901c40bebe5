package rules

import (
	"slices"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// preferences are what advertisements want on nodes, without a contradiction so far.
type preferences struct {
	all nodeSet
	of  map[metallb.Preference]nodeSet
}

// contradictedBy says whether somebody wants another preference on one of the nodes.
func (p *preferences) contradictedBy(pref metallb.Preference, on nodeSet) bool {
	alike := p.of[pref]
	for i, word := range on {
		there := p.all[i]
		if alike != nil {
			there &^= alike[i]
		}
		if word&there != 0 {
			return true
		}
	}
	return false
}

// add returns whether it contradicts.
func (p *preferences) add(pref metallb.Preference, on nodeSet) bool {
	if p.all == nil {
		p.all, p.of = make(nodeSet, len(on)), map[metallb.Preference]nodeSet{}
	}
	if p.contradictedBy(pref, on) {
		return true
	}
	alike := p.of[pref]
	if alike == nil {
		alike = make(nodeSet, len(on))
		p.of[pref] = alike
	}
	for i, word := range on {
		p.all[i] |= word
		alike[i] |= word
	}
	return false
}

// mayContradict says whether any two of the advertisements, all of which select the pool, contradict (X3), or did
// before. Its cost grows with their number, and not with its square; who hears yes asks which.
func mayContradict(ads []*advertisement, p *pool, on *cluster) bool {
	type group struct {
		family
		length int
	}
	groups := map[group][]*advertisement{}
	for _, ad := range ads {
		if len(ad.Spec.ServiceSelectors) > 0 {
			continue
		}
		for _, f := range []family{ipv4, ipv6} {
			if p.narrowest(f) >= 0 {
				g := group{f, ad.length(f)}
				groups[g] = append(groups[g], ad)
			}
		}
	}
	for _, alike := range groups {
		if contradictOnNodes(alike, on) && contradictOfPeers(alike, on) {
			return true
		}
	}
	return false
}

// contradictOnNodes leaves peers aside.
func contradictOnNodes(ads []*advertisement, on *cluster) bool {
	if !slices.ContainsFunc(ads, func(ad *advertisement) bool { return ad.Spec.Preference() != ads[0].Spec.Preference() }) || !meetAnywhere(ads, on) {
		return false
	}
	var all preferences
	for _, ad := range ads {
		if all.add(ad.Spec.Preference(), ad.nodes.on(on)) {
			return true
		}
	}
	return false
}

// meetAnywhere says whether any node is of two of them.
func meetAnywhere(ads []*advertisement, on *cluster) bool {
	var all nodeSet
	for _, ad := range ads {
		set := ad.nodes.on(on)
		if all == nil {
			all = make(nodeSet, len(set))
		}
		for i, word := range set {
			if all[i]&word != 0 {
				return true
			}
			all[i] |= word
		}
	}
	return false
}

func contradictOfPeers(ads []*advertisement, on *cluster) bool {
	everybody := &preferences{}
	for _, ad := range ads {
		if len(ad.peers) == 0 && everybody.add(ad.Spec.Preference(), ad.nodes.on(on)) {
			return true
		}
	}
	ofPeer := map[string]*preferences{}
	for _, ad := range ads {
		set := ad.nodes.on(on)
		if len(ad.peers) > 0 && everybody.all != nil && everybody.contradictedBy(ad.Spec.Preference(), set) {
			return true
		}
		for name := range ad.peers {
			to := ofPeer[name]
			if to == nil {
				to = &preferences{}
				ofPeer[name] = to
			}
			if to.add(ad.Spec.Preference(), set) {
				return true
			}
		}
	}
	return false
}
