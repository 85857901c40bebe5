package ipam

import (
	"cmp"
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
	i *= portWidth
	return uint32(p[i])<<24 | uint32(p[i+1])<<16 | uint32(p[i+2])<<8 | uint32(p[i+3])
}

// search is where port is, or belongs.
func (p portSet) search(port uint32) (i int, found bool) {
	low, high := 0, len(p)/portWidth
	for low < high {
		middle := (low + high) / 2
		switch have := p.at(middle); {
		case have == port:
			return middle, true
		case have < port:
			low = middle + 1
		default:
			high = middle
		}
	}
	return low, false
}

func (p portSet) has(port uint32) bool {
	_, found := p.search(port)
	return found
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

// without is the set less some of its ports, which are sorted.
func (p portSet) without(ports []uint32) portSet {
	var b strings.Builder
	b.Grow(len(p))
	copied := 0
	for _, port := range ports {
		if i, found := p.search(port); found {
			b.WriteString(string(p[copied : i*portWidth]))
			copied = (i + 1) * portWidth
		}
	}
	b.WriteString(string(p[copied:]))
	return portSet(b.String())
}

// with is the set and more ports, which are sorted.
func (p portSet) with(ports []uint32) portSet {
	var b strings.Builder
	b.Grow(len(p) + len(ports)*portWidth)
	copied := 0
	for _, port := range ports {
		i, found := p.search(port)
		if found {
			continue
		}
		b.WriteString(string(p[copied : i*portWidth]))
		copied = i * portWidth
		var element [portWidth]byte
		binary.BigEndian.PutUint32(element[:], port)
		b.Write(element[:])
	}
	b.WriteString(string(p[copied:]))
	return portSet(b.String())
}

// sharing is what must be equal among the holders of one address.
type sharing struct{ key, backend string }

// group is the addresses whose holders carry the same sharing, by the ports in use on them. Addresses with the same
// ports clash, or do not clash, with the same Services; there are far fewer such sets than addresses.
type group []portGroup // in order of ports

type portGroup struct {
	ports portSet
	addrs *btree.BTreeG[netip.Addr]
}

// find is where the group with these ports is, or belongs.
func (g group) find(ports portSet) (int, bool) {
	return slices.BinarySearchFunc(g, ports, func(p portGroup, ports portSet) int { return cmp.Compare(p.ports, ports) })
}

// index keeps the books of who may share sl, whose holders have changed.
func (a *Allocator) index(addr netip.Addr, sl *slot, ports portSet) {
	k := sharing{sl.holders[0].service.SharingKey, sl.holders[0].service.BackendKey}
	if k.key == "" {
		return
	}
	sl.ports = ports
	g := a.shared[k]
	i, found := g.find(ports)
	if !found {
		g = slices.Insert(g, i, portGroup{ports, btree.NewWithFreeListG(degree, netip.Addr.Less, a.addrNodes)})
		a.shared[k] = g
	}
	g[i].addrs.ReplaceOrInsert(addr)
}

// unindex takes sl out of the books, as long as its holders are what they were when it went in.
func (a *Allocator) unindex(addr netip.Addr, sl *slot) {
	k := sharing{sl.holders[0].service.SharingKey, sl.holders[0].service.BackendKey}
	if k.key == "" {
		return
	}
	g := a.shared[k]
	i, _ := g.find(sl.ports)
	g[i].addrs.Delete(addr)
	switch {
	case g[i].addrs.Len() > 0:
	case len(g) == 1:
		delete(a.shared, k)
	default:
		a.shared[k] = slices.Delete(g, i, i+1)
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
	return portSet("").with(slices.Compact(packed))
}
