package rules

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// NodeAddress is an address of a Node that lies in a pool: the Service that gets it takes the Node's traffic. Nodes come
// and go without asking the configuration, so that this is no error but a warning and a condition.
type NodeAddress struct {
	// Index is the place in spec.addresses of the entry that covers the address, Entry its text.
	Index   int
	Entry   string
	Node    string
	Address netip.Addr
}

// String shows the address as field errors are shown.
func (a NodeAddress) String() string {
	return fmt.Sprintf("%s: %q covers %s, the address of Node %s", field.NewPath("spec", "addresses").Index(a.Index), a.Entry, a.Address, a.Node)
}

// NodeAddresses finds the addresses of Nodes in the pools, by the pool's name; of each pool in the order of its entries.
func (r *References) NodeAddresses(nodes []Node) map[string][]NodeAddress {
	return r.ix.ranges.nodeAddresses(nodes)
}

func (d disjoint) nodeAddresses(nodes []Node) map[string][]NodeAddress {
	found := map[string][]NodeAddress{}
	for _, n := range nodes {
		for _, a := range n.Addresses {
			if m := d.at(a.Unmap()); m != nil {
				found[m.pool.Name] = append(found[m.pool.Name], NodeAddress{m.index, m.pool.text(m), n.Name, a.Unmap()})
			}
		}
	}
	for _, list := range found {
		slices.SortFunc(list, func(a, b NodeAddress) int {
			return cmp.Or(cmp.Compare(a.Index, b.Index), a.Address.Compare(b.Address), cmp.Compare(a.Node, b.Node))
		})
	}
	return found
}

// nodeAddressWarnings says which addresses of Nodes a pool covers.
func nodeAddressWarnings(p *pool, nodes []Node) []string {
	if !slices.ContainsFunc(nodes, func(n Node) bool { return len(n.Addresses) > 0 }) {
		return nil
	}
	covered := newDisjoint().replace(nil, p.members).nodeAddresses(nodes)[p.Name]
	var warnings []string
	for _, a := range covered[:min(len(covered), maxWarnings+1)] {
		warnings = append(warnings, a.String())
	}
	return warnings
}
