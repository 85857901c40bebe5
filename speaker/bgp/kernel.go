package bgp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/speaker/links"
	"github.com/ingot-lb/ingot/speaker/unnumbered"
)

// kernel is the node as netlink shows it, and what is heard on unnumbered links.
type kernel struct {
	log    *slog.Logger
	finder *unnumbered.Finder
	found  chan struct{}
}

func newKernel(log *slog.Logger) *kernel {
	k := &kernel{log: log, found: make(chan struct{}, 1)}
	k.finder = unnumbered.New(log, func() {
		select {
		case k.found <- struct{}{}:
		default: // it is about to be told
		}
	})
	return k
}

func (k *kernel) hold(cfg sessionConfig) (release func()) {
	if cfg.unnumbered == "" {
		return func() {}
	}
	return k.finder.Hold(cfg.unnumbered)
}

func (k *kernel) egress(cfg sessionConfig) (egress, error) {
	if cfg.vrf != "" {
		if _, err := netlink.LinkByName(cfg.vrf); err != nil {
			return egress{}, fmt.Errorf("the node has no device %q for the VRF: %w", cfg.vrf, err)
		}
	}
	if cfg.source.IsValid() {
		if err := hasAddress(nil, cfg.source); err != nil {
			return egress{}, fmt.Errorf("source address %s: %w", cfg.source, err)
		}
	}
	if cfg.linkLocal() {
		return k.onLink(cfg)
	}
	options := &netlink.RouteGetOptions{VrfName: cfg.vrf}
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
	if gateway, ok := netip.AddrFromSlice(routes[0].Gw); ok {
		e.gateway = gateway.Unmap()
	}
	link, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return egress{}, fmt.Errorf("interface towards %s: %w", cfg.address, err)
	}
	if e.ipv4, err = address(link, netlink.FAMILY_V4, unix.RT_SCOPE_UNIVERSE); err != nil {
		return egress{}, err
	}
	if e.ipv6, err = address(link, netlink.FAMILY_V6, unix.RT_SCOPE_UNIVERSE); err != nil {
		return egress{}, err
	}
	return e, nil
}

// hasAddress says what is wrong when an address is not on the link, or on none of the node's where link is nil.
func hasAddress(link netlink.Link, a netip.Addr) error {
	family := netlink.FAMILY_V4
	if a.Is6() {
		family = netlink.FAMILY_V6
	}
	all, err := netlink.AddrList(link, family)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	if slices.ContainsFunc(all, func(have netlink.Addr) bool { return have.IP.Equal(net.IP(a.AsSlice())) }) {
		return nil
	}
	if link != nil {
		return fmt.Errorf("it is not on interface %s", link.Attrs().Name)
	}
	return errors.New("it is on no interface of this node")
}

// onLink finds a link-local neighbour.
func (k *kernel) onLink(cfg sessionConfig) (egress, error) {
	e := egress{way: way{address: cfg.address}}
	var link netlink.Link
	var err error
	if cfg.unnumbered != "" {
		if link, err = netlink.LinkByName(cfg.unnumbered); err != nil {
			return egress{}, fmt.Errorf("the node has no interface %q: %w", cfg.unnumbered, err)
		}
		if !running(link) {
			return egress{}, fmt.Errorf("interface %s is down", cfg.unnumbered)
		}
		e.way.address = k.finder.Neighbour(cfg.unnumbered)
	} else if link, err = k.linkOf(cfg); err != nil {
		return egress{}, err
	}
	attrs := link.Attrs()
	if err := within(attrs, cfg.vrf); err != nil {
		return egress{}, err
	}
	if cfg.source.IsValid() {
		if err := hasAddress(link, cfg.source); err != nil {
			return egress{}, fmt.Errorf("source address %s: %w", cfg.source, err)
		}
	}
	e.way.device, e.way.index = attrs.Name, attrs.Index
	if e.way.local, err = address(link, netlink.FAMILY_V6, unix.RT_SCOPE_LINK); err != nil {
		return egress{}, err
	}
	if !e.way.local.IsValid() {
		return egress{}, fmt.Errorf("interface %s has no link-local address that can be used (yet)", attrs.Name)
	}
	if cfg.source.IsLinkLocalUnicast() {
		e.way.local = cfg.source
	}
	e.local = e.way.local
	if !e.way.address.IsValid() {
		return egress{}, fmt.Errorf("no router is heard on interface %s (yet): it must send router advertisements", attrs.Name)
	}
	if e.ipv4, err = address(link, netlink.FAMILY_V4, unix.RT_SCOPE_UNIVERSE); err != nil {
		return egress{}, err
	}
	e.ipv6, err = address(link, netlink.FAMILY_V6, unix.RT_SCOPE_UNIVERSE)
	return e, err
}

