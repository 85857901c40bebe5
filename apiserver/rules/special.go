package rules

import (
	"fmt"
	"net/netip"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
)

// special are the addresses that no Service can have, for no client could reach it there. Kubernetes refuses most of
// them as endpoints for the same reason.
var special = []struct {
	addrrange.Range
	what string
}{
	{block("0.0.0.0/8"), `"this network", RFC 1122 section 3.2.1.3`},
	{block("127.0.0.0/8"), "loopback, RFC 1122 section 3.2.1.3"},
	{block("169.254.0.0/16"), "link-local, RFC 3927"},
	{block("224.0.0.0/4"), "multicast, RFC 5771"},
	{block("255.255.255.255/32"), "broadcast, RFC 919"},
	{block("::/128"), "unspecified, RFC 4291 section 2.5.2"},
	{block("::1/128"), "loopback, RFC 4291 section 2.5.3"},
	{block("::/80"), "IPv4 in IPv6, RFC 4291 section 2.5.5"},
	{block("fe80::/10"), "link-local, RFC 4291 section 2.5.6"},
	{block("ff00::/8"), "multicast, RFC 4291 section 2.7"},
}

func block(cidr string) addrrange.Range { return addrrange.FromPrefix(netip.MustParsePrefix(cidr)) }

// unassignable says why no Service can have the addresses of r, or nothing if one can.
func unassignable(r addrrange.Range) string {
	for _, s := range special {
		if r.Overlaps(s.Range) {
			return fmt.Sprintf("no Service can have the addresses %s (%s)", s.Range, s.what)
		}
	}
	return ""
}

// unreachable says why no peer can be at a, nor traffic to one come from there. Loopback is not refused: a router may
// run on the node itself.
func unreachable(a netip.Addr) string {
	switch a = a.Unmap(); {
	case a.IsUnspecified():
		return "is the unspecified address"
	case a.IsMulticast():
		return "is a multicast address"
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "is the broadcast address"
	}
	return ""
}
