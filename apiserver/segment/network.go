package segment

import "net/netip"

// Network is the smallest network with an address that any node's link is in; the zero Prefix where none is. Nodes reach
// all addresses of one network alike.
func (v *Verdicts) Network(a netip.Addr) netip.Prefix {
	if v == nil {
		return netip.Prefix{}
	}
	for _, bits := range v.topology.bits {
		if p, err := a.Prefix(bits); err == nil && v.topology.networks[p] != nil {
			return p
		}
	}
	return netip.Prefix{}
}
