package l2

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// link is one network interface, as far as layer 2 cares.
type link struct {
	index     int
	name      string
	mac       ownership.MAC
	addresses []string // with prefix length
	// source is the link-local IPv6 address, if there is one. It serves even while the kernel checks that it is unique:
	// nobody learns anything about the source of an advertisement.
	source netip.Addr
	up     bool
	// unfit says why the node does not answer on it; empty when it does.
	unfit string
}

// listLinks returns the interfaces whose names no expression matches, by name.
func listLinks(exclude []*regexp.Regexp) ([]link, error) {
	found, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	byLink := make(map[int][]string)
	sources := make(map[int]netip.Addr)
	for _, a := range addrs {
		byLink[a.LinkIndex] = append(byLink[a.LinkIndex], a.IPNet.String())
		if ip, ok := netip.AddrFromSlice(a.IP); ok && ip.Is6() && ip.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_DADFAILED == 0 {
			if have := sources[a.LinkIndex]; !have.IsValid() || ip.Less(have) {
				sources[a.LinkIndex] = ip
			}
		}
	}
	links := make([]link, 0, len(found))
	for _, f := range found {
		attrs := f.Attrs()
		if slices.ContainsFunc(exclude, func(re *regexp.Regexp) bool { return re.MatchString(attrs.Name) }) {
			continue
		}
		l := link{index: attrs.Index, name: attrs.Name, addresses: byLink[attrs.Index], source: sources[attrs.Index], up: isUp(attrs), unfit: unfit(attrs)}
		copy(l.mac[:], attrs.HardwareAddr)
		slices.Sort(l.addresses)
		links = append(links, l)
	}
	slices.SortFunc(links, func(a, b link) int { return cmp.Compare(a.name, b.name) })
	return links, nil
}

// unfit says why ARP is not answered on an interface (MetalLB's rules): it is down, part of another, or not a
// broadcast network with ARP.
func unfit(attrs *netlink.LinkAttrs) string {
	switch {
	case !isUp(attrs):
		return "is down"
	case attrs.MasterIndex != 0:
		return "belongs to another interface (bond, bridge or VRF)"
	case attrs.RawFlags&unix.IFF_NOARP != 0:
		return "has ARP disabled"
	case attrs.Flags&net.FlagBroadcast == 0 || len(attrs.HardwareAddr) != 6:
		return "is not an Ethernet-like broadcast network"
	}
	return ""
}

// isUp wants both the administrator and the cable. Drivers that do not know say "unknown".
func isUp(attrs *netlink.LinkAttrs) bool {
	return attrs.Flags&net.FlagUp != 0 && (attrs.OperState == netlink.OperUp || attrs.OperState == netlink.OperUnknown)
}

// allowed returns the names of the links to answer on for an address that is for the named interfaces, all if none is.
func allowed(interfaces []string, links []link) []string {
	var names []string
	for _, l := range links {
		if l.unfit == "" && (len(interfaces) == 0 || slices.Contains(interfaces, l.name)) {
			names = append(names, l.name)
		}
	}
	return names
}

// whyNone says in words why there is no link to answer on for an address.
func whyNone(address netip.Addr, interfaces []string, links []link) string {
	if len(interfaces) == 0 {
		return "no interface of this node qualifies for layer 2"
	}
	reasons := make([]string, 0, len(interfaces))
	for _, name := range interfaces {
		why := "does not exist on this node, or is excluded"
		for _, l := range links {
			if l.name == name {
				why = cmp.Or(l.unfit, "cannot be listened on")
				if l.unfit == "" && address.Is6() && !l.source.IsValid() {
					why = "has no link-local IPv6 address"
				}
			}
		}
		reasons = append(reasons, fmt.Sprintf("interface %s %s", name, why))
	}
	return strings.Join(reasons, "; ")
}
