package links

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// Link is one network interface of the node, as far as layer 2 cares.
type Link struct {
	Index int
	Name  string
	MAC   ownership.MAC
	// Addresses with prefix length, link-local ones included.
	Addresses []netip.Prefix
	// LinkLocal is the lowest link-local IPv6 address, if there is one. It serves as a source even while the kernel checks that
	// it is unique: nobody learns anything about the source of an advertisement.
	LinkLocal netip.Addr
	// Enabled is the administrator's word, Carrier the cable's. Up wants both, and the driver's word that it works; drivers
	// that do not know count as saying so.
	Enabled, Carrier, Up bool
	// Master is the name of the bond, bridge or VRF that it belongs to.
	Master string
	// OnLink are destinations that the main routing table has on the link itself, beyond the prefixes of Addresses.
	OnLink []netip.Prefix
	// NextHops are gateways of the main routing table's routes over the link, those of default routes first.
	NextHops []netip.Addr
	// Unfit says why layer-2 addresses are not announced on it; empty when they can be.
	Unfit string
	// Since when it is Up, or is not, as far as it was seen: see Stamp.
	Since time.Time
}

// attempts is how often a list that changed while it was read is read again.
const attempts = 4

// List returns the interfaces whose names no expression matches, by name. Their Since is not known.
func List(exclude []*regexp.Regexp) ([]Link, error) {
	found, err := whole(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	addrs, err := whole(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	names := make(map[int]string, len(found))
	for _, f := range found {
		names[f.Attrs().Index] = f.Attrs().Name
	}
	all := make(map[int]*Link, len(found))
	for _, f := range found {
		attrs := f.Attrs()
		if slices.ContainsFunc(exclude, func(re *regexp.Regexp) bool { return re.MatchString(attrs.Name) }) {
			continue
		}
		l := &Link{
			Index: attrs.Index, Name: attrs.Name, Enabled: attrs.Flags&net.FlagUp != 0,
			Carrier: attrs.RawFlags&unix.IFF_LOWER_UP != 0, Up: isUp(attrs), Master: names[attrs.MasterIndex], Unfit: unfit(attrs),
		}
		copy(l.MAC[:], attrs.HardwareAddr)
		all[l.Index] = l
	}
	for _, a := range addrs {
		l, p := all[a.LinkIndex], prefixOf(a.IPNet)
		if l == nil || !p.IsValid() {
			continue
		}
		l.Addresses = append(l.Addresses, p)
		ip := p.Addr()
		if ip.Is6() && ip.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_DADFAILED == 0 && (!l.LinkLocal.IsValid() || ip.Less(l.LinkLocal)) {
			l.LinkLocal = ip
		}
	}
	if err := addRoutes(all); err != nil {
		return nil, err
	}
	links := make([]Link, 0, len(all))
	for _, l := range all {
		slices.SortFunc(l.Addresses, comparePrefixes)
		links = append(links, *l)
	}
	slices.SortFunc(links, func(a, b Link) int { return cmp.Compare(a.Name, b.Name) })
	return links, nil
}

// Stamp sets Since of the links that now holds: that of before for those that are up, or down, as they were.
func Stamp(before, now []Link, at time.Time) {
	known := make(map[int]Link, len(before))
	for _, l := range before {
		known[l.Index] = l
	}
	for i := range now {
		if b, ok := known[now[i].Index]; ok && b.Up == now[i].Up && !b.Since.IsZero() {
			now[i].Since = b.Since
			continue
		}
		now[i].Since = at
	}
}

// whole reads a list again that the kernel says changed meanwhile. One that goes on changing is taken as it is: a change
// is told of, and it is read again.
func whole[T any](list func() ([]T, error)) (all []T, err error) {
	for range attempts {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return all, nil
}

func prefixOf(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.Prefix{}
	}
	a, ok := netip.AddrFromSlice(n.IP)
	ones, bits := n.Mask.Size()
	if !ok || bits == 0 {
		return netip.Prefix{}
	}
	if a.Is4In6() && bits == 32 {
		a = a.Unmap()
	}
	return netip.PrefixFrom(a, ones)
}

func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// unfit says why layer-2 addresses are not announced on an interface (MetalLB's rules): it is down, part of another, or
// not a broadcast network with ARP.
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

// Contains says whether a is on the link, and how long the prefix is that says so.
func (l Link) Contains(a netip.Addr) (bits int, ok bool) {
	for _, prefixes := range [2][]netip.Prefix{l.Addresses, l.OnLink} {
		for _, p := range prefixes {
			if p.Contains(a) && (!ok || p.Bits() > bits) {
				bits, ok = p.Bits(), true
			}
		}
	}
	return bits, ok
}

// Source returns the link's address to ask for target from: the one that shares the longest prefix with it, or else any
// of its family. For IPv6 that is a link-local one where target is none of the link's prefixes. It is not valid when there is
// none.
func (l Link) Source(target netip.Addr) netip.Addr {
	best, points := netip.Addr{}, -1
	for _, p := range l.Addresses {
		a := p.Addr()
		if a.Is4() != target.Is4() {
			continue
		}
		n := 0
		switch {
		case p.Contains(target):
			n = 2 + p.Bits()
		case a.Is6() && a.IsLinkLocalUnicast():
			n = 1
		}
		if n > points {
			best, points = a, n
		}
	}
	return best
}

// Report is what is told of the link.
func (l Link) Report() *ingotv1.LinkReport {
	r := &ingotv1.LinkReport{Name: l.Name, Up: l.Up, Enabled: l.Enabled, Carrier: l.Carrier, Master: l.Master, Unfit: l.Unfit}
	if l.MAC != (ownership.MAC{}) {
		r.Mac = l.MAC.String()
	}
	for _, p := range l.Addresses {
		r.Addresses = append(r.Addresses, p.String())
	}
	for _, p := range l.OnLink {
		r.OnLink = append(r.OnLink, p.String())
	}
	for _, a := range l.NextHops {
		r.NextHops = append(r.NextHops, a.String())
	}
	if !l.Since.IsZero() {
		r.SinceMs = l.Since.UnixMilli()
	}
	return r
}
