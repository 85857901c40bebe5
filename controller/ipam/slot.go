package ipam

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/btree"
)

// slot is one address in use.
type slot struct {
	block   *block // nil where no pool has the address
	holders []*holding
	// ports of all holders together; kept only where they carry a sharing key, for others nobody can join.
	ports portSet
}

// slotAt is an address with its slot, nil where nobody holds it.
type slotAt struct {
	addr netip.Addr
	slot *slot
}

func (a *Allocator) slotsAt(addrs []netip.Addr) []slotAt {
	out := make([]slotAt, len(addrs))
	for i, addr := range addrs {
		out[i] = slotAt{addr, a.slots[addr]}
	}
	return out
}

// has reports whether a Service of the namespace is among the holders.
func (sl *slot) has(namespace string) bool { return sl.hasBeside(namespace, nil) }

// hasBeside is has without regard to one holder.
func (sl *slot) hasBeside(namespace string, but *holding) bool {
	return slices.ContainsFunc(sl.holders, func(h *holding) bool { return h != but && h.service.Namespace == namespace })
}

// portSet is a set of ports in a form that can be compared: each as four bytes, protocol and number, in ascending order.
type portSet string

const portWidth = 4

func (p portSet) at(i int) uint32 {
	return binary.BigEndian.Uint32([]byte(p[i*portWidth : (i+1)*portWidth]))
}

// has is a binary search.
func (p portSet) has(port uint32) bool {
	low, high := 0, len(p)/portWidth
	for low < high {
		middle := (low + high) / 2
		switch have := p.at(middle); {
		case have == port:
			return true
		case have < port:
			low = middle + 1
		default:
			high = middle
		}
	}
	return false
}

// pack writes ports as the elements of a portSet, sorted and each once.
func (a *Allocator) pack(ports []Port) []uint32 {
	packed := make([]uint32, 0, len(ports))
	for _, p := range ports {
		packed = append(packed, a.packed(p))
	}
	slices.Sort(packed)
	return slices.Compact(packed)
}

func (a *Allocator) packed(p Port) uint32 {
	number, ok := a.protocols[p.Protocol]
	if !ok {
		number = uint32(len(a.protocols))
		a.protocols[p.Protocol] = number
	}
	return number<<16 | uint32(p.Number)
}

// without is the set less some of its ports.
func (p portSet) without(ports []uint32) portSet {
	var b strings.Builder
	b.Grow(len(p))
	for i := 0; i < len(p); i += portWidth {
		if _, out := slices.BinarySearch(ports, p.at(i/portWidth)); !out {
			b.WriteString(string(p[i : i+portWidth]))
		}
	}
	return portSet(b.String())
}

// newPortSet merges a set with more ports.
func newPortSet(old portSet, more []uint32) portSet {
	var b strings.Builder
	b.Grow(len(old) + len(more)*portWidth)
	var element [portWidth]byte
	write := func(port uint32) {
		binary.BigEndian.PutUint32(element[:], port)
		b.Write(element[:])
	}
	for i, n := 0, len(old)/portWidth; i < n || len(more) > 0; {
		switch {
		case len(more) == 0 || i < n && old.at(i) < more[0]:
			write(old.at(i))
			i++
		case i < n && old.at(i) == more[0]:
			more = more[1:]
		default:
			write(more[0])
			more = more[1:]
		}
	}
	return portSet(b.String())
}

// sharing is what must be equal among the holders of one address.
type sharing struct{ key, backend string }

// group is the addresses whose holders carry the same sharing, by the ports in use on them. Addresses with the same
// ports clash, or do not clash, with the same Services; there are far fewer such sets than addresses.
type group map[portSet]*btree.BTreeG[netip.Addr]

// index keeps the books of who may share sl, whose holders have changed.
func (a *Allocator) index(addr netip.Addr, sl *slot, ports portSet) {
	k := sharing{sl.holders[0].service.SharingKey, sl.holders[0].service.BackendKey}
	if k.key == "" {
		return
	}
	sl.ports = ports
	g := a.shared[k]
	if g == nil {
		g = group{}
		a.shared[k] = g
	}
	if g[ports] == nil {
		g[ports] = btree.NewWithFreeListG(degree, netip.Addr.Less, a.addrNodes)
	}
	g[ports].ReplaceOrInsert(addr)
}

// unindex takes sl out of the books, as long as its holders are what they were when it went in.
func (a *Allocator) unindex(addr netip.Addr, sl *slot) {
	k := sharing{sl.holders[0].service.SharingKey, sl.holders[0].service.BackendKey}
	if k.key == "" {
		return
	}
	g := a.shared[k]
	set := g[sl.ports]
	set.Delete(addr)
	if set.Len() > 0 {
		return
	}
	delete(g, sl.ports)
	if len(g) == 0 {
		delete(a.shared, k)
	}
}

// portsOf are the ports of all holders.
func (a *Allocator) portsOf(sl *slot) (all portSet) {
	if sl.holders[0].service.SharingKey == "" {
		return ""
	}
	var packed []uint32
	for _, h := range sl.holders {
		packed = append(packed, a.pack(h.service.Ports)...)
	}
	slices.Sort(packed)
	return newPortSet("", slices.Compact(packed))
}
