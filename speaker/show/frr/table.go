package frr

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// table answers "show bgp ipv4 [PREFIX]", and "show bgp neighbors ADDR advertised-routes".
func (f *Facts) table(c Command) (string, any) {
	if c.prefix != "" {
		return f.entry(c)
	}
	var t text
	data := map[string]any{}
	all := f.instances(c.vrf)
	if len(all) == 0 {
		return f.noInstance(c), data
	}
	for _, in := range all {
		routes := map[string]any{}
		count := 0
		for _, family := range c.families() {
			shown := f.routes(in, family)
			if c.what == advertised {
				shown = slices.DeleteFunc(shown, func(r *ingotv1.Route) bool { return !in.sentTo(r, c.peer) })
			}
			if len(shown) == 0 {
				continue
			}
			count += len(shown)
			t.line("BGP table version is 0, local router ID is %s, vrf id 0", in.routerID)
			t.line("Default local pref 100, local AS %d", in.asn)
			t.line("Status codes:  s suppressed, d damped, h history, * valid, > best, = multipath,")
			t.line("               i internal, r RIB-failure, S Stale, R Removed")
			t.line("Origin codes:  i - IGP, e - EGP, ? - incomplete")
			t.line("")
			t.line("    Network          Next Hop            Metric LocPrf Weight Path")
			for _, r := range shown {
				for i, ad := range in.paths(r) {
					network, mark := "", "*="
					if i == 0 {
						network, mark = r.GetRoute().GetPrefix(), "*>"
					}
					if len(network) > 16 {
						t.line(" %s %s", mark, network)
						network, mark = "", "  "
					}
					pref := ""
					if ad.GetLocalPref() != 0 {
						pref = fmt.Sprint(ad.GetLocalPref())
					}
					t.line(" %s %-16s %-19s %6d %6s %6d i", mark, network, unspecified(family), ad.GetMed(), pref, localWeight)
				}
				routes[r.GetRoute().GetPrefix()] = in.pathsData(r, family)
			}
			t.line("")
			t.line("Displayed %d routes and %d total paths", len(shown), len(shown))
		}
		one := map[string]any{"vrfId": 0, "vrfName": in.vrf, "tableVersion": 0, "routerId": in.routerID, "defaultLocPrf": 100, "localAS": in.asn,
			"routes": routes, "totalRoutes": count}
		if c.vrf == allVRFs {
			data[in.vrf] = one
		} else {
			data = one
		}
	}
	return t.String(), data
}

// localWeight is FRR's weight of a route that begins here.
const localWeight = 32768

func unspecified(f ingotv1.Family) string {
	if f == ipv6 {
		return "::"
	}
	return "0.0.0.0"
}

// sentTo says whether a neighbour has been sent a route.
func (in instance) sentTo(r *ingotv1.Route, name string) bool {
	return slices.ContainsFunc(r.GetAdvertisedTo(), func(bgpPeer string) bool {
		p, ok := in.has(bgpPeer)
		return ok && (name == "" || p.is(name))
	})
}

// Find returns the route to a prefix, or the longest that holds an address.
func Find(routes []*ingotv1.Route, asked string) *ingotv1.Route {
	if prefix, err := netip.ParsePrefix(asked); err == nil {
		for _, r := range routes {
			if p, err := netip.ParsePrefix(r.GetRoute().GetPrefix()); err == nil && p == prefix.Masked() {
				return r
			}
		}
		return nil
	}
	addr, err := netip.ParseAddr(asked)
	if err != nil {
		return nil
	}
	var best *ingotv1.Route
	longest := -1
	for _, r := range routes {
		if p, err := netip.ParsePrefix(r.GetRoute().GetPrefix()); err == nil && p.Contains(addr) && p.Bits() > longest {
			best, longest = r, p.Bits()
		}
	}
	return best
}

func (f *Facts) entry(c Command) (string, any) {
	var t text
	data := map[string]any{}
	for _, in := range f.instances(c.vrf) {
		r := Find(f.routes(in, c.family), c.prefix)
		if r == nil {
			continue
		}
		ads := in.paths(r)
		t.line("BGP routing table entry for %s, version 0", r.GetRoute().GetPrefix())
		t.line("Paths: (%d available, best #1, table %s)", len(ads), in.vrf)
		var sent []string
		advertisedTo := map[string]any{}
		for _, name := range r.GetAdvertisedTo() {
			if p, ok := in.has(name); ok {
				sent = append(sent, p.name)
				advertisedTo[p.name] = map[string]any{"hostname": name}
			}
		}
		slices.SortFunc(sent, comparePeers)
		if len(sent) == 0 {
			t.line("  Not advertised to any peer")
		} else {
			t.line("  Advertised to non peer-group peers:")
			t.line("  %s", strings.Join(sent, " "))
		}
		for i, ad := range ads {
			in.pathText(&t, ad, c.family, i == 0)
		}
		if r.GetReason() != "" {
			t.line("  Notice: %s", r.GetReason())
		}
		for _, s := range r.GetRoute().GetServices() {
			t.line("  Service: %s/%s %s", s.GetNamespace(), s.GetName(), s.GetAddress())
		}
		one := map[string]any{"prefix": r.GetRoute().GetPrefix(), "version": 0, "advertisedTo": advertisedTo, "paths": in.pathsData(r, c.family)}
		if c.vrf == allVRFs {
			data[in.vrf] = one
		} else {
			data = one
		}
	}
	if t.Len() == 0 {
		return "% Network not in table\n", data
	}
	return t.String(), data
}

