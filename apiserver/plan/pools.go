package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/legacy"
)

// pool is an IPAddressPool with the advertisements that select it, sorted by name; or an AddressPool with those that it
// brings along, in the order of its list.
type pool struct {
	kind   Kind
	name   string
	labels map[string]string
	bgp    []*bgpAdvertisement
	layer2 []*l2Advertisement
}

// String is how messages call the pool.
func (p *pool) String() string { return fmt.Sprintf("%s %q", p.kind, p.name) }

// poolIndex finds the pool of an address.
type poolIndex struct {
	// pools are those that advertisements select: the IPAddressPools.
	pools []*pool
	// legacy are the AddressPools, which no advertisement of another selects.
	legacy []legacyPool
	ranges []poolRange
}

type poolRange struct {
	addrrange.Range
	// reach is the highest last address of this range and all before it.
	reach netip.Addr
	pool  *pool
}

func newPoolIndex(config *metallb.Configuration, note func(Withheld)) *poolIndex {
	idx := &poolIndex{}
	for _, p := range config.IPAddressPools {
		idx.pools = append(idx.pools, idx.add(KindIPAddressPool, p, note))
	}
	for _, p := range config.AddressPools {
		e := legacy.Expand(p)
		idx.legacy = append(idx.legacy, legacyPool{idx.add(KindAddressPool, e.Pool, note), e})
	}
	slices.SortFunc(idx.pools, func(a, b *pool) int { return cmp.Compare(a.name, b.name) })
	slices.SortFunc(idx.ranges, func(a, b poolRange) int {
		return cmp.Or(a.First().Compare(b.First()), a.Last().Compare(b.Last()), cmp.Compare(a.pool.name, b.pool.name))
	})
	var reach netip.Addr
	for i := range idx.ranges {
		if reach.Less(idx.ranges[i].Last()) {
			reach = idx.ranges[i].Last()
		}
		idx.ranges[i].reach = reach
	}
	return idx
}

// add puts in the ranges of a pool.
func (idx *poolIndex) add(kind Kind, p *metallb.IPAddressPool, note func(Withheld)) *pool {
	entry := &pool{kind: kind, name: p.Name, labels: p.Labels}
	for _, text := range p.Spec.Addresses {
		r, err := addrrange.Parse(text)
		if err != nil {
			note(Withheld{
				Kind: kind, Name: types.NamespacedName{Namespace: p.Namespace, Name: p.Name},
				Reason: ReasonInvalidConfiguration, Message: err.Error(),
			})
			continue
		}
		idx.ranges = append(idx.ranges, poolRange{Range: r, pool: entry})
	}
	return entry
}

// find returns the pool that an address lies in, or nil. Pools do not overlap; ranges within one may.
func (idx *poolIndex) find(a netip.Addr) *pool {
	after, _ := slices.BinarySearchFunc(idx.ranges, a, func(r poolRange, a netip.Addr) int {
		if a.Less(r.First()) {
			return 1
		}
		return -1
	})
	for i := after - 1; i >= 0 && !idx.ranges[i].reach.Less(a); i-- {
		if idx.ranges[i].Contains(a) {
			return idx.ranges[i].pool
		}
	}
	return nil
}

// selected returns the pools that an advertisement means: those it names and those whose labels it selects. An
// advertisement that does neither means all; one that selects and matches nothing means none.
func (idx *poolIndex) selected(names []string, byLabel selectors) []*pool {
	if len(names) == 0 && len(byLabel) == 0 {
		return idx.pools
	}
	var found []*pool
	for _, p := range idx.pools {
		if slices.Contains(names, p.name) || byLabel.matchAny(p.labels) {
			found = append(found, p)
		}
	}
	return found
}
