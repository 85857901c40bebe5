package bgp

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// rib is what one neighbour shall see and what it is shown. It is pure: it says what to do to the RIB of the wire, and
// the cost of a change is that of what changes.
type rib struct {
	cfg   sessionConfig
	guard *guard
	// want is what the neighbour shall see, have what the wire holds.
	want map[netip.Prefix]attributes
	have map[netip.Prefix]path
	// missing are wanted, but without a next hop; refused are wanted, but not by the guard, with the reason.
	missing map[netip.Prefix]bool
	refused map[netip.Prefix]string
	// surplus are those of refused for which there is no room.
	surplus map[netip.Prefix]bool
	ipv4    int // of have
	// draining says that the neighbour is asked to prefer others (RFC 8326).
	draining bool
	stale    bool // the wire may hold something else than have
	// verdicts counts the changes of missing and refused.
	verdicts uint64
}

func newRIB(cfg sessionConfig) *rib {
	return &rib{
		cfg: cfg, want: make(map[netip.Prefix]attributes), have: make(map[netip.Prefix]path),
		missing: make(map[netip.Prefix]bool), refused: make(map[netip.Prefix]string), surplus: make(map[netip.Prefix]bool),
	}
}

// delta is a change of what one neighbour shall see.
type delta struct {
	set  map[netip.Prefix]attributes
	gone map[netip.Prefix]bool
}

func newDelta() *delta {
	return &delta{set: make(map[netip.Prefix]attributes), gone: make(map[netip.Prefix]bool)}
}

// put and drop replace what was said of a prefix before.
func (d *delta) put(prefix netip.Prefix, a attributes) {
	delete(d.gone, prefix)
	d.set[prefix] = a
}

func (d *delta) drop(prefix netip.Prefix) {
	delete(d.set, prefix)
	d.gone[prefix] = true
}

// step takes a change and a guard, and says which paths to add, replacing those of the same prefix, and then which to
// remove, each sorted. hop says what a prefix is announced with; it is invalid when there is nothing.
func (r *rib) step(d *delta, g *guard, hop func(netip.Prefix) netip.Addr) (add, remove []path) {
	touched := make([]netip.Prefix, 0, len(d.set)+len(d.gone))
	for prefix, a := range d.set {
		r.want[prefix] = r.cfg.shown(a)
		touched = append(touched, prefix)
	}
	for prefix := range d.gone {
		delete(r.want, prefix)
		touched = append(touched, prefix)
	}
	before := r.guard
	r.guard = g
	if r.stale || !g.sameRanges(before) {
		return r.all(hop)
	}
	add, remove = r.settle(touched, hop)
	if room := g.room(len(r.have)); room < 0 || room > 0 && len(r.surplus) > 0 {
		more, less := r.settleSurplus(hop)
		return append(add, more...), append(remove, less...)
	}
	return add, remove
}

// all looks at every prefix again.
func (r *rib) all(hop func(netip.Prefix) netip.Addr) (add, remove []path) {
	r.stale = false
	touched := slices.Collect(maps.Keys(r.want))
	for prefix := range r.have {
		if _, wanted := r.want[prefix]; !wanted {
			touched = append(touched, prefix)
		}
	}
	add, remove = r.settle(touched, hop)
	more, less := r.settleSurplus(hop)
	return append(add, more...), append(remove, less...)
}

// settle brings have to what is wanted of some prefixes. What is on the wire goes before what is new when there is not
// room for all.
func (r *rib) settle(touched []netip.Prefix, hop func(netip.Prefix) netip.Addr) (add, remove []path) {
	var fresh []path
	for _, prefix := range touched {
		r.clear(prefix)
		next, ok := r.path(prefix, hop)
		old, had := r.have[prefix]
		switch {
		case !ok && had:
			r.forget(prefix)
			remove = append(remove, old)
		case !ok:
		case !had:
			fresh = append(fresh, next)
		case old != next:
			r.have[prefix] = next
			add = append(add, next)
		}
	}
	slices.SortFunc(fresh, byPrefix)
	for _, p := range fresh {
		if r.guard.room(len(r.have)) <= 0 {
			r.refuse(p.prefix, r.guard.full(), true)
			continue
		}
		r.keep(p)
		add = append(add, p)
	}
	slices.SortFunc(add, byPrefix)
	slices.SortFunc(remove, byPrefix)
	return add, remove
}

