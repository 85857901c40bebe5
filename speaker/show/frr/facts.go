// Package frr puts what a speaker holds and does in the words and keys of FRR, which operators know: it reads commands as
// vtysh takes them, and prints what FRR would, as text and as JSON. What FRR says of itself and we have no like of, such as
// memory and table versions, is left out or 0.
package frr

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Facts are what there is to show. Passwords are not among them.
type Facts struct {
	Node, Version string
	Now           time.Time
	// Configured are the sessions as ordered; Protected names those with a password.
	Configured []*ingotv1.BgpSession
	Protected  []string
	Sessions   []*ingotv1.SessionReport
	Routes     []*ingotv1.Route
	BFD        []*ingotv1.BfdReport
}

// defaultVRF is what the VRF without a name is called.
const defaultVRF = "default"

// instance is one "router bgp": the sessions of a VRF.
type instance struct {
	vrf      string // never empty
	asn      uint32
	routerID string
	peers    []peer
}

// peer is one neighbour: as configured, and how its session fares.
type peer struct {
	name   string // as FRR names neighbours: the address or the interface
	cfg    *ingotv1.BgpSession
	report *ingotv1.SessionReport
	bfd    *ingotv1.BfdReport
}

func (p peer) established() bool { return p.report.GetState() == "Established" }

// carries says whether the session is to carry a family, and whether both sides do.
func (p peer) carries(f ingotv1.Family) (configured, negotiated bool) {
	configured = slices.Contains(p.cfg.GetFamilies(), f)
	if len(p.cfg.GetFamilies()) == 0 {
		configured = p.cfg.GetInterface() != "" || strings.Contains(p.cfg.GetAddress(), ":") == (f == ipv6)
	}
	return configured, slices.Contains(p.report.GetFamilies(), f)
}

func (p peer) sent(f ingotv1.Family) uint32 {
	if f == ipv6 {
		return p.report.GetAdvertisedIpv6()
	}
	return p.report.GetAdvertisedIpv4()
}

const (
	ipv4 = ingotv1.Family_FAMILY_IPV4_UNICAST
	ipv6 = ingotv1.Family_FAMILY_IPV6_UNICAST
)

// familyNames are FRR's names of a family: in headings, in commands, and as a key.
var familyNames = map[ingotv1.Family]struct{ title, word, key string }{
	ipv4: {"IPv4 Unicast", "ipv4 unicast", "ipv4Unicast"},
	ipv6: {"IPv6 Unicast", "ipv6 unicast", "ipv6Unicast"},
}

func familyOf(prefix string) ingotv1.Family {
	if strings.Contains(prefix, ":") {
		return ipv6
	}
	return ipv4
}

// instances are those of a VRF, or all, the default one first.
func (f *Facts) instances(vrf string) []instance {
	reports := map[string]*ingotv1.SessionReport{}
	for _, r := range f.Sessions {
		reports[r.GetPeer()] = r
	}
	watches := map[string]*ingotv1.BfdReport{}
	for _, r := range f.BFD {
		watches[r.GetPeer()] = r
	}
	byVRF := map[string]*instance{}
	for _, c := range f.Configured {
		name := cmp.Or(c.GetVrf(), defaultVRF)
		if vrf != allVRFs && name != cmp.Or(vrf, defaultVRF) {
			continue
		}
		in := byVRF[name]
		if in == nil {
			in = &instance{vrf: name, asn: c.GetMyAsn()}
			byVRF[name] = in
		}
		p := peer{name: cmp.Or(c.GetAddress(), c.GetInterface()), cfg: c, report: reports[c.GetPeer()], bfd: watches[c.GetPeer()]}
		in.routerID = cmp.Or(in.routerID, p.report.GetRouterId(), c.GetRouterId())
		in.peers = append(in.peers, p)
	}
	all := make([]instance, 0, len(byVRF))
	for _, in := range byVRF {
		slices.SortFunc(in.peers, func(a, b peer) int { return comparePeers(a.name, b.name) })
		all = append(all, *in)
	}
	slices.SortFunc(all, func(a, b instance) int {
		return cmp.Or(cmp.Compare(btoi(a.vrf != defaultVRF), btoi(b.vrf != defaultVRF)), cmp.Compare(a.vrf, b.vrf))
	})
	return all
}

// has says whether a session of the instance is named so in routes.
func (in instance) has(bgpPeer string) (peer, bool) {
	for _, p := range in.peers {
		if p.cfg.GetPeer() == bgpPeer {
			return p, true
		}
	}
	return peer{}, false
}

// routes are those of a family that some session of the instance is for, in FRR's order.
func (f *Facts) routes(in instance, family ingotv1.Family) []*ingotv1.Route {
	var all []*ingotv1.Route
	for _, r := range f.Routes {
		if familyOf(r.GetRoute().GetPrefix()) == family && len(in.paths(r)) > 0 {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *ingotv1.Route) int {
		return comparePrefixes(a.GetRoute().GetPrefix(), b.GetRoute().GetPrefix())
	})
	return all
}

// paths are the sets of attributes that sessions of the instance see.
func (in instance) paths(r *ingotv1.Route) (ads []*ingotv1.BgpAdvertisement) {
	for _, ad := range r.GetRoute().GetAdvertisements() {
		if slices.ContainsFunc(ad.GetPeers(), func(name string) bool { _, ok := in.has(name); return ok }) {
			ads = append(ads, ad)
		}
	}
	return ads
}

func comparePrefixes(a, b string) int {
	p, errA := netip.ParsePrefix(a)
	q, errB := netip.ParsePrefix(b)
	if errA != nil || errB != nil {
		return cmp.Compare(a, b)
	}
	return cmp.Or(p.Addr().Compare(q.Addr()), cmp.Compare(p.Bits(), q.Bits()))
}

func comparePeers(a, b string) int {
	p, errA := netip.ParseAddr(a)
	q, errB := netip.ParseAddr(b)
	if errA != nil || errB != nil {
		return cmp.Compare(a, b)
	}
	return p.Compare(q)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// uptime is a duration as FRR prints it in tables.
func uptime(d time.Duration) string {
	const day = 24 * time.Hour
	n := func(unit time.Duration) int { return int(d / unit) }
	switch {
	case d < 0:
		return "00:00:00"
	case d < day:
		return twoDigits(n(time.Hour)) + ":" + twoDigits(n(time.Minute)%60) + ":" + twoDigits(n(time.Second)%60)
	case d < 7*day:
		return itoa(n(day)) + "d" + twoDigits(n(time.Hour)%24) + "h" + twoDigits(n(time.Minute)%60) + "m"
	}
	return twoDigits(n(7*day)) + "w" + itoa(n(day)%7) + "d" + twoDigits(n(time.Hour)%24) + "h"
}
