package frr

import (
	"fmt"
	"net/netip"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// neighbors answers "show bgp neighbors".
func (f *Facts) neighbors(c Command) (string, any) {
	var t text
	data := map[string]any{}
	found := false
	instances := f.instances(c.vrf)
	if len(instances) == 0 {
		return f.noInstance(c), data
	}
	for _, in := range instances {
		for _, p := range in.peers {
			if c.peer != "" && !p.is(c.peer) {
				continue
			}
			found = true
			f.neighborText(&t, in, p)
			data[p.name] = f.neighborData(in, p)
		}
	}
	if !found && c.peer != "" {
		return fmt.Sprintf("%% No such neighbor: %s\n", c.peer), map[string]any{"bgpNoSuchNeighbor": true}
	}
	return t.String(), data
}

// is says whether the neighbour is called so: by its address, its interface, or the BGPPeer.
func (p peer) is(name string) bool {
	a, errA := netip.ParseAddr(name)
	b, errB := netip.ParseAddr(p.name)
	return errA == nil && errB == nil && a == b || name == p.name || name == p.cfg.GetPeer()
}

func link(p peer) string {
	if remoteAS(p) == p.localAS() {
		return "internal"
	}
	return "external"
}

func (f *Facts) neighborText(t *text, in instance, p peer) {
	r, n := p.report, p.report.GetCounters()
	t.line("BGP neighbor is %s, remote AS %d, local AS %d, %s link", p.name, remoteAS(p), p.localAS(), link(p))
	t.line(" Description: %s", p.cfg.GetPeer())
	t.line("  BGP version 4, remote router ID %s, local router ID %s", orZero(r.GetRemoteRouterId()), orZero(r.GetRouterId()))
	if p.established() {
		t.line("  BGP state = Established, up for %s", uptime(f.since(p)))
		t.line("  Hold time is %d seconds, keepalive interval is %d seconds", r.GetHoldTimeMs()/1000, r.GetKeepaliveTimeMs()/1000)
	} else {
		t.line("  BGP state = %s", stateOf(p))
	}
	if p.cfg.HoldTimeMs != nil {
		t.line("  Configured hold time is %d seconds", p.cfg.GetHoldTimeMs()/1000)
	}
	t.line("  Message statistics:")
	t.line("    Inq depth is 0")
	t.line("    Outq depth is 0")
	t.line("                         Sent       Rcvd")
	for _, row := range []struct {
		name       string
		sent, rcvd uint64
	}{
		{"Opens", n.GetOpensSent(), n.GetOpensReceived()},
		{"Notifications", n.GetNotificationsSent(), n.GetNotificationsReceived()},
		{"Updates", n.GetUpdatesSent(), n.GetUpdatesReceived()},
		{"Keepalives", n.GetKeepalivesSent(), n.GetKeepalivesReceived()},
		{"Route Refresh", n.GetRouteRefreshesSent(), routeRefreshesReceived(n)},
		{"Total", n.GetTotalSent(), n.GetTotalReceived()},
	} {
		t.line("    %-16s %10d %10d", row.name+":", row.sent, row.rcvd)
	}
	for _, family := range []ingotv1.Family{ipv4, ipv6} {
		configured, negotiated := p.carries(family)
		if !configured {
			continue
		}
		t.line("")
		t.line(" For address family: %s", familyNames[family].title)
		if p.established() && !negotiated {
			t.line("  Not part of any update group: the peer does not carry the family")
		}
		t.line("  Inbound path policy configured")
		t.line("  Route map for incoming advertisements is *%s-in", p.name)
		t.line("  0 accepted prefixes")
		t.line("  %d announced prefixes", p.sent(family))
	}
	t.line("")
	t.line("  Connections established %d; dropped %d", n.GetEstablished(), n.GetLost())
	if e := r.GetLastError(); e != "" {
		who := ""
		if r.GetLastErrorCode() != 0 {
			who = " (Notification sent)"
			if r.GetLastErrorReceived() {
				who = " (Notification received)"
			}
		}
		t.line("  Last reset %s,  %s%s", uptime(f.Now.Sub(time.UnixMilli(r.GetLastErrorMs()))), e, who)
	} else {
		t.line("  Last reset never")
	}
	if n.GetPrefixesRefused() > 0 {
		t.line("  %d prefixes that the peer sends are refused", n.GetPrefixesRefused())
	}
	for _, notice := range r.GetNotices() {
		t.line("  Notice: %s", notice)
	}
	if local := r.GetLocalAddress(); local != "" {
		t.line("Local host: %s", local)
	}
	t.line("Foreign host: %s, Foreign port: %d", orZero(r.GetAddress()), p.port())
	if b := p.cfg.GetBfd(); b != nil {
		t.line("")
		t.line("  BFD: Type: %s", hops(p.cfg.GetEbgpMultiHop() || p.bfd.GetMultiHop()))
		t.line("  Detect Multiplier: %d, Min Rx interval: %d, Min Tx interval: %d", b.GetDetectMultiplier(), b.GetReceiveIntervalMs(), b.GetTransmitIntervalMs())
		t.line("  Status: %s, Last update: %s", bfdStatus(p.bfd), f.bfdAge(p.bfd))
	}
	t.line("")
}

func (f *Facts) neighborData(in instance, p peer) any {
	r, n := p.report, p.report.GetCounters()
	families := map[string]any{}
	for _, family := range []ingotv1.Family{ipv4, ipv6} {
		if configured, negotiated := p.carries(family); configured {
			families[familyNames[family].key] = map[string]any{"acceptedPrefixCounter": 0, "sentPrefixCounter": p.sent(family), "negotiated": negotiated,
				"inboundPathPolicyConfig": true, "routeMapForIncomingAdvertisements": p.name + "-in"}
		}
	}
	d := map[string]any{
		"remoteAs": remoteAS(p), "localAs": p.localAS(), "nbrDesc": p.cfg.GetPeer(), "vrf": in.vrf, "bgpVersion": 4,
		"remoteRouterId": orZero(r.GetRemoteRouterId()), "localRouterId": orZero(r.GetRouterId()), "bgpState": stateOf(p),
		"messageStats": map[string]any{
			"depthInq": 0, "depthOutq": 0, "opensSent": n.GetOpensSent(), "opensRecv": n.GetOpensReceived(),
			"notificationsSent": n.GetNotificationsSent(), "notificationsRecv": n.GetNotificationsReceived(),
			"updatesSent": n.GetUpdatesSent(), "updatesRecv": n.GetUpdatesReceived(),
			"keepalivesSent": n.GetKeepalivesSent(), "keepalivesRecv": n.GetKeepalivesReceived(),
			"routeRefreshSent": n.GetRouteRefreshesSent(), "routeRefreshRecv": routeRefreshesReceived(n),
			"totalSent": n.GetTotalSent(), "totalRecv": n.GetTotalReceived(),
		},
		"addressFamilyInfo": families, "connectionsEstablished": n.GetEstablished(), "connectionsDropped": n.GetLost(),
		"hostForeign": r.GetAddress(), "portForeign": p.port(),
	}
	if link(p) == "internal" {
		d["nbrInternalLink"] = true
	} else {
		d["nbrExternalLink"] = true
	}
	if p.established() {
		d["bgpTimerUpMsec"], d["bgpTimerUpString"] = max(f.since(p), 0).Milliseconds(), uptime(f.since(p))
		d["bgpTimerUpEstablishedEpoch"] = r.GetSinceMs() / 1000
		d["bgpTimerHoldTimeMsecs"], d["bgpTimerKeepAliveIntervalMsecs"] = r.GetHoldTimeMs(), r.GetKeepaliveTimeMs()
	}
	if p.cfg.HoldTimeMs != nil {
		d["bgpTimerConfiguredHoldTimeMsecs"] = p.cfg.GetHoldTimeMs()
	}
	if e := r.GetLastError(); e != "" {
		d["lastResetDueTo"], d["lastResetTimerMsecs"] = e, max(f.Now.Sub(time.UnixMilli(r.GetLastErrorMs())), 0).Milliseconds()
		if r.GetLastErrorCode() != 0 {
			d["lastErrorCodeSubcode"] = fmt.Sprintf("%02X%02X", r.GetLastErrorCode(), r.GetLastErrorSubcode())
			d["lastNotificationReceived"] = r.GetLastErrorReceived()
		}
	}
	if local := r.GetLocalAddress(); local != "" {
		d["hostLocal"] = local
	}
	if len(r.GetNotices()) > 0 {
		d["notices"] = r.GetNotices()
	}
	if b := p.cfg.GetBfd(); b != nil {
		d["peerBfdInfo"] = map[string]any{"type": hops(p.bfd.GetMultiHop()), "detectMultiplier": b.GetDetectMultiplier(),
			"rxMinInterval": b.GetReceiveIntervalMs(), "txMinInterval": b.GetTransmitIntervalMs(), "status": bfdStatus(p.bfd), "lastUpdate": f.bfdAge(p.bfd)}
	}
	return d
}

func (p peer) port() uint32 {
	if port := p.cfg.GetPort(); port != 0 {
		return port
	}
	return 179
}

// routeRefreshesReceived is what is left of all messages when the others are taken away.
func routeRefreshesReceived(n *ingotv1.SessionCounters) uint64 {
	others := n.GetOpensReceived() + n.GetNotificationsReceived() + n.GetUpdatesReceived() + n.GetKeepalivesReceived()
	if n.GetTotalReceived() < others {
		return 0
	}
	return n.GetTotalReceived() - others
}

func hops(multi bool) string {
	if multi {
		return "multi hop"
	}
	return "single hop"
}

func orZero(s string) string {
	if s == "" {
		return "0.0.0.0"
	}
	return s
}
