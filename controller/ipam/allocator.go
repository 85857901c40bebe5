// Package ipam decides which Service holds which addresses. It is pure: no clock, no sockets, no Kubernetes client,
// and the same calls in the same order give the same answers.
//
// Addresses belong to pools; a Service holds addresses of one pool. One address may have several holders where the
// sharing rules allow it (Port, Service.SharingKey, Service.BackendKey). What is held stays held until Release or
// another assignment of the same Service: replacing the pools takes nothing away, it only says what the new pools
// no longer allow, because whether an address moves is for the caller to decide.
//
// The lowest free address of a pool is found in O(log n) of the gaps between used addresses, whatever the pool's size.
package ipam

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
)

// Family is an address family.
type Family uint8

// The address families, which also index per-family arrays.
const (
	IPv4 Family = iota
	IPv6
)

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
	pools  map[string]*pool
	byName []*pool  // in order of name
	pinned []*pool  // candidates that are tried first, in order
	open   []*pool  // candidates for everybody, in order of name
	blocks []*block // of all pools, disjoint, in order of addresses: IPv4 before IPv6

	holdings map[string]*holding
	slots    map[netip.Addr]*slot
	shared   map[sharing][]netip.Addr // sorted addresses whose holders carry this sharing
}

// sharing is what must be equal among the holders of one address.
type sharing struct{ key, backend string }

// holding is what one Service holds.
type holding struct {
	service Service
	Assignment
}

// slot is one address in use.
type slot struct {
	block   *block // nil where no pool has the address
	holders []*holding
}

// New returns an allocator without pools.
func New() *Allocator {
	return &Allocator{
		pools:    map[string]*pool{},
		holdings: map[string]*holding{},
		slots:    map[netip.Addr]*slot{},
		shared:   map[sharing][]netip.Addr{},
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
	a.detach(h)
	return true
}

// hold makes s the holder of exactly addrs. The caller has checked that it may be.
func (a *Allocator) hold(s Service, as Assignment) {
	if old := a.holdings[s.Key]; old != nil {
		a.detach(old)
	}
	h := &holding{service: s, Assignment: as}
	a.holdings[s.Key] = h
	for _, addr := range as.Addrs {
		sl := a.slots[addr]
		if sl == nil {
			sl = &slot{block: a.blockOf(addr)}
			a.slots[addr] = sl
			if sl.block != nil {
				sl.block.take(addr)
			}
		}
		sl.holders = append(sl.holders, h)
		if len(sl.holders) == 1 {
			a.indexSharing(addr, h.service)
		}
	}
}

func (a *Allocator) detach(h *holding) {
	delete(a.holdings, h.service.Key)
	for _, addr := range h.Addrs {
		sl := a.slots[addr]
		sl.holders = slices.DeleteFunc(sl.holders, func(o *holding) bool { return o == h })
		if len(sl.holders) > 0 {
			continue
		}
		a.unindexSharing(addr, h.service)
		if sl.block != nil {
			sl.block.free(addr)
		}
		delete(a.slots, addr)
	}
}

func (a *Allocator) indexSharing(addr netip.Addr, s Service) {
	if s.SharingKey == "" {
		return
	}
	k := sharing{s.SharingKey, s.BackendKey}
	list := a.shared[k]
	if i, found := slices.BinarySearchFunc(list, addr, netip.Addr.Compare); !found {
		a.shared[k] = slices.Insert(list, i, addr)
	}
}

func (a *Allocator) unindexSharing(addr netip.Addr, s Service) {
	k := sharing{s.SharingKey, s.BackendKey}
	list := a.shared[k]
	i, found := slices.BinarySearchFunc(list, addr, netip.Addr.Compare)
	switch {
	case !found:
	case len(list) == 1:
		delete(a.shared, k)
	default:
		a.shared[k] = slices.Delete(list, i, i+1)
	}
}
