package frr

import (
	"fmt"
	"slices"
	"strings"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

type ingotFamily = ingotv1.Family

// hidden stands where a password would.
const hidden = "<retracted>"

// text collects lines.
type text struct{ strings.Builder }

func (t *text) line(format string, args ...any) {
	fmt.Fprintf(t, format, args...)
	t.WriteByte('\n')
}

// RunningConfig is the configuration as FRR would write it, with what was ordered of sessions and routes.
func (f *Facts) RunningConfig() string { return f.runningConfig() }

func (f *Facts) runningConfig() string {
	var t text
	t.WriteString("Building configuration...\n\nCurrent configuration:\n!\n")
	t.line("! Ingot speaker %s", f.Version)
	t.line("hostname %s", f.Node)
	t.line("!")
	for _, in := range f.instances(allVRFs) {
		f.router(&t, in)
	}
	for _, in := range f.instances(allVRFs) {
		for _, p := range in.peers {
			t.line("route-map %s-in deny 20", p.name)
			t.line("!")
		}
	}
	f.profiles(&t)
	t.line("end")
	return t.String()
}

func (f *Facts) router(t *text, in instance) {
	if in.vrf == defaultVRF {
		t.line("router bgp %d", in.asn)
	} else {
		t.line("router bgp %d vrf %s", in.asn, in.vrf)
	}
	if in.routerID != "" {
		t.line(" bgp router-id %s", in.routerID)
	}
	t.line(" no bgp ebgp-requires-policy")
	t.line(" no bgp default ipv4-unicast")
	t.line(" no bgp network import-check")
	for _, p := range in.peers {
		f.neighbor(t, p)
	}
	for _, family := range []ingotv1.Family{ipv4, ipv6} {
		f.addressFamily(t, in, family)
	}
	t.line("!")
}

func (f *Facts) neighbor(t *text, p peer) {
	as := fmt.Sprint(p.cfg.GetPeerAsn())
	if p.cfg.GetDynamicAsn() != "" {
		as = p.cfg.GetDynamicAsn()
	}
	if p.cfg.GetInterface() != "" {
		t.line(" neighbor %s interface remote-as %s", p.name, as)
	} else {
		t.line(" neighbor %s remote-as %s", p.name, as)
	}
	t.line(" neighbor %s description %s", p.name, p.cfg.GetPeer())
	if asn := p.cfg.GetLocalAsn(); asn != 0 {
		t.line(" neighbor %s local-as %d no-prepend replace-as", p.name, asn)
	}
	if b := p.cfg.GetBfd(); b != nil {
		t.line(" neighbor %s bfd", p.name)
		t.line(" neighbor %s bfd profile %s", p.name, b.GetProfile())
	}
	if slices.Contains(f.Protected, p.cfg.GetPeer()) {
		t.line(" neighbor %s password %s", p.name, hidden)
	}
	if p.cfg.GetEbgpMultiHop() {
		t.line(" neighbor %s ebgp-multihop", p.name)
	}
	if port := p.cfg.GetPort(); port != 0 && port != 179 {
		t.line(" neighbor %s port %d", p.name, port)
	}
	if source := p.cfg.GetSourceAddress(); source != "" {
		t.line(" neighbor %s update-source %s", p.name, source)
	}
	if p.cfg.GetGracefulRestart() {
		t.line(" neighbor %s graceful-restart", p.name)
	}
	if p.cfg.HoldTimeMs != nil {
		hold := p.cfg.GetHoldTimeMs() / 1000
		keepalive := hold / 3
		if p.cfg.KeepaliveTimeMs != nil {
			keepalive = p.cfg.GetKeepaliveTimeMs() / 1000
		}
		t.line(" neighbor %s timers %d %d", p.name, keepalive, hold)
	}
	if p.cfg.ConnectTimeMs != nil {
		t.line(" neighbor %s timers connect %d", p.name, p.cfg.GetConnectTimeMs()/1000)
	}
}

func (f *Facts) addressFamily(t *text, in instance, family ingotv1.Family) {
	var active []peer
	for _, p := range in.peers {
		if configured, _ := p.carries(family); configured {
			active = append(active, p)
		}
	}
	if len(active) == 0 {
		return
	}
	t.line(" !")
	t.line(" address-family %s", familyNames[family].word)
	for _, r := range f.routes(in, family) {
		t.line("  network %s", r.GetRoute().GetPrefix())
	}
	for _, p := range active {
		t.line("  neighbor %s activate", p.name)
		t.line("  neighbor %s route-map %s-in in", p.name, p.name)
	}
	t.line(" exit-address-family")
}

// profiles are the BFD profiles that sessions use.
func (f *Facts) profiles(t *text) {
	byName := map[string]*ingotv1.BfdParameters{}
	var names []string
	for _, c := range f.Configured {
		if b := c.GetBfd(); b != nil && byName[b.GetProfile()] == nil {
			byName[b.GetProfile()] = b
			names = append(names, b.GetProfile())
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	t.line("bfd")
	for _, name := range names {
		b := byName[name]
		t.line(" profile %s", name)
		t.line("  detect-multiplier %d", b.GetDetectMultiplier())
		t.line("  transmit-interval %d", b.GetTransmitIntervalMs())
		t.line("  receive-interval %d", b.GetReceiveIntervalMs())
		if b.GetPassiveMode() {
			t.line("  passive-mode")
		}
		if b.GetEchoMode() {
			t.line("  echo-mode")
			t.line("  echo-interval %d", b.GetEchoIntervalMs())
		}
		if b.GetMinimumTtl() != 0 {
			t.line("  minimum-ttl %d", b.GetMinimumTtl())
		}
		t.line(" exit")
		t.line(" !")
	}
	t.line("exit")
	t.line("!")
}
