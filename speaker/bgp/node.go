package bgp

import (
	"context"
	"fmt"
	"hash/crc32"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/speaker/links"
)

// egress is how the node reaches a neighbour.
type egress struct {
	// local is the address that the kernel, or the configuration, chooses as ours.
	local netip.Addr
	// ipv4 and ipv6 are addresses of the outgoing interface; invalid where it has none.
	ipv4, ipv6 netip.Addr
}

// node tells what the kernel knows.
type node interface {
	// egress finds the way to a session's neighbour.
	egress(cfg sessionConfig) (egress, error)
	// firstIPv4 returns the first global IPv4 address of the node, or an invalid one.
	firstIPv4() netip.Addr
	// watch calls changed, coalesced, when links or addresses changed, until ctx ends.
	watch(ctx context.Context, changed func())
}

// nextHop returns what to announce p with: the session's own address (unspecified) for prefixes of its own family,
// the outgoing interface's address otherwise. It is invalid when there is none.
func nextHop(cfg sessionConfig, e egress, p netip.Prefix) netip.Addr {
	switch {
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
	case e.ipv4.IsValid():
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

// kernel is the node as netlink shows it.
type kernel struct {
	log *slog.Logger
}

func (kernel) egress(cfg sessionConfig) (egress, error) {
	options := &netlink.RouteGetOptions{VrfName: cfg.vrf}
	if cfg.vrf != "" {
		if _, err := netlink.LinkByName(cfg.vrf); err != nil {
			return egress{}, fmt.Errorf("VRF device %q: %w", cfg.vrf, err)
		}
	}
	if cfg.source.IsValid() {
		options.SrcAddr = cfg.source.AsSlice()
	}
	routes, err := netlink.RouteGetWithOptions(cfg.address.AsSlice(), options)
	if err != nil {
		return egress{}, fmt.Errorf("route to %s: %w", cfg.address, err)
	}
	if len(routes) == 0 {
		return egress{}, fmt.Errorf("no route to %s", cfg.address)
	}
	e := egress{local: cfg.source}
	if src, ok := netip.AddrFromSlice(routes[0].Src); ok && !e.local.IsValid() {
		e.local = src.Unmap()
	}
	link, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return egress{}, fmt.Errorf("interface towards %s: %w", cfg.address, err)
	}
	if e.ipv4, err = globalAddress(link, netlink.FAMILY_V4); err != nil {
		return egress{}, err
	}
	if e.ipv6, err = globalAddress(link, netlink.FAMILY_V6); err != nil {
		return egress{}, err
	}
	return e, nil
}

func (k kernel) firstIPv4() netip.Addr {
	all, err := netlink.LinkList()
	if err != nil {
		k.log.Warn("cannot list links to derive a router ID", "op", "listLinks", "error", err)
		return netip.Addr{}
	}
	for _, link := range all {
		if link.Attrs().Flags&net.FlagLoopback != 0 {
			continue
		}
		if addr, err := globalAddress(link, netlink.FAMILY_V4); err == nil && addr.IsValid() {
			return addr
		}
	}
	return netip.Addr{}
}

// globalAddress returns the first address of a link that others may be told to send to: of global scope, and neither
// tentative, duplicate, deprecated nor temporary. It is invalid when there is none.
func globalAddress(link netlink.Link, family int) (netip.Addr, error) {
	addrs, err := netlink.AddrList(link, family)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("addresses of %s: %w", link.Attrs().Name, err)
	}
	const unfit = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED | unix.IFA_F_DEPRECATED
	for _, a := range addrs {
		if a.Scope != unix.RT_SCOPE_UNIVERSE || a.Flags&unfit != 0 {
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

// settle is how long the kernel's changes are collected before they are looked at.
const settle = 200 * time.Millisecond

func (k kernel) watch(ctx context.Context, changed func()) {
	links.Watch(ctx, k.log, settle, changed)
}
