package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
)

// Families says which addresses a Service wants.
type Families struct {
	// First and, where Dual, the other family too.
	First Family
	Dual  bool
	// Either is for Dual: where no pool has both, one family will do, First before the other.
	Either bool
}

// both and only are the sets of families that are looked for at once, in the order of an Assignment.
var (
	both = []Family{IPv4, IPv6}
	only = [...][]Family{IPv4: {IPv4}, IPv6: {IPv6}}
)

// tries are the sets of families that will do, the best first. An explicitly chosen pool gives IPv4 before IPv6.
func (f Families) tries() [][]Family {
	switch {
	case !f.Dual:
		return singles[f.First][:1]
	case !f.Either:
		return eithers[f.First][:1]
	}
	return eithers[f.First]
}

var (
	singles = [...][][]Family{{only[IPv4]}, {only[IPv6]}}
	eithers = [...][][]Family{{both, only[IPv4], only[IPv6]}, {both, only[IPv6], only[IPv4]}}
)

// wants reports whether an address of the family is of use.
func (f Families) wants(family Family) bool { return f.Dual || f.First == family }

// HasPool reports whether a pool of this name exists.
func (a *Allocator) HasPool(name string) bool { return a.pools[name] != nil }

// HasPools reports whether there are pools at all.
func (a *Allocator) HasPools() bool { return len(a.pools) > 0 }

// Allocate gives s addresses of the first pool in order: the pools that have addresses reserved for it by name, and
// that of the addresses it had last, as far as they assign to it automatically; then the pools pinned to it by priority;
// then pools for everybody, equal ones by name. It replaces what s held, which is not free meanwhile: to allow the
// same address again, Release first. The error is an ExhaustedError.
func (a *Allocator) Allocate(s Service, f Families) (Assignment, error) {
	for _, p := range a.preferred(s, f) {
		if as, ok := a.allocateFrom(p, s, f); ok {
			return as, nil
		}
	}
	for _, list := range []*candidates{&a.pinned, &a.open} {
		for _, families := range f.tries() {
			for _, p := range a.worthwhile(list, s, families) {
				if !p.admits(s) {
					continue
				}
				if addrs, ok := a.choose(p, s, families); ok {
					as := Assignment{Addrs: addrs, Pool: p.Name}
					a.hold(s, as)
					return as, nil
				}
			}
		}
	}
	return Assignment{}, a.exhausted(s, f)
}

// preferred are the pools that Allocate tries before all others.
func (a *Allocator) preferred(s Service, f Families) (pools []*pool) {
	add := func(p *pool) {
		if p.AutoAssign && p.admits(s) && !slices.Contains(pools, p) {
			pools = append(pools, p)
		}
	}
	if len(a.reserved) > 0 {
		o := owners(s)[0]
		for _, r := range a.reservedFor[o] {
			for _, b := range a.overlapping(r.Range) {
				if l := b.lotFor(o); l != nil && f.wants(b.family) && !l.free.empty() {
					add(b.pool)
				}
			}
		}
		slices.SortFunc(pools, byPreference)
	}
	var last *memory
	for _, m := range a.pastOf[s.Key] {
		if m.block != nil && f.wants(m.block.family) && a.ownerOf(m.Addr).admits(s) && (last == nil || earlierReleased(last, m)) {
			last = m
		}
	}
	if last != nil {
		add(last.block.pool)
	}
	return pools
}

// AllocateFrom is Allocate from the named pool only, whether or not it assigns automatically.
func (a *Allocator) AllocateFrom(s Service, name string, f Families) (Assignment, error) {
	p := a.pools[name]
	if p == nil {
		return Assignment{}, &UnknownPoolError{name}
	}
	if err := p.refuses(s); err != nil {
		return Assignment{}, err
	}
	if f.Either {
		f.First = IPv4
	}
	if as, ok := a.allocateFrom(p, s, f); ok {
		return as, nil
	}
	return Assignment{}, a.exhaustedIn(p, s, f)
}

func (a *Allocator) allocateFrom(p *pool, s Service, f Families) (Assignment, bool) {
	for _, families := range f.tries() {
		if addrs, ok := a.choose(p, s, families); ok {
			as := Assignment{Addrs: addrs, Pool: p.Name}
			a.hold(s, as)
			return as, true
		}
	}
	return Assignment{}, false
}

