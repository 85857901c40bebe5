// Package frr writes the configuration of the lab's router: FRR's zebra, bgpd and bfdd. It is pure.
package frr

import (
	"fmt"
	"net/netip"
	"strings"
)

// asn is the router's autonomous system. It takes nodes of any other.
const asn = 64501

// Daemons are the programs that make the router, in the order they start.
var Daemons = []string{"zebra", "bfdd", "bgpd"}

// Config is the configuration of one daemon. The router takes sessions that the nodes dial, from anywhere in lan, over
// IPv4 and over IPv6, with both families on each; it keeps what it received before policy, so that
// `show bgp neighbors X received-routes` answers, and uses up to 16 equal routes, also of nodes in different systems.
func Config(daemon string, routerID netip.Addr, lan []netip.Prefix) string {
	var b strings.Builder
	b.WriteString("frr defaults traditional\nhostname router\nlog stdout informational\n")
	if daemon != "bgpd" {
		return b.String()
	}
	fmt.Fprintf(&b, `!
router bgp %d
 bgp router-id %s
 bgp log-neighbor-changes
 no bgp default ipv4-unicast
 no bgp ebgp-requires-policy
 no bgp network import-check
 bgp bestpath as-path multipath-relax
 bgp listen limit 500
`, asn, routerID)
	for _, prefix := range lan {
		group := Group(prefix.Addr())
		fmt.Fprintf(&b, ` neighbor %[1]s peer-group
 neighbor %[1]s remote-as external
 neighbor %[1]s timers 3 9
 neighbor %[1]s timers connect 1
`, group)
		if prefix.Addr().Is6() {
			fmt.Fprintf(&b, " neighbor %s capability extended-nexthop\n", group)
		}
		fmt.Fprintf(&b, " bgp listen range %s peer-group %s\n", prefix.Masked(), group)
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		fmt.Fprintf(&b, " !\n address-family %s unicast\n", family)
		for _, prefix := range lan {
			fmt.Fprintf(&b, "  neighbor %[1]s activate\n  neighbor %[1]s soft-reconfiguration inbound\n", Group(prefix.Addr()))
		}
		b.WriteString("  maximum-paths 16\n exit-address-family\n")
	}
	b.WriteString("!\n")
	return b.String()
}

// Group is the peer group of sessions that come from addresses of a's family.
func Group(a netip.Addr) string {
	if a.Is4() {
		return "nodes"
	}
	return "nodes-v6"
}
