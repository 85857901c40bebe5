package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Families says which addresses a Service wants.
type Families struct {
	// First and, where Dual, the other family too.
	First Family
	Dual  bool
	// Either is for Dual: where no pool has both, one family will do, First before the other.
	Either bool
}

// ErrExhausted says that no pool in question has what is wanted.
var ErrExhausted = errors.New("no available IPs")

// UnknownPoolError says that a pool that was asked for does not exist.
type UnknownPoolError struct{ Pool string }

// Error implements error, in MetalLB's words.
func (e *UnknownPoolError) Error() string { return fmt.Sprintf("unknown pool %q", e.Pool) }

// both and only are the sets of families that are looked for at once, in the order of an Assignment.
var (
	both = []Family{IPv4, IPv6}
	only = [...][]Family{IPv4: {IPv4}, IPv6: {IPv6}}
)

// tries are the sets of families that will do, the best first. An explicitly chosen pool gives IPv4 before IPv6.
func (f Families) tries() [][]Family {
	switch {
	case !f.Dual:
		return [][]Family{only[f.First]}
	case !f.Either:
		return [][]Family{both}
	}
	return [][]Family{both, only[f.First], only[IPv6-f.First]}
}

// HasPool reports whether a pool of this name exists.
func (a *Allocator) HasPool(name string) bool { return a.pools[name] != nil }

// HasPools reports whether there are pools at all.
func (a *Allocator) HasPools() bool { return len(a.pools) > 0 }

// Allocate gives s the lowest addresses that it may have of the first pool in order: pools pinned to it by priority,
// then pools for everybody, equal ones by name. It replaces what s held, which is not free meanwhile: to allow the
// same address again, Release first. It fails with ErrExhausted.
func (a *Allocator) Allocate(s Service, f Families) (Assignment, error) {
	for _, candidates := range [][]*pool{a.pinned, a.open} {
		for _, families := range f.tries() {
			for _, p := range candidates {
				if !p.admits(s) {
					continue
				}
				if addrs, ok := a.lowest(p, s, families); ok {
					as := Assignment{Addrs: addrs, Pool: p.Name}
					a.hold(s, as)
					return as, nil
				}
			}
		}
	}
	return Assignment{}, ErrExhausted
}

// AllocateFrom is Allocate from the named pool only, whether or not it assigns automatically.
func (a *Allocator) AllocateFrom(s Service, name string, f Families) (Assignment, error) {
	p := a.pools[name]
	if p == nil {
		return Assignment{}, &UnknownPoolError{name}
	}
	if !p.admits(s) {
		return Assignment{}, &notAllowed{fmt.Sprintf("pool %s not compatible for ip assignment", name)}
	}
	if f.Either {
		f.First = IPv4
	}
	for _, families := range f.tries() {
		if addrs, ok := a.lowest(p, s, families); ok {
			as := Assignment{Addrs: addrs, Pool: name}
			a.hold(s, as)
			return as, nil
		}
	}
	return Assignment{}, fmt.Errorf("%w in pool %s", ErrExhausted, name)
}

// Extend adds the lowest address of another family, from the pool of what s holds already.
func (a *Allocator) Extend(s Service, f Family) (netip.Addr, error) {
	h := a.holdings[s.Key]
	if h == nil {
		return netip.Addr{}, fmt.Errorf("%q holds no address to add to", s.Key)
	}
	p := a.pools[h.Pool]
	if p == nil {
		return netip.Addr{}, &UnknownPoolError{h.Pool}
	}
	if h.Kept || !p.admits(s) {
		return netip.Addr{}, &notAllowed{fmt.Sprintf("pool %s not compatible for ip assignment", p.Name)}
	}
	more, ok := a.lowest(p, s, only[f])
	if !ok {
		return netip.Addr{}, fmt.Errorf("%w in pool %s", ErrExhausted, p.Name)
	}
	a.hold(s, Assignment{Addrs: inOrder(append(slices.Clone(h.Addrs), more[0])), Pool: p.Name})
	return more[0], nil
}

// lowest finds one address of each family in p for s.
func (a *Allocator) lowest(p *pool, s Service, families []Family) ([]netip.Addr, bool) {
	addrs := make([]netip.Addr, 0, len(families))
	for _, f := range families {
		addr, ok := a.lowestOf(p, s, f)
		if !ok {
			return nil, false
		}
		addrs = append(addrs, addr)
	}
	return addrs, true
}

func (a *Allocator) lowestOf(p *pool, s Service, f Family) (netip.Addr, bool) {
	for _, b := range p.blocks {
		if b.family != f {
			continue
		}
		free, isFree := b.lowestFree()
		if addr, ok := a.lowestShared(b, s); ok && (!isFree || addr.Less(free)) {
			return addr, true
		}
		if isFree {
			return free, true
		}
	}
	return netip.Addr{}, false
}

// lowestShared is the lowest address of the block that s may share with its holders.
func (a *Allocator) lowestShared(b *block, s Service) (netip.Addr, bool) {
	if s.SharingKey == "" {
		return netip.Addr{}, false
	}
	list := a.shared[sharing{s.SharingKey, s.BackendKey}]
	from, _ := slices.BinarySearchFunc(list, b.span.First(), netip.Addr.Compare)
	for _, addr := range list[from:] {
		if b.span.Last().Less(addr) {
			break
		}
		if !b.usable(addr) {
			continue
		}
		if _, clash := portClash(s, a.slots[addr]); !clash {
			return addr, true
		}
	}
	return netip.Addr{}, false
}