// Extend adds an address of another family, from the pool of what s holds already.
func (a *Allocator) Extend(s Service, f Family) (netip.Addr, error) {
	h := a.holdings[s.Key]
	if h == nil {
		return netip.Addr{}, fmt.Errorf("%q holds no address to add to", s.Key)
	}
	p := a.pools[h.Pool]
	if p == nil {
		return netip.Addr{}, &UnknownPoolError{h.Pool}
	}
	if h.Kept {
		return netip.Addr{}, &IncompatibleError{Pool: p.Name, Why: "it does not allow what the Service holds"}
	}
	if err := p.refuses(s); err != nil {
		return netip.Addr{}, err
	}
	if slices.ContainsFunc(h.Addrs, func(addr netip.Addr) bool { return FamilyOf(addr) == f }) {
		return netip.Addr{}, errors.New("it holds an address of the family already")
	}
	more, ok := a.choose(p, s, only[f])
	if !ok {
		return netip.Addr{}, a.exhaustedIn(p, s, Families{First: f})
	}
	a.hold(s, Assignment{Addrs: inOrder(append(slices.Clone(h.Addrs), more[0])), Pool: p.Name})
	return more[0], nil
}

// choose finds one address of each family in p for s, within its quota.
func (a *Allocator) choose(p *pool, s Service, families []Family) ([]netip.Addr, bool) {
	room := p.room(s)
	var found [2]netip.Addr
	for i, f := range families {
		addr, ok := a.chooseOf(p, s, f, room > 0)
		if !ok {
			return nil, false
		}
		if sl := a.slots[addr]; sl == nil || !sl.has(s.Namespace) {
			room--
		}
		found[i] = addr
	}
	return slices.Clone(found[:len(families)]), true
}

// chooseOf finds an address of the family in p. Without room it must be one that its namespace holds already.
func (a *Allocator) chooseOf(p *pool, s Service, f Family, room bool) (netip.Addr, bool) {
	if len(a.reserved) == 0 && len(a.pastOf[s.Key]) == 0 {
		return a.lowest(p, s, f, everybody, room)
	}
	of := owners(s)
	mine, namespace := of[0], of[1]
	former := func(of ...owner) (addr netip.Addr, ok bool) { // free, and so not to be had without room
		for i := 0; room && !ok && i < len(of); i++ {
			addr, ok = a.former(p, s, f, of[i])
		}
		return addr, ok
	}
	if addr, ok := former(mine); ok {
		return addr, true
	}
	if addr, ok := a.lowest(p, s, f, mine, room); ok {
		return addr, true
	}
	if addr, ok := former(namespace, everybody); ok {
		return addr, true
	}
	if addr, ok := a.lowest(p, s, f, namespace, room); ok {
		return addr, true
	}
	return a.lowest(p, s, f, everybody, room)
}

// lowest is the lowest address of those for o, block by block, that is free or that s may share.
func (a *Allocator) lowest(p *pool, s Service, f Family, o owner, room bool) (netip.Addr, bool) {
	for _, b := range p.blocks {
		l := b.lotFor(o)
		if b.family != f || l == nil {
			continue
		}
		var free netip.Addr
		if i, ok := l.free.min(); room && ok {
			free = b.addrOf(i)
		}
		if addr, ok := a.lowestShared(b, s, o, room); ok && (!free.IsValid() || addr.Less(free)) {
			return addr, true
		}
		if free.IsValid() {
			return free, true
		}
	}
	return netip.Addr{}, false
}

// lowestShared is the lowest address of the block, of those for o, that s may share with its holders.
func (a *Allocator) lowestShared(b *block, s Service, o owner, room bool) (netip.Addr, bool) {
	if s.SharingKey == "" {
		return netip.Addr{}, false
	}
	g := a.shared[sharing{s.SharingKey, s.BackendKey}]
	if len(g) == 0 {
		return netip.Addr{}, false
	}
	ports := a.pack(s.Ports)
	if o == everybody {
		return a.lowestSharedIn(g, ports, b, b.span, s, o, room)
	}
	for _, r := range a.reservedFor[o] {
		if span, ok := b.span.Intersect(r.Range); ok {
			if addr, ok := a.lowestSharedIn(g, ports, b, span, s, o, room); ok {
				return addr, true
			}
		}
	}
	return netip.Addr{}, false
}

func (a *Allocator) lowestSharedIn(g group, ports []uint32, b *block, span addrrange.Range, s Service, o owner, room bool) (lowest netip.Addr, ok bool) {
	for _, set := range g {
		if slices.ContainsFunc(ports, set.ports.has) {
			continue
		}
		set.addrs.AscendGreaterOrEqual(span.First(), func(addr netip.Addr) bool {
			if span.Last().Less(addr) || lowest.IsValid() && lowest.Less(addr) {
				return false
			}
			if !b.usable(addr) || a.ownerOf(addr) != o || !room && !a.slots[addr].has(s.Namespace) {
				return true
			}
			lowest = addr
			return false
		})
	}
	return lowest, lowest.IsValid()
}