// within says what is wrong when an interface does not belong to a VRF.
func within(attrs *netlink.LinkAttrs, vrf string) error {
	if vrf == "" || attrs.Name == vrf {
		return nil
	}
	device, err := netlink.LinkByName(vrf)
	if err != nil {
		return fmt.Errorf("the node has no device %q for the VRF: %w", vrf, err)
	}
	if attrs.MasterIndex != device.Attrs().Index {
		return fmt.Errorf("interface %s does not belong to VRF %s", attrs.Name, vrf)
	}
	return nil
}

func running(link netlink.Link) bool {
	const both = unix.IFF_UP | unix.IFF_RUNNING
	return link.Attrs().RawFlags&both == both
}

// linkOf finds out on which link a link-local address is, which its text does not say: on the only one there is, or on the
// one where it answers.
func (k *kernel) linkOf(cfg sessionConfig) (netlink.Link, error) {
	all, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	var possible, known []netlink.Link
	for _, link := range all {
		attrs := link.Attrs()
		if !running(link) || attrs.Flags&net.FlagLoopback != 0 || within(attrs, cfg.vrf) != nil || cfg.source.IsValid() && hasAddress(link, cfg.source) != nil {
			continue
		}
		own, err := address(link, netlink.FAMILY_V6, unix.RT_SCOPE_LINK)
		if err != nil || !own.IsValid() {
			continue // it went, or cannot be used
		}
		possible = append(possible, link)
		if knows(link, cfg.address) {
			known = append(known, link)
		}
	}
	switch {
	case len(possible) == 1:
		return possible[0], nil
	case len(known) == 1:
		return known[0], nil
	case len(known) > 1:
		return nil, fmt.Errorf("link-local address %s answers on %s: name the interface instead of it, or give a sourceAddress", cfg.address, names(known))
	case len(possible) == 0:
		return nil, fmt.Errorf("no interface has a link-local address from which to reach %s", cfg.address)
	}
	for _, link := range possible {
		solicit(cfg.address, link)
	}
	return nil, fmt.Errorf("link-local address %s answers on none of %s (yet)", cfg.address, names(possible))
}

func names(list []netlink.Link) string {
	var all []string
	for _, link := range list {
		all = append(all, link.Attrs().Name)
	}
	return strings.Join(all, ", ")
}

// knows says whether an address has been resolved on a link.
func knows(link netlink.Link, a netip.Addr) bool {
	const resolved = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE | netlink.NUD_PERMANENT
	neighbours, err := netlink.NeighList(link.Attrs().Index, netlink.FAMILY_V6)
	return err == nil && slices.ContainsFunc(neighbours, func(n netlink.Neigh) bool {
		return n.State&resolved != 0 && n.IP.Equal(net.IP(a.AsSlice()))
	})
}

// solicit makes the kernel resolve an address on a link, by way of a packet to the discard port. Whether it can be sent does
// not matter: the neighbour table tells.
func solicit(a netip.Addr, link netlink.Link) {
	conn, err := net.DialUDP("udp6", nil, &net.UDPAddr{IP: a.AsSlice(), Port: 9, Zone: link.Attrs().Name})
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte{0})
}

// shared are interfaces whose IPv4 addresses may be those of other nodes, too: of Services, of a DNS cache and of containers.
var shared = []string{"kube-ipvs0", "nodelocaldns", "docker0"}

// firstIPv4 returns the address that the node uses towards the world; where it has no way there, that of its loopback
// interface or the first one there is.
func (k *kernel) firstIPv4() netip.Addr {
	// No packet is sent to this address, which is nobody's (RFC 5737).
	if routes, err := netlink.RouteGet(net.IPv4(192, 0, 2, 1)); err == nil && len(routes) > 0 {
		if src, ok := netip.AddrFromSlice(routes[0].Src); ok {
			return src.Unmap()
		}
	}
	all, err := netlink.LinkList()
	if err != nil {
		k.log.Warn("cannot list links to derive a router ID", "op", "listLinks", "error", err)
		return netip.Addr{}
	}
	for _, link := range all { // the loopback interface is the first
		if slices.Contains(shared, link.Attrs().Name) {
			continue
		}
		if addr, err := address(link, netlink.FAMILY_V4, unix.RT_SCOPE_UNIVERSE); err == nil && addr.IsValid() {
			return addr
		}
	}
	return netip.Addr{}
}

// settle is how long the kernel's changes are collected before they are looked at.
const settle = 200 * time.Millisecond

func (k *kernel) watch(ctx context.Context, changed func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-k.found:
				changed()
			}
		}
	}()
	links.Watch(ctx, k.log, settle, func() {
		k.finder.LinksChanged()
		changed()
	})
	<-done
}
