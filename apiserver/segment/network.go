package segment

import "net/netip"

// Network is the smallest network with an address that any node's link is in; the zero Prefix where none is. Nodes reach
// all addresses of one network alike.
func (v *Verdicts) Network(a netip.Addr) netip.Prefix {
	if v == nil {
		return netip.Prefix{}
	}
	return v.topology.smallest(a)
}
