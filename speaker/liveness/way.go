package liveness

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/bfd"
)

// kernel finds the way to neighbours by the node's routes and addresses.
type kernel struct{}

// find says between which ends a BGP session is watched: those of its TCP connection. state is how it fares; nil when
// nobody knows.
func (kernel) find(s *ingotv1.BgpSession, state *ingotv1.SessionReport) (bfd.Key, error) {
	key := bfd.Key{VRF: s.GetVrf()}
	if s.GetInterface() != "" {
		remote, err := netip.ParseAddr(state.GetAddress())
		if err != nil {
			return key, fmt.Errorf("the neighbour at interface %s is not known (yet)", s.GetInterface())
		}
		key.Remote, key.Interface, key.Local = remote.WithZone(""), s.GetInterface(), addressOf(state.GetLocalAddress())
		return key, nil
	}
	remote, err := netip.ParseAddr(s.GetAddress())
	if err != nil {
		return key, fmt.Errorf("peer address: %w", err)
	}
	key.Remote, key.Local = remote.WithZone("").Unmap(), addressOf(s.GetSourceAddress())
	if key.Remote.Is6() && key.Remote.IsLinkLocalUnicast() {
		return onLink(key, state)
	}
	route, err := routeTo(key)
	if err != nil {
		return key, err
	}
	if src, ok := netip.AddrFromSlice(route.Src); ok && !key.Local.IsValid() {
		key.Local = src.Unmap()
	}
	key.MultiHop = s.GetEbgpMultiHop() || internal(s) && route.Gw != nil
	return key, nil
}

// internal says whether the session is iBGP.
func internal(s *ingotv1.BgpSession) bool {
	if s.GetDynamicAsn() != "" {
		return s.GetDynamicAsn() == "internal"
	}
	own := s.GetLocalAsn()
	if own == 0 {
		own = s.GetMyAsn()
	}
	return s.GetPeerAsn() == own
}

func routeTo(k bfd.Key) (netlink.Route, error) {
	options := &netlink.RouteGetOptions{VrfName: k.VRF}
	if k.VRF != "" {
		if _, err := netlink.LinkByName(k.VRF); err != nil {
			return netlink.Route{}, fmt.Errorf("VRF device %q: %w", k.VRF, err)
		}
	}
	if k.Local.IsValid() {
		options.SrcAddr = k.Local.AsSlice()
	}
	routes, err := netlink.RouteGetWithOptions(k.Remote.AsSlice(), options)
	if err != nil {
		return netlink.Route{}, fmt.Errorf("route to %s: %w", k.Remote, err)
	}
	if len(routes) == 0 {
		return netlink.Route{}, fmt.Errorf("no route to %s", k.Remote)
	}
	return routes[0], nil
}

// onLink finds the interface of a link-local neighbour: that of the BGP session, which has found it.
func onLink(key bfd.Key, state *ingotv1.SessionReport) (bfd.Key, error) {
	local := addressOf(state.GetLocalAddress())
	if key.Interface = state.GetInterface(); key.Interface != "" {
		if !key.Local.IsValid() {
			key.Local = local
		}
		return key, nil
	}
	if !local.IsValid() {
		return key, errors.New("the interface towards the neighbour is not known (yet)")
	}
	all, err := netlink.AddrList(nil, unix.AF_INET6)
	if err != nil {
		return key, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range all {
		if !a.IP.Equal(net.IP(local.AsSlice())) {
			continue
		}
		link, err := netlink.LinkByIndex(a.LinkIndex)
		if err != nil {
			return key, fmt.Errorf("interface of %s: %w", local, err)
		}
		key.Interface, key.Local = link.Attrs().Name, local
		return key, nil
	}
	return key, fmt.Errorf("no interface has the address %s", local)
}

// addressOf is an address without its zone; invalid for a text that is none.
func addressOf(text string) netip.Addr {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return a.WithZone("").Unmap()
}
