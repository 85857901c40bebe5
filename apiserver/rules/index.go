package rules

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubelabels "k8s.io/apimachinery/pkg/labels"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
)

// index is a configuration with what the rules work out of it. It is never changed. Objects of a configuration are
// never changed either, so that what was worked out of one holds for as long as the object is the same.
type index struct {
	config         *metallb.Configuration
	pools          []*pool
	advertisements []*advertisement
	// ranges are those of all pools.
	ranges       disjoint
	reservations []*reservation
}

// pool is an IPAddressPool with its ranges. Items that are wrong are missing.
type pool struct {
	*metallb.IPAddressPool
	members []*member // in the order of the list
	// narrowest4 and narrowest6 are the aggregation lengths that suit every item of the family; -1 without one.
	narrowest4, narrowest6 int
}

func indexPool(p *metallb.IPAddressPool) *pool {
	made := &pool{IPAddressPool: p, narrowest4: -1, narrowest6: -1}
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

// text is the item as it was written.
func (p *pool) text(m *member) string { return p.Spec.Addresses[m.index] }

// advertisement is a BGPAdvertisement with its selectors compiled.
type advertisement struct {
	*metallb.BGPAdvertisement
	poolSelection
	length4, length6 int
}

func indexAdvertisement(a *metallb.BGPAdvertisement) *advertisement {
	made := &advertisement{BGPAdvertisement: a, length4: hostRouteV4, length6: hostRouteV6,
		poolSelection: newPoolSelection(a.Spec.IPAddressPools, a.Spec.IPAddressPoolSelectors)}
	if a.Spec.AggregationLength != nil {
		made.length4 = int(*a.Spec.AggregationLength)
	}
	if a.Spec.AggregationLengthV6 != nil {
		made.length6 = int(*a.Spec.AggregationLengthV6)
	}
	return made
}

// poolSelection is the pools that an advertisement means: those it names and those whose labels it selects; all when
// it does neither.
type poolSelection struct {
	all     bool
	names   map[string]bool
	byLabel []kubelabels.Selector
}

func newPoolSelection(names []string, selectors []metav1.LabelSelector) poolSelection {
	s := poolSelection{all: len(names) == 0 && len(selectors) == 0, names: make(map[string]bool, len(names)), byLabel: compile(selectors)}
	for _, name := range names {
		s.names[name] = true
	}
	return s
}

func (s poolSelection) selects(p *metallb.IPAddressPool) bool {
	return s.all || s.names[p.Name] || matchAny(s.byLabel, p.Labels)
}

// compile leaves out selectors that are not valid: what does not parse matches nothing.
func compile(list []metav1.LabelSelector) []kubelabels.Selector {
	var compiled []kubelabels.Selector
	for i := range list {
		if s, err := metav1.LabelSelectorAsSelector(&list[i]); err == nil {
			compiled = append(compiled, s)
		}
	}
	return compiled
}

func matchAny(selectors []kubelabels.Selector, of map[string]string) bool {
	return slices.ContainsFunc(selectors, func(s kubelabels.Selector) bool { return s.Matches(kubelabels.Set(of)) })
}

// next is the index of c, which shares with ix, nil or not, what is the same in both configurations.
func (ix *index) next(c *metallb.Configuration) *index {
	if c == nil {
		c = &metallb.Configuration{}
	}
	if ix == nil {
		ix = &index{config: &metallb.Configuration{}}
	}
	made := &index{config: c}
	pools := derive(ix.config.IPAddressPools, ix.pools, c.IPAddressPools, indexPool)
	made.pools = pools.all
	made.advertisements = derive(ix.config.BGPAdvertisements, ix.advertisements, c.BGPAdvertisements, indexAdvertisement).all
	made.reservations = derive(ix.config.IPReservations, ix.reservations, c.IPReservations, indexReservation).all
	var gone, come []*member
	for _, p := range pools.gone {
		gone = append(gone, p.members...)
	}
	for _, p := range pools.come {
		come = append(come, p.members...)
	}
	made.ranges = ix.ranges.replace(gone, come)
	return made
}

// derived is a list worked out of objects, and how it differs from the list before.
type derived[D any] struct{ all, gone, come []D }

// derive works out the list of objects that now is, and takes over what before had worked out of was. The lists are
// sorted alike: all that two of them have in common at the beginning and at the end is passed over quickly.
func derive[O, D any](was []*O, before []*D, now []*O, work func(*O) *D) derived[*D] {
	shorter := min(len(was), len(now))
	head := 0
	for head < shorter && was[head] == now[head] {
		head++
	}
	tail := 0
	for tail < shorter-head && was[len(was)-1-tail] == now[len(now)-1-tail] {
		tail++
	}
	known := make(map[*O]*D, len(was)-tail-head)
	for i := head; i < len(was)-tail; i++ {
		known[was[i]] = before[i]
	}
	d := derived[*D]{all: make([]*D, 0, len(now))}
	d.all = append(d.all, before[:head]...)
	for _, o := range now[head : len(now)-tail] {
		made, ok := known[o]
		if ok {
			delete(known, o)
		} else {
			made = work(o)
			d.come = append(d.come, made)
		}
		d.all = append(d.all, made)
	}
	d.all = append(d.all, before[len(was)-tail:]...)
	for i := head; i < len(was)-tail; i++ {
		if made, ok := known[was[i]]; ok {
			d.gone = append(d.gone, made)
		}
	}
	return d
}
