// Package addrrange is the arithmetic of address ranges as pools write them: a CIDR ("10.0.0.0/24") or an
// inclusive range ("10.0.0.1-10.0.0.9"). It knows nothing of pools.
package addrrange

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"strings"
)

// Range is a non-empty, inclusive range of addresses of one family. IPv4 addresses are never in their IPv6-mapped
// form, and addresses carry no zone. Ranges are comparable with ==. The zero Range is not valid: it contains no
// address and overlaps nothing.
type Range struct {
	first, last netip.Addr
}

// Parse reads a CIDR, whose host bits are masked off, or "first-last", with blanks allowed around the dash.
// A bare address is refused, as MetalLB does.
func Parse(s string) (Range, error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		return parseCIDR(s)
	}
	first, err := parseAddr(from)
	if err != nil {
		return Range{}, fmt.Errorf("invalid IP range %q: invalid start IP %q", s, strings.TrimSpace(from))
	}
	last, err := parseAddr(to)
	if err != nil {
		return Range{}, fmt.Errorf("invalid IP range %q: invalid end IP %q", s, strings.TrimSpace(to))
	}
	r, err := New(first, last)
	if err != nil {
		return Range{}, fmt.Errorf("invalid IP range %q: %w", s, err)
	}
	return r, nil
}

// ParseAny is Parse that takes a bare address too.
func ParseAny(s string) (Range, error) {
	if a, err := parseAddr(s); err == nil {
		return New(a, a)
	}
	return Parse(s)
}

func parseCIDR(s string) (Range, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		if a, addrErr := netip.ParseAddr(s); addrErr == nil && a.Zone() == "" {
			return Range{}, fmt.Errorf("invalid CIDR %q: no prefix length; for one address write %s/%d", s, s, a.BitLen())
		}
		return Range{}, fmt.Errorf("invalid CIDR %q", s)
	}
	if p.Addr().Is4In6() {
		const mapped = 96
		if p.Bits() < mapped {
			return Range{}, fmt.Errorf("invalid CIDR %q: wider than the IPv4-mapped addresses", s)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return FromPrefix(p), nil
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	if err != nil {
		return netip.Addr{}, err
	}
	if a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("address %s has a zone", a)
	}
	return a.Unmap(), nil
}

// New returns the range from first to last, both included. They must be of one family and in order.
func New(first, last netip.Addr) (Range, error) {
	first, last = first.Unmap().WithZone(""), last.Unmap().WithZone("")
	switch {
	case !first.IsValid() || !last.IsValid():
		return Range{}, fmt.Errorf("start or end IP missing")
	case first.Is4() != last.Is4():
		return Range{}, fmt.Errorf("start IP %q and end IP %q are of different families", first, last)
	case last.Less(first):
		return Range{}, fmt.Errorf("start IP %q is after the end IP %q", first, last)
	}
	return Range{first, last}, nil
}

// FromPrefix returns the addresses of p, network and broadcast address included. Host bits are masked off.
func FromPrefix(p netip.Prefix) Range {
	p = p.Masked()
	if !p.IsValid() {
		return Range{}
	}
	return Range{p.Addr(), lastOf(p)}
}

// First is the lowest address of the range.
func (r Range) First() netip.Addr { return r.first }

// Last is the highest address of the range.
func (r Range) Last() netip.Addr { return r.last }

// IsValid tells a real range from the zero Range.
func (r Range) IsValid() bool { return r.first.IsValid() }

// Is4 reports whether the range is of IPv4; a valid range that is not is of IPv6.
func (r Range) Is4() bool { return r.first.Is4() }

// Contains reports whether a lies in the range. IPv4-mapped IPv6 addresses count as IPv4.
func (r Range) Contains(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return r.sameFamily(a) && !a.Less(r.first) && !r.last.Less(a)
}

// Overlaps reports whether the two ranges share an address.
func (r Range) Overlaps(o Range) bool {
	_, ok := r.Intersect(o)
	return ok
}

// Intersect returns the addresses that both ranges hold; ok is false where there are none.
func (r Range) Intersect(o Range) (shared Range, ok bool) {
	if !r.sameFamily(o.first) {
		return Range{}, false
	}
	first, last := r.first, r.last
	if first.Less(o.first) {
		first = o.first
	}
	if o.last.Less(last) {
		last = o.last
	}
	if last.Less(first) {
		return Range{}, false
	}
	return Range{first, last}, true
}

// sameFamily is false if either side is not valid.
func (r Range) sameFamily(a netip.Addr) bool {
	return r.IsValid() && a.IsValid() && r.first.Is4() == a.Is4()
}

// Count is the number of addresses, or the largest int64 if there are more.
func (r Range) Count() int64 {
	if !r.IsValid() {
		return 0
	}
	f, l := r.first.As16(), r.last.As16()
	low, borrow := bits.Sub64(binary.BigEndian.Uint64(l[8:]), binary.BigEndian.Uint64(f[8:]), 0)
	high, _ := bits.Sub64(binary.BigEndian.Uint64(l[:8]), binary.BigEndian.Uint64(f[:8]), borrow)
	if high != 0 || low >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(low) + 1
}

// Prefixes is the shortest list of prefixes that holds exactly the addresses of the range, in ascending order:
// at most twice the family's address length, less two.
func (r Range) Prefixes() []netip.Prefix {
	var ps []netip.Prefix
	for next := r.first; next.IsValid() && !r.last.Less(next); {
		p := r.widestAt(next)
		ps = append(ps, p)
		// Next is invalid after the last address of the family, which ends the loop.
		next = lastOf(p).Next()
	}
	return ps
}

// widestAt is the widest prefix that begins at a and ends within r.
func (r Range) widestAt(a netip.Addr) netip.Prefix {
	for length := 0; length < a.BitLen(); length++ {
		p := netip.PrefixFrom(a, length)
		if p.Masked().Addr() == a && !r.last.Less(lastOf(p)) {
			return p
		}
	}
	return netip.PrefixFrom(a, a.BitLen())
}

// String is the CIDR where the range is one, otherwise "first-last". Parse reads both.
func (r Range) String() string {
	if !r.IsValid() {
		return "invalid range"
	}
	if p := r.widestAt(r.first); lastOf(p) == r.last {
		return p.String()
	}
	return r.first.String() + "-" + r.last.String()
}

// lastOf is the highest address of a masked prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
