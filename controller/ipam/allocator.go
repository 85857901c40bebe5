// Package ipam decides which Service holds which addresses. It is pure: no clock, no sockets, no Kubernetes client,
// and the same calls in the same order give the same answers. What time it is, it is told (Advance).
//
// Addresses belong to pools; a Service holds addresses of one pool. One address may have several holders where the
// sharing rules allow it (Port, Service.SharingKey, Service.BackendKey). What is held stays held until Release or
// another assignment of the same Service: replacing the pools takes nothing away, it only says what the new pools
// no longer allow, because whether an address moves is for the caller to decide. Replacing reservations, and lowering
// quotas, takes nothing away at all.
//
// Among the free addresses of a pool a Service gets, in this order: one that is reserved for it by name, the one it
// had last, one that is reserved for its namespace, and the lowest of the others, where one it may share counts as
// free. A pool of either of the former two is tried before those that come first otherwise. An address that was
// released rests for its pool's cooldown, before somebody else gets it.
//
// The lowest free address of a pool is found in O(log n) of the gaps between used addresses, whatever the pool's size
// and however much of it rests or is reserved.
package ipam

import (
	"net/netip"
	"slices"
	"time"

	"github.com/google/btree"
	"k8s.io/apimachinery/pkg/labels"
)

// Family is an address family.
type Family uint8

// The address families, which also index per-family arrays.
const (
	IPv4 Family = iota
	IPv6
)

// String is the family's name.
func (f Family) String() string {
	if f == IPv4 {
		return "IPv4"
	}
	return "IPv6"
}

// FamilyOf is the family of a; IPv4-mapped IPv6 addresses count as IPv4.
func FamilyOf(a netip.Addr) Family {
	if a.Unmap().Is4() {
		return IPv4
	}
	return IPv6
}

// Port is one port of a Service. Holders of one address must have no Port in common.
type Port struct {
	Protocol string // TCP, UDP or SCTP
	Number   uint16
}

// Service is what allocation depends on of a Service.
type Service struct {
	Key       string // namespace/name, the identity
	Namespace string
	Labels    labels.Set
	Ports     []Port
	// SharingKey lets Services with the same, non-empty key share an address.
	SharingKey string
	// BackendKey must be equal among Services that share: the selector where traffic stays on the node, else "".
	BackendKey string
}

// name is the Service's within its namespace.
func (s *Service) name() string {
	if len(s.Key) <= len(s.Namespace) {
		return ""
	}
	return s.Key[len(s.Namespace)+1:]
}

// Assignment is what a Service holds: an IPv4 address, an IPv6 address, or one of each in this order.
type Assignment struct {
	Addrs []netip.Addr
	// Pool they are of. For an assignment that no pool allows (Kept), the pool they were of when last known.
	Pool string
	// Kept is set while no pool allows the assignment and the caller chose to keep it.
	Kept bool
}

// Allocator holds pools and assignments. It is not safe for concurrent use.
type Allocator struct {
	now time.Time // as last told

	pools  map[string]*pool
	byName []*pool    // in order of name
	pinned candidates // that are tried first
	open   candidates // for everybody, in order of name
	blocks []*block   // of all pools, disjoint, in order of addresses: IPv4 before IPv6

	reserved    []reserved // disjoint, in order of addresses
	reservedFor map[owner][]reserved

	holdings map[string]*holding
	slots    map[netip.Addr]*slot
	shared   map[sharing]group

	memories map[netip.Addr]*memory // of addresses that nobody holds
	pastOf   map[string][]*memory   // by who had them
	resting  *btree.BTreeG[*memory] // those that rest, by until
	idle     *btree.BTreeG[*memory] // the others, by released

	trial trial // nil except within Try

	protocols map[string]uint32 // numbers for portSets
	addrNodes *btree.FreeListG[netip.Addr]
}

// holding is what one Service holds.
type holding struct {
	service Service
	Assignment
}

// New returns an allocator without pools.
func New() *Allocator {
	return &Allocator{
		pools:     map[string]*pool{},
		holdings:  map[string]*holding{},
		slots:     map[netip.Addr]*slot{},
		shared:    map[sharing]group{},
		memories:  map[netip.Addr]*memory{},
		pastOf:    map[string][]*memory{},
		resting:   newQueue(earlierUntil),
		idle:      newQueue(earlierReleased),
		protocols: map[string]uint32{},
		addrNodes: btree.NewFreeListG[netip.Addr](btree.DefaultFreeListSize),
	}
}

