package frr

import (
	"fmt"
	"time"
)

// summary answers "show bgp summary".
func (f *Facts) summary(c Command) (string, any) {
	var t text
	data := map[string]any{}
	all := f.instances(c.vrf)
	if len(all) == 0 {
		return f.noInstance(c), data
	}
	for _, in := range all {
		inVRF := map[string]any{}
		for _, family := range c.families() {
			var peers []peer
			for _, p := range in.peers {
				if configured, _ := p.carries(family); configured {
					peers = append(peers, p)
				}
			}
			if len(peers) == 0 {
				continue
			}
			f.summaryText(&t, in, family, peers)
			inVRF[familyNames[family].key] = f.summaryData(in, family, peers)
		}
		if c.vrf == allVRFs {
			data[in.vrf] = inVRF
		} else {
			data = inVRF
		}
	}
	if c.family != 0 && c.vrf != allVRFs { // FRR then leaves the name of the family out
		if one, ok := data[familyNames[c.family].key]; ok {
			return t.String(), one
		}
	}
	return t.String(), data
}

func (f *Facts) noInstance(c Command) string {
	if c.vrf == "" || c.vrf == defaultVRF || c.vrf == allVRFs {
		return "% BGP instance not found: this node keeps no BGP session\n"
	}
	return fmt.Sprintf("%% BGP instance not found: no BGP session in VRF %s\n", c.vrf)
}

func (f *Facts) summaryText(t *text, in instance, family ingotFamily, peers []peer) {
	t.line("%s Summary (VRF %s):", familyNames[family].title, in.vrf)
	t.line("BGP router identifier %s, local AS number %d vrf-id 0", in.routerID, in.asn)
	t.line("BGP table version 0")
	t.line("RIB entries %d", len(f.routes(in, family)))
	t.line("Peers %d", len(peers))
	t.line("")
	width := 15
	for _, p := range peers {
		width = max(width, len(p.name))
	}
	t.line("%-*s V         AS   MsgRcvd   MsgSent   TblVer  InQ OutQ  Up/Down State/PfxRcd   PfxSnt Desc", width, "Neighbor")
	for _, p := range peers {
		r := p.report
		up, state := "never", fmt.Sprintf("%12s", stateOf(p))
		if r.GetCounters().GetEstablished() > 0 {
			up = uptime(f.since(p))
		}
		if p.established() {
			state = fmt.Sprintf("%12d", 0) // what a peer sends is refused
			if _, negotiated := p.carries(family); !negotiated {
				state = fmt.Sprintf("%12s", "NoNeg")
			}
		}
		t.line("%-*s 4 %10d %9d %9d %8d %4d %4d %8s %s %8d %s", width, p.name, remoteAS(p), r.GetCounters().GetTotalReceived(),
			r.GetCounters().GetTotalSent(), 0, 0, 0, up, state, p.sent(family), p.cfg.GetPeer())
	}
	t.line("")
	t.line("Total number of neighbors %d", len(peers))
	t.line("")
}

func (f *Facts) summaryData(in instance, family ingotFamily, peers []peer) any {
	byName := map[string]any{}
	failed := 0
	for _, p := range peers {
		r, counters := p.report, p.report.GetCounters()
		_, negotiated := p.carries(family)
		health := "OK"
		if !p.established() || !negotiated {
			failed++
			health = "Policy"
			if !p.established() {
				health = "Idle"
			}
		}
		one := map[string]any{
			"remoteAs": remoteAS(p), "localAs": p.localAS(), "version": 4,
			"msgRcvd": counters.GetTotalReceived(), "msgSent": counters.GetTotalSent(), "tableVersion": 0, "inq": 0, "outq": 0,
			"peerUptime": "never", "peerUptimeMsec": 0,
			"pfxRcd": 0, "pfxSnt": p.sent(family), "state": stateOf(p), "peerState": health,
			"connectionsEstablished": counters.GetEstablished(), "connectionsDropped": counters.GetLost(),
			"desc": p.cfg.GetPeer(), "idType": p.idType(),
		}
		if counters.GetEstablished() > 0 {
			one["peerUptime"], one["peerUptimeMsec"] = uptime(f.since(p)), max(f.since(p), 0).Milliseconds()
		}
		if p.established() {
			one["peerUptimeEstablishedEpoch"] = r.GetSinceMs() / 1000
		}
		byName[p.name] = one
	}
	return map[string]any{
		"routerId": in.routerID, "as": in.asn, "vrfId": 0, "vrfName": in.vrf, "tableVersion": 0,
		"ribCount": len(f.routes(in, family)), "peerCount": len(peers), "peers": byName,
		"failedPeers": failed, "displayedPeers": len(peers), "totalPeers": len(peers), "dynamicPeers": 0,
	}
}

// since is how long the session has been in its state.
func (f *Facts) since(p peer) time.Duration {
	if p.report.GetSinceMs() == 0 {
		return 0
	}
	return f.Now.Sub(time.UnixMilli(p.report.GetSinceMs()))
}

// stateOf is the state of a session; one that the speaker could not begin is idle.
func stateOf(p peer) string {
	if s := p.report.GetState(); s != "" {
		return s
	}
	return "Idle"
}

func remoteAS(p peer) uint32 {
	if asn := p.report.GetRemoteAsn(); asn != 0 {
		return asn
	}
	return p.cfg.GetPeerAsn()
}

func (p peer) localAS() uint32 {
	if asn := p.cfg.GetLocalAsn(); asn != 0 {
		return asn
	}
	return p.cfg.GetMyAsn()
}

func (p peer) idType() string {
	switch {
	case p.cfg.GetInterface() != "":
		return "interface"
	case familyOf(p.name) == ipv6:
		return "ipv6"
	}
	return "ipv4"
}
