package rules

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
)

// index is a configuration with what the rules work out of it. It is never changed. Objects of a configuration are
// never changed either, so that what was worked out of one holds for as long as the object is the same.
type index struct {
	config *metallb.Configuration
	pools  pools
	// legacy are the AddressPools. The advertisements below select none of them, for each brings its own along.
	legacy byName[*pool]
	// six are the pools that hold IPv6.
	six            pools
	advertisements byName[*advertisement]
	// witnesses are the L2Advertisements with their probeAddresses.
	witnesses byName[*witnesses]
	peers     byName[*peer]
	profiles  byName[*metallb.BFDProfile]
	// echoing are the peers whose BFD profile exists and has echo mode.
	echoing byName[*peer]
	// aliases are those of all Communities, by name.
	aliases []*alias
	// ranges are those of all pools.
	ranges       disjoint
	reservations byName[*reservation]
}

// The kinds of pools.
const (
	ipAddressPoolKind = "IPAddressPool"
	addressPoolKind   = "AddressPool"
)

// pool is an IPAddressPool, or what an AddressPool stands for, with its ranges. Items that are wrong are missing.
type pool struct {
	*metallb.IPAddressPool
	kind    string
	members []*member // in the order of the list
	// implied are the advertisements that an AddressPool of protocol bgp brings along, in the order of its list.
	implied []*advertisement
	// narrowest4 and narrowest6 are the aggregation lengths that suit every item of the family; -1 without one.
	narrowest4, narrowest6 int
}

func indexPool(p *metallb.IPAddressPool) *pool {
	made := &pool{IPAddressPool: p, kind: ipAddressPoolKind, narrowest4: -1, narrowest6: -1}
	made.members = make([]*member, 0, len(p.Spec.Addresses))
	for i, text := range p.Spec.Addresses {
		r, err := addrrange.Parse(text)
		if err != nil {
			continue
		}
		made.members = append(made.members, &member{Range: r, pool: made, index: i})
		narrowest := &made.narrowest6
		if r.Is4() {
			narrowest = &made.narrowest4
		}
		*narrowest = max(*narrowest, r.WidestBits())
	}
	return made
}

// String is how messages call the pool.
func (p *pool) String() string { return fmt.Sprintf("%s %q", p.kind, p.Name) }

// text is the item as it was written.
func (p *pool) text(m *member) string { return p.Spec.Addresses[m.index] }

// has6 says whether the pool holds IPv6.
func (p *pool) has6() bool { return p.narrowest6 >= 0 }

// advertisement is a BGPAdvertisement with its selectors compiled.
type advertisement struct {
	*metallb.BGPAdvertisement
	poolSelection
	nodes            *placement
	peers            map[string]bool
	length4, length6 int
}

func indexAdvertisement(a *metallb.BGPAdvertisement) *advertisement {
	made := &advertisement{BGPAdvertisement: a, length4: hostRouteV4, length6: hostRouteV6,
		poolSelection: newPoolSelection(a.Spec.IPAddressPools, a.Spec.IPAddressPoolSelectors),
		nodes:         newPlacement(a.Spec.NodeSelectors), peers: set(a.Spec.Peers)}
	if a.Spec.AggregationLength != nil {
		made.length4 = int(*a.Spec.AggregationLength)
	}
	if a.Spec.AggregationLengthV6 != nil {
		made.length6 = int(*a.Spec.AggregationLengthV6)
	}
	return made
}

// isFor says whether the advertisement goes to the peer where they share a node.
func (a *advertisement) isFor(p *peer) bool { return len(a.peers) == 0 || a.peers[p.Name] }

// peer is a BGPPeer with its selectors compiled.
type peer struct {
	*metallb.BGPPeer
	nodes *placement
}

func indexPeer(p *metallb.BGPPeer) *peer {
	return &peer{p, newPlacement(p.Spec.NodeSelectors)}
}

// alias is one that a Community defines.
type alias struct{ name, value, community string }

func (a *alias) compare(o *alias) int {
	return cmp.Or(cmp.Compare(a.name, o.name), cmp.Compare(a.community, o.community))
}

// next is the index of c, which shares with ix, nil or not, what is the same in both configurations.
func (ix *index) next(c *metallb.Configuration) *index {
	if c == nil {
		c = &metallb.Configuration{}
	}
	if ix == nil {
		ix = &index{config: &metallb.Configuration{}, pools: newPools(), six: newPools(), ranges: newDisjoint()}
	}
	was, made := ix.config, &index{config: c}
	gone, come := changes(ix.pools, was.IPAddressPools, c.IPAddressPools, indexPool)
	made.pools = ix.pools.replace(gone, come)
	made.six = ix.six.replace(with6(gone), with6(come))
	oldest, latest := changes(ix.legacy, was.AddressPools, c.AddressPools, indexAddressPool)
	made.legacy = ix.legacy.replace(oldest, latest)
	made.ranges = ix.ranges.replace(membersOf(slices.Concat(gone, oldest)), membersOf(slices.Concat(come, latest)))

	made.advertisements = ix.advertisements.replace(changes(ix.advertisements, was.BGPAdvertisements, c.BGPAdvertisements, indexAdvertisement))
	made.witnesses = ix.witnesses.replace(changes(ix.witnesses, was.L2Advertisements, c.L2Advertisements, indexWitnesses))
	made.reservations = ix.reservations.replace(changes(ix.reservations, was.IPReservations, c.IPReservations, indexReservation))
	made.followPeers(ix)
	made.followAliases(ix)
	return made
}

func with6(of []*pool) (some []*pool) {
	for _, p := range of {
		if p.has6() {
			some = append(some, p)
		}
	}
	return some
}

func membersOf(of []*pool) (all []*member) {
	for _, p := range of {
		all = append(all, p.members...)
	}
	return all
}

func (ix *index) followPeers(last *index) {
	was, c := last.config, ix.config
	left, came := changes(last.peers, was.BGPPeers, c.BGPPeers, indexPeer)
	old, young := turnover(was.BFDProfiles, c.BFDProfiles)
	ix.peers, ix.profiles = last.peers.replace(left, came), last.profiles.replace(old, young)
	if len(left)+len(came)+len(old)+len(young) == 0 {
		ix.echoing = last.echoing
		return
	}
	for _, p := range ix.peers {
		if profile, ok := ix.profiles.find(p.Spec.BFDProfile); ok && echoes(profile) {
			ix.echoing = append(ix.echoing, p)
		}
	}
}

func (ix *index) followAliases(last *index) {
	left, came := turnover(last.config.Communities, ix.config.Communities)
	if len(left)+len(came) == 0 {
		ix.aliases = last.aliases
		return
	}
	// An alias has no identity of its own, so that all of a Community that changed are sought by its name.
	changed := map[string]bool{}
	for _, definer := range left {
		changed[definer.Name] = true
	}
	var gone, come []*alias
	if len(left) > 0 {
		for _, a := range last.aliases {
			if changed[a.community] {
				gone = append(gone, a)
			}
		}
	}
	for _, definer := range came {
		for _, a := range definer.Spec.Communities {
			come = append(come, &alias{a.Name, a.Value, definer.Name})
		}
	}
	ix.aliases = replace(last.aliases, gone, come, (*alias).compare)
}
