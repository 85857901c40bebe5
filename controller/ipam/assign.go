package ipam

import (
	"cmp"
	"net/netip"
	"slices"
)

// Assign makes s hold exactly addrs, in place of what it held: addresses it asked for, or has already. All must be
// of one pool that admits s, and may be shared with their other holders; those that it does not hold yet must not be
// reserved for others nor at rest, and within its namespace's quota. On error s holds what it held before.
func (a *Allocator) Assign(s Service, addrs []netip.Addr) (Assignment, error) {
	addrs = inOrder(addrs)
	p, err := a.allowed(s, addrs)
	if err != nil {
		return Assignment{}, err
	}
	at := a.slotsAt(addrs)
	if err := a.sharable(s, at); err != nil {
		return Assignment{}, err
	}
	if err := a.obtainable(p, s, at); err != nil {
		return Assignment{}, err
	}
	as := Assignment{Addrs: addrs, Pool: p.Name}
	a.hold(s, as)
	return as, nil
}

// Adopt is Assign of addresses that s is known to have had all along, before this allocator came to be: reservations,
// rest and quotas take nothing away.
func (a *Allocator) Adopt(s Service, addrs []netip.Addr) (Assignment, error) {
	addrs = inOrder(addrs)
	p, err := a.allowed(s, addrs)
	if err != nil {
		return Assignment{}, err
	}
	if err := a.sharable(s, a.slotsAt(addrs)); err != nil {
		return Assignment{}, err
	}
	as := Assignment{Addrs: addrs, Pool: p.Name}
	a.hold(s, as)
	return as, nil
}

// Keep makes s hold exactly addrs although no pool need allow it: they were of the named pool when that was last
// known. The rules of sharing hold all the same. On error s holds what it held before.
func (a *Allocator) Keep(s Service, addrs []netip.Addr, pool string) error {
	addrs = inOrder(addrs)
	if err := a.sharable(s, a.slotsAt(addrs)); err != nil {
		return err
	}
	a.hold(s, Assignment{Addrs: addrs, Pool: pool, Kept: true})
	return nil
}

// OfPool names the pool that has addr; none where no pool does, or avoids it.
func (a *Allocator) OfPool(addr netip.Addr) (name string, ok bool) {
	b := a.blockOf(addr)
	if b == nil {
		return "", false
	}
	return b.pool.Name, true
}

// allowed returns the one pool of all addresses if it admits s. The error is ErrNotAllowed.
func (a *Allocator) allowed(s Service, addrs []netip.Addr) (*pool, error) {
	var p *pool
	for _, addr := range addrs {
		b := a.blockOf(addr)
		if b == nil || p != nil && b.pool != p {
			return nil, &OutsideError{addrs}
		}
		p = b.pool
	}
	if p == nil {
		return nil, &OutsideError{}
	}
	return p, p.refuses(s)
}

// blockOf finds the block that may give addr away, nil if there is none.
func (a *Allocator) blockOf(addr netip.Addr) *block {
	i, found := slices.BinarySearchFunc(a.blocks, addr, func(b *block, addr netip.Addr) int {
		return b.span.First().Compare(addr)
	})
	if !found {
		i-- // the last one that begins before addr
	}
	if i < 0 || !a.blocks[i].usable(addr) {
		return nil
	}
	return a.blocks[i]
}

// obtainable checks what s does not hold yet against reservations, rest and quota.
func (a *Allocator) obtainable(p *pool, s Service, as []slotAt) error {
	for _, at := range as {
		if at.slot != nil && slices.ContainsFunc(at.slot.holders, func(h *holding) bool { return h.service.Key == s.Key }) {
			continue
		}
		if r := reservedAt(a.reserved, at.addr); r != nil && !r.owner.admits(s) {
			return newReservedError(at.addr, r.by)
		}
		if m := a.memories[at.addr]; m != nil && m.lot != nil && m.Key != s.Key {
			return &RestingError{Addr: at.addr, Pool: p.Name, Last: m.Key, Until: m.until}
		}
	}
	return a.withinQuota(p, s, as)
}

// sharable checks s against the other holders of the addresses.
func (a *Allocator) sharable(s Service, as []slotAt) error {
	for _, at := range as {
		if at.slot == nil {
			continue
		}
		if err := a.sharableAt(s, at); err != nil {
			return err
		}
	}
	return nil
}

// sharableAt is spec.md section 4.7.
func (a *Allocator) sharableAt(s Service, at slotAt) error {
	inside := false
	for _, h := range at.slot.holders {
		if h.service.Key == s.Key {
			inside = true
		} else if !shares(&s, &h.service) { // then no other holder does: they share with each other
			return at.inUse(s)
		}
	}
	if !inside {
		for _, port := range s.Ports {
			if at.slot.ports.has(a.packed(port)) {
				return at.portError(port)
			}
		}
		return nil
	}
	for _, h := range at.slot.holders {
		if h.service.Key == s.Key {
			continue
		}
		for _, port := range s.Ports {
			if slices.Contains(h.service.Ports, port) {
				return &PortError{Addr: at.addr, Port: port, Holder: h.service.Key}
			}
		}
	}
	return nil
}

// shares reports whether two Services may share an address if their ports differ.
func shares(s, o *Service) bool {
	return s.SharingKey != "" && s.SharingKey == o.SharingKey && s.BackendKey == o.BackendKey
}

// inUse names holders that s may not share with.
func (at slotAt) inUse(s Service) *InUseError {
	e := &InUseError{Addr: at.addr, Key: s.Key}
	for _, h := range at.slot.holders {
		o := &h.service
		if o.Key == s.Key || shares(&s, o) {
			continue
		}
		e.Holders = append(e.Holders, o.Key)
		switch {
		case s.SharingKey == "" || o.SharingKey == "":
			e.Why = "is shared only by Services that all have the same sharing key"
		case s.SharingKey != o.SharingKey:
			e.Why = "is shared under another sharing key"
		default:
			e.Why = "is shared only by Services with the same externalTrafficPolicy and, where that is Local, the same selector"
		}
	}
	slices.Sort(e.Holders)
	named := min(mostNamed, len(e.Holders))
	e.More, e.Holders = len(e.Holders)-named, e.Holders[:named]
	return e
}

func (at slotAt) portError(port Port) *PortError {
	e := &PortError{Addr: at.addr, Port: port}
	for _, h := range at.slot.holders {
		if slices.Contains(h.service.Ports, port) {
			e.Holder = h.service.Key
		}
	}
	return e
}

// inOrder is the addresses in a canonical form: IPv4 first, no IPv4-mapped ones.
func inOrder(addrs []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, len(addrs))
	for i, addr := range addrs {
		out[i] = addr.Unmap()
	}
	slices.SortFunc(out, func(x, y netip.Addr) int { return cmp.Compare(FamilyOf(x), FamilyOf(y)) })
	return out
}
