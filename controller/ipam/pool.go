package ipam

import (
	"cmp"
	"math"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
)

// Pool is what allocation depends on of an IPAddressPool.
type Pool struct {
	Name string
	// Ranges are used in this order. A range that another pool, or an earlier range, has already is not used twice.
	Ranges []addrrange.Range
	// AutoAssign says whether Services that do not ask for the pool may draw from it.
	AutoAssign bool
	// AvoidBuggyIPs leaves IPv4 addresses unused that end in .0 or .255.
	AvoidBuggyIPs bool
	// Pin restricts and orders the pool's use; nil for a pool for everybody.
	Pin *Pin
	// Cooldown is how long an address rests after its release, before another Service gets it.
	Cooldown time.Duration
	// Quota limits what a namespace may hold; nil for no limits.
	Quota *Quota
}

// Pin is a pool's serviceAllocation with its namespace selectors resolved.
type Pin struct {
	// Priority: lower is tried earlier, 0 last.
	Priority int
	// ByNamespace restricts the pool to Namespaces, also where there are none: selectors that match no namespace
	// must not open the pool to all of them.
	ByNamespace bool
	Namespaces  map[string]bool
	// ServiceSelectors, of which one must match; none matches every Service.
	ServiceSelectors []labels.Selector
}

// admits reports whether the pool may serve s at all.
func (p *Pool) admits(s Service) bool { return p.why(s) == "" }

// refuses is nil where the pool may serve s; otherwise an IncompatibleError.
func (p *Pool) refuses(s Service) error {
	if why := p.why(s); why != "" {
		return &IncompatibleError{Pool: p.Name, Why: why}
	}
	return nil
}

func (p *Pool) why(s Service) string {
	switch {
	case p.Pin == nil:
		return ""
	case p.Pin.ByNamespace && !p.Pin.Namespaces[s.Namespace]:
		return "it is for other namespaces"
	case len(p.Pin.ServiceSelectors) == 0,
		slices.ContainsFunc(p.Pin.ServiceSelectors, func(sel labels.Selector) bool { return sel.Matches(s.Labels) }):
		return ""
	}
	return "it is for Services with other labels"
}

// sameAddresses reports whether both pools are made of the same addresses in the same order.
func (p *Pool) sameAddresses(o *Pool) bool {
	return p.AvoidBuggyIPs == o.AvoidBuggyIPs && slices.Equal(p.Ranges, o.Ranges)
}

// pool is a Pool in use.
type pool struct {
	Pool
	blocks []*block    // in the order of use
	list   *candidates // nil for pools that do not assign automatically
	place  int         // in list

	uses    map[string]*use // by namespace
	ranking []Share         // the biggest of uses; nil when they have changed
}

// whole reports whether each range became one block: none was cut because another pool had part of it.
func (p *pool) whole() bool {
	return slices.EqualFunc(p.blocks, p.Ranges, func(b *block, r addrrange.Range) bool { return b.span == r })
}

// byPriority orders pinned pools: ascending, 0 last, equal ones by name.
func byPriority(a, b *pool) int {
	rank := func(p *pool) int {
		if p.Pin.Priority == 0 {
			return math.MaxInt
		}
		return p.Pin.Priority
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Name, b.Name))
}

// byPreference orders pools as Allocate tries them.
func byPreference(a, b *pool) int {
	switch {
	case a.Pin != nil && b.Pin != nil:
		return byPriority(a, b)
	case a.Pin != nil:
		return -1
	case b.Pin != nil:
		return 1
	}
	return cmp.Compare(a.Name, b.Name)
}

// Lost is an assignment that the pools no longer allow.
type Lost struct {
	Key        string
	Assignment Assignment // as it was before
	Err        error      // why it is not allowed
}

// SetPools replaces all pools. Nothing is taken away: lost lists the assignments that were allowed and are not any
// more, renamed the Services whose addresses are of another pool than before, or of one again, both in order of key. A
// lost assignment is Kept until the caller releases it; one that the new pools allow again is Kept no longer.
func (a *Allocator) SetPools(pools []Pool) (lost []Lost, renamed []string) {
	old := a.pools
	a.pools = make(map[string]*pool, len(pools))
	a.byName, a.pinned, a.open = nil, candidates{}, candidates{}
	for _, spec := range pools {
		p := &pool{Pool: spec, uses: map[string]*use{}}
		a.pools[p.Name] = p
		a.byName = append(a.byName, p)
	}
	slices.SortFunc(a.byName, func(x, y *pool) int { return cmp.Compare(x.Name, y.Name) })
	for _, p := range slices.SortedStableFunc(slices.Values(a.byName), byPreference) {
		switch {
		case !p.AutoAssign:
		case p.Pin != nil:
			a.pinned.add(p)
		default:
			a.open.add(p)
		}
	}
	a.layOut(old)
	return a.recheck()
}

