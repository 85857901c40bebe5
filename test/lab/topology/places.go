package topology

import (
	"fmt"
	"net/netip"
)

var (
	defaults = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

	// quick lets addresses be used at once. Duplicate address detection would hold back link-local ones for 1.5 s.
	quick = []Sysctl{
		{"net/ipv6/conf/all/accept_dad", "0"},
		{"net/ipv6/conf/default/accept_dad", "0"},
	}

	// forwarding makes a router. Requests and replies may take different ways (client, lan, node, mgmt, node, lan), so
	// that no reverse path is checked.
	forwarding = []Sysctl{
		{"net/ipv4/ip_forward", "1"},
		{"net/ipv6/conf/all/forwarding", "1"},
		{"net/ipv6/conf/default/forwarding", "1"},
		{"net/ipv4/conf/all/rp_filter", "0"},
		{"net/ipv4/conf/default/rp_filter", "0"},
	}
)

// routes leads each prefix over the gateway of its family.
func routes(via []netip.Prefix, to ...netip.Prefix) []Route {
	var all []Route
	for _, prefix := range to {
		for _, gateway := range via {
			if gateway.Addr().Is4() == prefix.Addr().Is4() {
				all = append(all, Route{To: prefix, Via: gateway.Addr()})
			}
		}
	}
	return all
}

// networkOf is the range that the addresses of one interface are from.
func networkOf(addresses []netip.Prefix) []netip.Prefix {
	ranges := make([]netip.Prefix, len(addresses))
	for i, a := range addresses {
		ranges[i] = a.Masked()
	}
	return ranges
}

// toPods are the routes to the pods of every node but one (0: of all), as a network plugin would set them.
func (t *Topology) toPods(except int) []Route {
	var all []Route
	for i := 1; i <= t.nodes; i++ {
		if i != except {
			all = append(all, routes(mgmtAddresses(10+i), PodCIDRs(i)...)...)
		}
	}
	if t.deployed && except != 0 {
		all = append(all, routes(mgmtAddresses(2), PodCIDRs(0)...)...)
	}
	return all
}

// control is where the control plane runs: address .2, and one more address for each further replica of ours.
func (t *Topology) control() Place {
	var addresses []netip.Prefix
	for i := 1; i <= t.apiservers; i++ {
		addresses = append(addresses, mgmtAddresses(1+i)...)
	}
	sysctls := quick
	if t.deployed {
		sysctls = append(append([]Sysctl{}, quick...), forwarding...)
	}
	return Place{
		Name:       Control,
		Interfaces: []Interface{{Name: "eth0", Network: Mgmt, Addresses: addresses}},
		Routes:     append(routes(mgmtAddresses(1), defaults...), t.toPods(0)...),
		Sysctls:    sysctls,
	}
}

// router is the way out of mgmt, and the BGP peer on lan. It spreads connections over equal routes by their ports:
// by addresses alone, one client would always meet the same node.
func (t *Topology) router() Place {
	sysctls := append(append([]Sysctl{}, quick...), forwarding...)
	sysctls = append(sysctls,
		Sysctl{"net/ipv4/fib_multipath_hash_policy", "1"},
		Sysctl{"net/ipv6/fib_multipath_hash_policy", "1"},
		Sysctl{"net/ipv4/conf/all/send_redirects", "0"},
		Sysctl{"net/ipv4/conf/default/send_redirects", "0"},
	)
	return Place{
		Name: Router,
		Interfaces: []Interface{
			{Name: "eth0", Network: LAN, Addresses: lanAddresses(1)},
			{Name: "eth1", Network: behind, Addresses: behindAddresses(1)},
			{Name: "eth2", Network: Mgmt, Addresses: mgmtAddresses(1)},
		},
		Sysctls: sysctls,
	}
}

func (t *Topology) client() Place {
	return Place{
		Name: Client,
		Interfaces: []Interface{
			{Name: "eth0", Network: LAN, Addresses: lanAddresses(100)},
			{Name: "eth1", Network: behind, Addresses: behindAddresses(2)},
		},
		Routes:  routes(behindAddresses(1), defaults...),
		Sysctls: quick,
	}
}

func (t *Topology) node(i int) Place {
	sysctls := append(append([]Sysctl{}, quick...), forwarding...)
	all := routes(mgmtAddresses(1), defaults...)
	all = append(all, routes(lanAddresses(1), networkOf(behindAddresses(1))...)...)
	return Place{
		Name: NodeName(i),
		Interfaces: []Interface{
			{Name: "eth0", Network: Mgmt, Addresses: mgmtAddresses(10 + i)},
			{Name: "eth1", Network: LAN, Addresses: lanAddresses(10 + i)},
			{Name: "veth0", Network: podCable(NodeName(i)), Addresses: podSide(i, 1)},
		},
		Routes:  append(all, t.toPods(i)...),
		Sysctls: sysctls,
	}
}

func pod(i int) Place {
	return Place{
		Name:       PodName(NodeName(i)),
		Interfaces: []Interface{{Name: "eth0", Network: podCable(NodeName(i)), Addresses: podSide(i, 2)}},
		Routes:     routes(podSide(i, 1), defaults...),
		Sysctls:    quick,
	}
}

// podSide is host h of the range of node i's pods: 1 is the node, 2 the pod.
func podSide(i, h int) []netip.Prefix {
	return pair(fmt.Sprintf("10.244.%d.%%d/24", i), fmt.Sprintf("fd44:0:0:%d::%%d/64", i), h)
}
