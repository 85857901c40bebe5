package bgp

import (
	"context"
	"fmt"
	"hash/crc32"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// egress is how the node reaches a neighbour.
type egress struct {
	// way is only found for link-local neighbours: others are where the configuration says.
	way
	// local is the address that the kernel, or the configuration, chooses as ours.
	local netip.Addr
	// ipv4 and ipv6 are addresses of the outgoing interface; invalid where it has none.
	ipv4, ipv6 netip.Addr
	// gateway is the router on the way; invalid when the neighbour is on the link.
	gateway netip.Addr
}

// node tells what the kernel knows.
type node interface {
	// hold prepares to find the way to a session's neighbour, until release is called.
	hold(cfg sessionConfig) (release func())
	// egress finds the way to a session's neighbour.
	egress(cfg sessionConfig) (egress, error)
	// silence says what is known of a neighbour that does not answer a connection, to go on with after that; empty for nothing.
	silence(cfg sessionConfig) string
	// firstIPv4 returns the first global IPv4 address of the node, or an invalid one.
	firstIPv4() netip.Addr
	// watch calls changed, coalesced, when links, addresses or neighbours changed, until ctx ends.
	watch(ctx context.Context, changed func())
}

// nextHop returns what to announce p with: the session's own address (unspecified) for prefixes of its own family,
// the outgoing interface's address otherwise. It is invalid when there is none. IPv4 prefixes have our IPv6 address as next
// hop (RFC 8950) where the neighbour takes that, extended, and the session is unnumbered or there is no IPv4 address.
func nextHop(cfg sessionConfig, e egress, extended bool, p netip.Prefix) netip.Addr {
	switch {
	case cfg.linkLocal() && (p.Addr().Is6() || extended):
		return e.way.local
	case p.Addr().Is4() && cfg.address.Is6() && !e.ipv4.IsValid() && extended && e.local.Is6():
		return e.local
	case p.Addr().Is4() && cfg.address.Is4():
		return netip.IPv4Unspecified()
	case p.Addr().Is6() && cfg.address.Is6():
		return netip.IPv6Unspecified()
	case p.Addr().Is4():
		return e.ipv4
	}
	return e.ipv6
}

// deriveRouterID chooses a BGP identifier where none is configured: our IPv4 address towards the neighbour, else the
// node's first global IPv4 address, else a number made of the node's name, as MetalLB does.
func deriveRouterID(e egress, first netip.Addr, nodeName string) netip.Addr {
	switch {
	case e.local.Is4():
		return e.local
	case e.ipv4.IsValid() && !e.way.address.IsValid():
		return e.ipv4
	case first.IsValid():
		return first
	}
	id := crc32.ChecksumIEEE([]byte(nodeName))
	if id == 0 {
		id = 1 // RFC 6286: any number but zero
	}
	return netip.AddrFrom4([4]byte{byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)})
}

// address returns the first address of a link that others may be told to send to: of the scope, and neither tentative,
// duplicate, deprecated nor temporary. It is invalid when there is none.
func address(link netlink.Link, family int, scope int) (netip.Addr, error) {
	addrs, err := netlink.AddrList(link, family)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("addresses of %s: %w", link.Attrs().Name, err)
	}
	const unfit = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED | unix.IFA_F_DEPRECATED
	for _, a := range addrs {
		if a.Scope != scope || a.Flags&unfit != 0 {
			continue
		}
		// The bit of temporary addresses means "secondary" for IPv4.
		if family == netlink.FAMILY_V6 && a.Flags&unix.IFA_F_TEMPORARY != 0 {
			continue
		}
		if addr, ok := netip.AddrFromSlice(a.IP); ok {
			return addr.Unmap(), nil
		}
	}
	return netip.Addr{}, nil
}
