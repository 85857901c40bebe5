package addrrange

import (
	"cmp"
	"net/netip"
	"slices"
)

// Merge returns the fewest prefixes that hold the same addresses, sorted. It reuses the slice.
func Merge(prefixes []netip.Prefix) []netip.Prefix {
	for i, p := range prefixes {
		prefixes[i] = p.Masked()
	}
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	merged := prefixes[:0]
	for _, p := range prefixes {
		if n := len(merged); n > 0 && merged[n-1].Overlaps(p) {
			continue // it lies within the one before, which is not narrower
		}
		merged = append(merged, p)
		for n := len(merged); n > 1; n-- {
			whole, ok := halves(merged[n-2], merged[n-1])
			if !ok {
				break
			}
			merged = append(merged[:n-2], whole)
		}
	}
	return merged
}

// halves returns the prefix that two prefixes are the halves of, if there is one.
func halves(a, b netip.Prefix) (netip.Prefix, bool) {
	if a.Bits() != b.Bits() || a.Bits() == 0 || a.Addr().Is4() != b.Addr().Is4() {
		return netip.Prefix{}, false
	}
	whole := netip.PrefixFrom(a.Addr(), a.Bits()-1).Masked()
	return whole, whole == netip.PrefixFrom(b.Addr(), b.Bits()-1).Masked()
}