// settleSurplus takes from the wire what there is no room for any more, or puts there what there is room for now: the
// lowest prefixes stay.
func (r *rib) settleSurplus(hop func(netip.Prefix) netip.Addr) (add, remove []path) {
	over := -r.guard.room(len(r.have))
	if over <= 0 {
		return r.settle(slices.Collect(maps.Keys(r.surplus)), hop)
	}
	remove = slices.SortedFunc(maps.Values(r.have), byPrefix)
	remove = remove[len(remove)-over:]
	for _, p := range remove {
		r.forget(p.prefix)
		r.refuse(p.prefix, r.guard.full(), true)
	}
	return nil, remove
}

// path is what the neighbour is shown of a prefix, if it is anything.
func (r *rib) path(prefix netip.Prefix, hop func(netip.Prefix) netip.Addr) (path, bool) {
	attrs, wanted := r.want[prefix]
	if !wanted || !r.cfg.carries(prefix) {
		return path{}, false
	}
	if !r.guard.covers(prefix) {
		r.refuse(prefix, r.guard.outside(prefix), false)
		return path{}, false
	}
	next := hop(prefix)
	if !next.IsValid() {
		r.missing[prefix] = true
		r.verdicts++
		return path{}, false
	}
	p := path{prefix: prefix, nextHop: next, attributes: attrs}
	if r.draining {
		p = r.cfg.leaving(p)
	}
	return p, true
}

// clear forgets why a prefix is not on the wire.
func (r *rib) clear(prefix netip.Prefix) {
	before := len(r.missing) + len(r.refused)
	delete(r.missing, prefix)
	delete(r.refused, prefix)
	delete(r.surplus, prefix)
	if len(r.missing)+len(r.refused) != before {
		r.verdicts++
	}
}

func (r *rib) refuse(prefix netip.Prefix, why string, surplus bool) {
	r.refused[prefix] = why
	if surplus {
		r.surplus[prefix] = true
	}
	r.verdicts++
}

func (r *rib) keep(p path) {
	r.have[p.prefix] = p
	if p.prefix.Addr().Is4() {
		r.ipv4++
	}
}

func (r *rib) forget(prefix netip.Prefix) {
	delete(r.have, prefix)
	if prefix.Addr().Is4() {
		r.ipv4--
	}
}

// failed says that the wire did not do all that step said: some of it is to be done again.
func (r *rib) failed(add, remove []path) {
	r.stale = true
	for _, p := range append(remove, add...) {
		if _, there := r.have[p.prefix]; !there {
			r.keep(p)
		}
		r.have[p.prefix] = path{prefix: p.prefix} // like nothing that is wanted
	}
}

// losing counts what is on the wire and still wanted after d, and how much of it would not be under another guard.
func (r *rib) losing(g *guard, d *delta) (lost, all int) {
	for prefix := range r.have {
		if _, wanted := r.want[prefix]; !wanted || d != nil && d.gone[prefix] {
			continue
		}
		all++
		if !g.covers(prefix) {
			lost++
		}
	}
	return lost + max(-g.room(all-lost), 0), all
}

func byPrefix(a, b path) int {
	return cmp.Or(a.prefix.Addr().Compare(b.prefix.Addr()), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()))
}

// refusal words the refusals of a step, for the log.
func (r *rib) refusal() string {
	first := slices.SortedFunc(maps.Keys(r.refused), func(a, b netip.Prefix) int { return a.Compare(b) })[0]
	return fmt.Sprintf("%d routes are not advertised, such as %s: %s", len(r.refused), first, r.refused[first])
}

// wanted counts what the neighbour would be shown if all were well.
func (r *rib) wanted() int { return len(r.have) + len(r.missing) + len(r.refused) }