func (in instance) pathText(t *text, ad *ingotv1.BgpAdvertisement, family ingotv1.Family, best bool) {
	t.line("  Local")
	t.line("    %s from %s (%s)", unspecified(family), unspecified(family), in.routerID)
	line := fmt.Sprintf("      Origin IGP, metric %d", ad.GetMed())
	if ad.GetLocalPref() != 0 {
		line += fmt.Sprintf(", localpref %d", ad.GetLocalPref())
	}
	line += fmt.Sprintf(", weight %d, valid, sourced, local", localWeight)
	if best {
		line += ", best (First path received)"
	}
	t.line("%s", line)
	if s := communities(ad); s != "" {
		t.line("      Community: %s", s)
	}
	if s := largeCommunities(ad); s != "" {
		t.line("      Large Community: %s", s)
	}
	if n := ad.GetAsPathPrepend(); n > 0 {
		t.line("      AS path prepended %d times to external peers", n)
	}
	t.line("      For peers: %s", strings.Join(in.names(ad), " "))
}

// names are FRR's names of the neighbours of the instance that see ad.
func (in instance) names(ad *ingotv1.BgpAdvertisement) []string {
	var names []string
	for _, bgpPeer := range ad.GetPeers() {
		if p, ok := in.has(bgpPeer); ok {
			names = append(names, p.name)
		}
	}
	slices.SortFunc(names, comparePeers)
	return names
}

func (in instance) pathsData(r *ingotv1.Route, family ingotv1.Family) []any {
	var paths []any
	for i, ad := range in.paths(r) {
		p := map[string]any{
			"valid": true, "sourced": true, "local": true, "weight": localWeight, "origin": "IGP", "metric": ad.GetMed(), "prefix": r.GetRoute().GetPrefix(),
			"nexthops": []any{map[string]any{"ip": unspecified(family), "afi": strings.Fields(familyNames[family].word)[0], "used": true}},
			"peers":    in.names(ad),
		}
		if i == 0 {
			p["bestpath"] = map[string]any{"overall": true, "selectionReason": "First path received"}
		}
		if ad.GetLocalPref() != 0 {
			p["locPrf"] = ad.GetLocalPref()
		}
		if s := communities(ad); s != "" {
			p["community"] = map[string]any{"string": s, "list": strings.Fields(s)}
		}
		if s := largeCommunities(ad); s != "" {
			p["largeCommunity"] = map[string]any{"string": s, "list": strings.Fields(s)}
		}
		if n := ad.GetAsPathPrepend(); n > 0 {
			p["asPathPrepend"] = n
		}
		paths = append(paths, p)
	}
	return paths
}

// wellKnown are FRR's words for communities (RFC 1997, RFC 7999, RFC 8326, RFC 9494).
var wellKnown = map[uint32]string{
	0xFFFF0000: "graceful-shutdown", 0xFFFF0001: "accept-own", 0xFFFF0006: "llgr-stale", 0xFFFF0007: "no-llgr", 0xFFFF029A: "blackhole",
	0xFFFFFF01: "no-export", 0xFFFFFF02: "no-advertise", 0xFFFFFF03: "local-AS", 0xFFFFFF04: "no-peer",
}

func communities(ad *ingotv1.BgpAdvertisement) string {
	var all []string
	for _, c := range ad.GetCommunities() {
		if word, ok := wellKnown[c]; ok {
			all = append(all, word)
		} else {
			all = append(all, fmt.Sprintf("%d:%d", c>>16, c&0xFFFF))
		}
	}
	return strings.Join(all, " ")
}

func largeCommunities(ad *ingotv1.BgpAdvertisement) string {
	var all []string
	for _, c := range ad.GetLargeCommunities() {
		all = append(all, fmt.Sprintf("%d:%d:%d", c.GetGlobalAdministrator(), c.GetLocalData1(), c.GetLocalData2()))
	}
	return strings.Join(all, " ")
}
