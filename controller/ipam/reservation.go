package ipam

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
)

// Reservation is what allocation depends on of an IPReservation. It keeps addresses from others and opens no pool to
// those it is for: what a pool does not allow them stays so.
type Reservation struct {
	Name string
	// Ranges are reserved for the Service of that name in Namespace; where Service is empty for all of the namespace;
	// where Namespace is empty, too, for nobody. What another reservation, the first by name, has already stays its own.
	Ranges             []addrrange.Range
	Namespace, Service string
	// Reason is for people to read.
	Reason string
}

// For says whom the addresses are for.
func (r *Reservation) For() string {
	switch {
	case r.Namespace == "":
		return "nobody"
	case r.Service == "":
		return "namespace " + r.Namespace
	}
	return fmt.Sprintf("Service %s/%s", r.Namespace, r.Service)
}

func (r *Reservation) owner() owner {
	return owner{namespace: r.Namespace, service: r.Service, nobody: r.Namespace == ""}
}

// reserved is one range of a reservation.
type reserved struct {
	addrrange.Range
	by    *Reservation
	owner owner
}

// Stranger is a Service that holds an address that is reserved for others. It keeps it; once released, nobody else of
// those it is not for gets it.
type Stranger struct {
	Key string
	Err *ReservedError
}

// SetReservations replaces all reservations. Nothing is taken away: strangers lists, in order of key, the Services that
// hold what has become reserved for others.
func (a *Allocator) SetReservations(list []Reservation) (strangers []Stranger) {
	was := a.reserved
	a.reserved = layReservations(list)
	a.reservedFor = map[owner][]reserved{}
	for _, r := range a.reserved {
		a.reservedFor[r.owner] = append(a.reservedFor[r.owner], r)
	}
	moved := false
	for _, r := range difference(was, a.reserved) {
		moved = true
		a.move(r.Range, r.owner, everybody)
	}
	come := difference(a.reserved, was)
	for _, r := range come {
		moved = true
		a.move(r.Range, everybody, r.owner)
	}
	if moved {
		a.pinned.recount()
		a.open.recount()
		a.tidyLots()
	}
	if len(come) == 0 {
		return nil
	}
	for addr, sl := range a.slots {
		r := reservedAt(a.reserved, addr)
		if r == nil {
			continue
		}
		if old := reservedAt(was, addr); old != nil && old.owner == r.owner {
			continue
		}
		for _, h := range sl.holders {
			if !r.owner.admits(h.service) {
				strangers = append(strangers, Stranger{h.service.Key, newReservedError(addr, r.by)})
			}
		}
	}
	slices.SortFunc(strangers, func(x, y Stranger) int {
		return cmp.Or(cmp.Compare(x.Key, y.Key), x.Err.Addr.Compare(y.Err.Addr))
	})
	return strangers
}

// layReservations makes disjoint ranges in order of addresses.
func layReservations(list []Reservation) []reserved {
	var all []reserved
	byName := slices.SortedFunc(slices.Values(list), func(x, y Reservation) int { return cmp.Compare(x.Name, y.Name) })
	for i := range byName {
		r := &byName[i]
		for _, span := range r.Ranges {
			all = append(all, reserved{span, r, r.owner()})
		}
	}
	byAddress := func(x, y reserved) int { return x.First().Compare(y.First()) }
	sorted := slices.SortedFunc(slices.Values(all), byAddress)
	clean := true
	for i := 1; i < len(sorted) && clean; i++ {
		clean = !sorted[i-1].Overlaps(sorted[i].Range)
	}
	if clean {
		return sorted
	}
	// The rules of the API let this not come to be; so it need not be fast.
	var laid []reserved
	for _, r := range all {
		pieces := []addrrange.Range{r.Range}
		for _, taken := range laid {
			var rest []addrrange.Range
			for _, piece := range pieces {
				rest = append(rest, subtract(piece, taken.Range)...)
			}
			pieces = rest
		}
		for _, piece := range pieces {
			laid = append(laid, reserved{piece, r.by, r.owner})
		}
	}
	slices.SortFunc(laid, byAddress)
	return laid
}

// difference lists what is in x and not in y, by range and owner.
func difference(x, y []reserved) (only []reserved) {
	for _, r := range x {
		i, found := slices.BinarySearchFunc(y, r, func(a, b reserved) int { return a.First().Compare(b.First()) })
		if !found || y[i].Range != r.Range || y[i].owner != r.owner {
			only = append(only, r)
		}
	}
	return only
}

// reservedAt finds the range that has addr.
func reservedAt(list []reserved, addr netip.Addr) *reserved {
	i, found := slices.BinarySearchFunc(list, addr, func(r reserved, addr netip.Addr) int { return r.First().Compare(addr) })
	if !found {
		i--
	}
	if i < 0 || !list[i].Contains(addr) {
		return nil
	}
	return &list[i]
}

// reservedIn are the ranges that share addresses with span.
func reservedIn(list []reserved, span addrrange.Range) []reserved {
	from, _ := slices.BinarySearchFunc(list, span.First(), func(r reserved, addr netip.Addr) int { return r.Last().Compare(addr) })
	to := from
	for to < len(list) && list[to].Overlaps(span) {
		to++
	}
	return list[from:to]
}

// ownerOf is whom addr is for.
func (a *Allocator) ownerOf(addr netip.Addr) owner {
	if len(a.reserved) == 0 {
		return everybody
	}
	if r := reservedAt(a.reserved, addr); r != nil {
		return r.owner
	}
	return everybody
}

// overlapping are the blocks that have addresses of span.
func (a *Allocator) overlapping(span addrrange.Range) []*block {
	from, _ := slices.BinarySearchFunc(a.blocks, span.First(), func(b *block, addr netip.Addr) int { return b.span.Last().Compare(addr) })
	to := from
	for to < len(a.blocks) && a.blocks[to].span.Overlaps(span) {
		to++
	}
	return a.blocks[from:to]
}

// move hands free addresses from one owner's lots to another's.
func (a *Allocator) move(span addrrange.Range, from, to owner) {
	for _, b := range a.overlapping(span) {
		b.reserve(span, from, to)
	}
}

func (b *block) reserve(span addrrange.Range, from, to owner) {
	shared, _ := b.span.Intersect(span)
	of, ok := b.indices(shared)
	source := b.lotFor(from)
	if !ok || source == nil {
		return
	}
	target := b.makeLot(to)
	source.free.remove(of, target.free.add)
}

// tidyLots puts addresses at rest into the lots that they are of by now, and drops lots of owners that are no more.
func (a *Allocator) tidyLots() {
	a.resting.Ascend(func(m *memory) bool {
		if l := m.block.makeLot(a.ownerOf(m.Addr)); l != m.lot {
			m.lot.resting.Delete(m)
			l.resting.ReplaceOrInsert(m)
			m.lot = l
		}
		return true
	})
	for _, b := range a.blocks {
		maps.DeleteFunc(b.lots, func(o owner, _ *lot) bool { return a.reservedFor[o] == nil })
	}
}