// Holding returns what the Service holds.
func (a *Allocator) Holding(key string) (Assignment, bool) {
	h := a.holdings[key]
	if h == nil {
		return Assignment{}, false
	}
	return h.Assignment, true
}

// Facts returns the Service as it was when it last got or renewed its assignment.
func (a *Allocator) Facts(key string) (Service, bool) {
	h := a.holdings[key]
	if h == nil {
		return Service{}, false
	}
	return h.service, true
}

// Release takes away what the Service holds. It reports whether it held anything.
func (a *Allocator) Release(key string) bool {
	h := a.holdings[key]
	if h == nil {
		return false
	}
	for _, addr := range h.Addrs {
		a.leave(h, addr)
	}
	delete(a.holdings, key)
	return true
}

// hold makes s the holder of exactly the addresses, in place of what it held. The caller has checked that it may be.
func (a *Allocator) hold(s Service, as Assignment) {
	h := a.holdings[s.Key]
	if h == nil {
		h = &holding{service: s}
		a.holdings[s.Key] = h
	}
	before := h.Addrs
	for _, addr := range before {
		if !slices.Contains(as.Addrs, addr) {
			a.leave(h, addr)
		}
	}
	stayed := func(addr netip.Addr) bool { return slices.Contains(before, addr) }
	if old := &h.service; old.SharingKey != s.SharingKey || old.BackendKey != s.BackendKey || !slices.Equal(old.Ports, s.Ports) {
		for _, addr := range as.Addrs {
			if stayed(addr) {
				a.unindex(addr, a.slots[addr])
			}
		}
		h.service = s
		for _, addr := range as.Addrs {
			if stayed(addr) {
				a.index(addr, a.slots[addr], a.portsOf(a.slots[addr]))
			}
		}
	}
	h.service, h.Assignment = s, as
	for _, addr := range as.Addrs {
		if !stayed(addr) {
			a.join(h, addr)
		}
	}
}

// join makes h a holder of addr.
func (a *Allocator) join(h *holding, addr netip.Addr) {
	sl := a.slots[addr]
	var ports portSet
	switch {
	case sl == nil:
		sl = &slot{block: a.blockOf(addr)}
		a.slots[addr] = sl
		a.occupy(addr, sl)
	default:
		ports = sl.ports
		a.unindex(addr, sl)
	}
	if sl.block != nil {
		sl.block.pool.enter(h, !sl.has(h.service.Namespace))
	}
	sl.holders = append(sl.holders, h)
	if h.service.SharingKey != "" {
		a.index(addr, sl, ports.with(a.pack(h.service.Ports)))
	}
}

// occupy takes an address that nobody held out of its lot.
func (a *Allocator) occupy(addr netip.Addr, sl *slot) {
	a.note(addr)
	if m := a.memories[addr]; m != nil {
		a.forget(m)
	}
	if b := sl.block; b != nil {
		i := b.indexOf(addr)
		if l := b.lotFor(a.ownerOf(addr)); l != nil {
			l.free.remove(run{i, i}, nil)
		}
		b.inUse++
	}
}

// leave makes h a holder of addr no longer.
func (a *Allocator) leave(h *holding, addr netip.Addr) {
	sl := a.slots[addr]
	a.unindex(addr, sl)
	ports := sl.ports
	sl.holders = slices.DeleteFunc(sl.holders, func(o *holding) bool { return o == h })
	b := sl.block
	if b != nil {
		b.pool.leave(h, !sl.has(h.service.Namespace), b.pool.Quota != nil && a.holdsOf(h, b.pool))
	}
	if len(sl.holders) > 0 {
		a.index(addr, sl, ports.without(a.pack(h.service.Ports)))
		return
	}
	a.note(addr)
	delete(a.slots, addr)
	if b != nil {
		i := b.indexOf(addr)
		b.makeLot(a.ownerOf(addr)).free.add(run{i, i})
		b.pool.freed(b.family)
		b.inUse--
	}
	a.remember(Past{Addr: addr, Key: h.service.Key, Released: a.now})
}

// holdsOf reports whether h is still among the holders of an address of p.
func (a *Allocator) holdsOf(h *holding, p *pool) bool {
	return slices.ContainsFunc(h.Addrs, func(addr netip.Addr) bool {
		sl := a.slots[addr]
		return sl != nil && sl.block != nil && sl.block.pool == p && slices.Contains(sl.holders, h)
	})
}