// layOut gives every pool its blocks and every address in use its block.
func (a *Allocator) layOut(old map[string]*pool) {
	a.blocks = nil
	disjoint := disjoint(a.byName)
	kept := map[*block]bool{}
	var fresh []*block
	for _, p := range a.byName {
		before := old[p.Name]
		if disjoint && before != nil && before.sameAddresses(&p.Pool) && before.whole() {
			p.blocks = before.blocks
			for _, b := range p.blocks {
				b.pool = p
				kept[b] = true
			}
		} else {
			for _, span := range p.Ranges {
				for _, piece := range a.notYetTaken(span, disjoint) {
					if b := newBlock(p, piece); b != nil {
						p.blocks = append(p.blocks, b)
						fresh = append(fresh, b)
					}
				}
			}
		}
		a.blocks = append(a.blocks, p.blocks...)
	}
	slices.SortFunc(a.blocks, func(x, y *block) int { return x.span.First().Compare(y.span.First()) })
	for _, b := range fresh {
		for _, r := range reservedIn(a.reserved, b.span) {
			b.reserve(r.Range, everybody, r.owner)
		}
	}
	for addr, sl := range a.slots {
		if !kept[sl.block] {
			if sl.block = a.blockOf(addr); sl.block != nil {
				a.occupy(addr, sl)
			}
		}
		if sl.block == nil {
			continue
		}
		for i, h := range sl.holders {
			earlier := sl.holders[:i]
			sl.block.pool.enter(h, !slices.ContainsFunc(earlier, func(o *holding) bool { return o.service.Namespace == h.service.Namespace }))
		}
	}
	for _, m := range a.memories {
		a.settle(m)
	}
}

// disjoint reports whether no two ranges of the pools overlap, as the rules of the API promise.
func disjoint(pools []*pool) bool {
	var all []addrrange.Range
	for _, p := range pools {
		all = append(all, p.Ranges...)
	}
	slices.SortFunc(all, func(x, y addrrange.Range) int { return x.First().Compare(y.First()) })
	for i := 1; i < len(all); i++ {
		if all[i-1].Overlaps(all[i]) {
			return false
		}
	}
	return true
}

// notYetTaken is span without what the blocks laid out so far have. It is for configurations that break the rules,
// and then keeps "one address, one pool" true; so it need not be fast.
func (a *Allocator) notYetTaken(span addrrange.Range, disjoint bool) []addrrange.Range {
	pieces := []addrrange.Range{span}
	if disjoint {
		return pieces
	}
	taken := []addrrange.Range{}
	for _, p := range a.byName {
		for _, b := range p.blocks {
			taken = append(taken, b.span)
		}
	}
	for _, t := range taken {
		var rest []addrrange.Range
		for _, piece := range pieces {
			rest = append(rest, subtract(piece, t)...)
		}
		pieces = rest
	}
	return pieces
}

// subtract is r without o, in ascending order.
func subtract(r, o addrrange.Range) []addrrange.Range {
	shared, overlap := r.Intersect(o)
	if !overlap {
		return []addrrange.Range{r}
	}
	var rest []addrrange.Range
	// New fails where nothing is left on a side: the neighbour is then before the start, after the end, or no address.
	if below, err := addrrange.New(r.First(), shared.First().Prev()); err == nil {
		rest = append(rest, below)
	}
	if above, err := addrrange.New(shared.Last().Next(), r.Last()); err == nil {
		rest = append(rest, above)
	}
	return rest
}

// recheck compares every assignment with the pools.
func (a *Allocator) recheck() (lost []Lost, renamed []string) {
	for key, h := range a.holdings {
		p, err := a.allowed(h.service, h.Addrs)
		if err != nil {
			if !h.Kept {
				lost = append(lost, Lost{Key: key, Assignment: h.Assignment, Err: err})
				h.Kept = true
			}
			continue
		}
		if h.Kept || h.Pool != p.Name {
			h.Kept, h.Pool = false, p.Name
			renamed = append(renamed, key)
		}
	}
	slices.SortFunc(lost, func(x, y Lost) int { return cmp.Compare(x.Key, y.Key) })
	slices.Sort(renamed)
	return lost, renamed
}
