package frr

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// bfd answers "show bfd peers [brief|counters]".
func (f *Facts) bfd(c Command) (string, any) {
	var shown []*ingotv1.BfdReport
	for _, r := range f.BFD {
		if (c.vrf == allVRFs || cmp.Or(r.GetVrf(), defaultVRF) == cmp.Or(c.vrf, defaultVRF)) && (c.peer == "" || c.peer == r.GetAddress() || c.peer == r.GetPeer()) {
			shown = append(shown, r)
		}
	}
	slices.SortFunc(shown, func(a, b *ingotv1.BfdReport) int { return comparePeers(a.GetAddress(), b.GetAddress()) })
	var t text
	data := make([]any, 0, len(shown))
	switch c.what {
	case bfdBrief:
		t.line("Session count: %d", len(shown))
		t.line("%-10s %-39s %-39s %s", "SessionId", "LocalAddress", "PeerAddress", "Status")
		t.line("%-10s %-39s %-39s %s", "=========", "============", "===========", "======")
	default:
		t.line("BFD Peers:")
	}
	for _, r := range shown {
		switch c.what {
		case bfdBrief:
			t.line("%-10d %-39s %-39s %s", r.GetLocalDiscriminator(), orDash(r.GetLocalAddress()), r.GetAddress(), BFDWord(r.GetState()))
		case bfdCounters:
			f.bfdCountersText(&t, r)
			data = append(data, bfdCountersData(r))
			continue
		default:
			f.bfdText(&t, r)
		}
		data = append(data, f.bfdData(r))
	}
	if c.peer != "" && len(shown) == 0 {
		return "% Unable to find 'peer " + c.peer + "'\n", data
	}
	return t.String(), data
}

func bfdHead(r *ingotv1.BfdReport) string {
	s := "peer " + r.GetAddress()
	if r.GetMultiHop() {
		s += " multihop"
	}
	if r.GetLocalAddress() != "" {
		s += " local-address " + r.GetLocalAddress()
	}
	s += " vrf " + cmp.Or(r.GetVrf(), defaultVRF)
	if r.GetInterface() != "" {
		s += " interface " + r.GetInterface()
	}
	return s
}

func (f *Facts) bfdText(t *text, r *ingotv1.BfdReport) {
	b := f.parameters(r.GetPeer())
	t.line("\t%s", bfdHead(r))
	t.line("\t\tID: %d", r.GetLocalDiscriminator())
	t.line("\t\tRemote ID: %d", r.GetRemoteDiscriminator())
	mode := "Active"
	if b.GetPassiveMode() {
		mode = "Passive"
	}
	t.line("\t\t%s mode", mode)
	if r.GetMultiHop() {
		t.line("\t\tMinimum TTL: %d", b.GetMinimumTtl())
	}
	t.line("\t\tStatus: %s", BFDWord(r.GetState()))
	since := f.Now.Sub(time.UnixMilli(r.GetSinceMs()))
	if r.GetState() == "Up" {
		t.line("\t\tUptime: %s", longTime(since))
	} else {
		t.line("\t\tDowntime: %s", longTime(since))
	}
	t.line("\t\tDiagnostics: %s", diagnostic(r.GetDiagnostic()))
	t.line("\t\tRemote diagnostics: %s", diagnostic(r.GetRemoteDiagnostic()))
	t.line("\t\tPeer Type: dynamic")
	t.line("\t\tLocal timers:")
	t.line("\t\t\tDetect-multiplier: %d", b.GetDetectMultiplier())
	t.line("\t\t\tReceive interval: %dms", b.GetReceiveIntervalMs())
	t.line("\t\t\tTransmission interval: %dms", b.GetTransmitIntervalMs())
	t.line("\t\t\tEcho receive interval: %dms", b.GetEchoIntervalMs())
	t.line("\t\t\tEcho transmission interval: %s", msOrDisabled(r.GetEchoTransmitIntervalUs()))
	t.line("\t\tRemote timers:")
	t.line("\t\t\tDetect-multiplier: %d", r.GetRemoteDetectMultiplier())
	t.line("\t\t\tReceive interval: %dms", r.GetRemoteReceiveIntervalUs()/1000)
	t.line("\t\t\tTransmission interval: %dms", r.GetRemoteTransmitIntervalUs()/1000)
	t.line("\t\t\tEcho receive interval: %s", msOrDisabled(r.GetRemoteEchoIntervalUs()))
	t.line("\t\tIn use: transmission interval %s, detection time %s", micro(r.GetTransmitIntervalUs()), micro(r.GetDetectionTimeUs()))
	for _, notice := range r.GetNotices() {
		t.line("\t\tNotice: %s", notice)
	}
	t.line("")
}

func (f *Facts) bfdData(r *ingotv1.BfdReport) map[string]any {
	b := f.parameters(r.GetPeer())
	d := map[string]any{
		"multihop": r.GetMultiHop(), "peer": r.GetAddress(), "vrf": cmp.Or(r.GetVrf(), defaultVRF), "passive-mode": b.GetPassiveMode(),
		"id": r.GetLocalDiscriminator(), "remote-id": r.GetRemoteDiscriminator(), "status": BFDWord(r.GetState()),
		"diagnostic": diagnostic(r.GetDiagnostic()), "remote-diagnostic": diagnostic(r.GetRemoteDiagnostic()), "type": "dynamic",
		"receive-interval": b.GetReceiveIntervalMs(), "transmit-interval": b.GetTransmitIntervalMs(),
		"echo-receive-interval": b.GetEchoIntervalMs(), "echo-transmit-interval": r.GetEchoTransmitIntervalUs() / 1000, "detect-multiplier": b.GetDetectMultiplier(),
		"remote-receive-interval": r.GetRemoteReceiveIntervalUs() / 1000, "remote-transmit-interval": r.GetRemoteTransmitIntervalUs() / 1000,
		"remote-echo-receive-interval": r.GetRemoteEchoIntervalUs() / 1000, "remote-detect-multiplier": r.GetRemoteDetectMultiplier(),
		"profile": r.GetProfile(), "detection-time": r.GetDetectionTimeUs() / 1000,
	}
	if r.GetLocalAddress() != "" {
		d["local"] = r.GetLocalAddress()
	}
	if r.GetInterface() != "" {
		d["interface"] = r.GetInterface()
	}
	if r.GetMultiHop() {
		d["minimum-ttl"] = b.GetMinimumTtl()
	}
	seconds := int64(max(f.Now.Sub(time.UnixMilli(r.GetSinceMs())), 0).Seconds())
	if r.GetState() == "Up" {
		d["uptime"] = seconds
	} else {
		d["downtime"] = seconds
	}
	return d
}

func (f *Facts) bfdCountersText(t *text, r *ingotv1.BfdReport) {
	n := r.GetCounters()
	t.line("\t%s", bfdHead(r))
	t.line("\t\tControl packet input: %d packets", n.GetControlReceived())
	t.line("\t\tControl packet output: %d packets", n.GetControlSent())
	t.line("\t\tEcho packet input: %d packets", n.GetEchoReceived())
	t.line("\t\tEcho packet output: %d packets", n.GetEchoSent())
	t.line("\t\tSession up events: %d", n.GetUpEvents())
	t.line("\t\tSession down events: %d", n.GetDownEvents())
	t.line("\t\tZebra notifications: %d", n.GetUpEvents()+n.GetDownEvents())
	t.line("")
}

func bfdCountersData(r *ingotv1.BfdReport) any {
	n := r.GetCounters()
	return map[string]any{
		"multihop": r.GetMultiHop(), "peer": r.GetAddress(), "local": r.GetLocalAddress(), "vrf": cmp.Or(r.GetVrf(), defaultVRF), "interface": r.GetInterface(),
		"control-packet-input": n.GetControlReceived(), "control-packet-output": n.GetControlSent(),
		"echo-packet-input": n.GetEchoReceived(), "echo-packet-output": n.GetEchoSent(),
		"session-up": n.GetUpEvents(), "session-down": n.GetDownEvents(), "zebra-notifications": n.GetUpEvents() + n.GetDownEvents(),
	}
}

// parameters are those that a session's profile gives.
func (f *Facts) parameters(bgpPeer string) *ingotv1.BfdParameters {
	for _, c := range f.Configured {
		if c.GetPeer() == bgpPeer {
			return c.GetBfd()
		}
	}
	return nil
}

// BFDWord is FRR's word for a state of RFC 5880, as BfdReport has it.
func BFDWord(state string) string {
	switch state {
	case "AdminDown":
		return "shutdown"
	case "":
		return "down"
	}
	return strings.ToLower(state)
}

func bfdStatus(r *ingotv1.BfdReport) string {
	if r == nil {
		return "Unknown"
	}
	w := BFDWord(r.GetState())
	return strings.ToUpper(w[:1]) + w[1:]
}

func (f *Facts) bfdAge(r *ingotv1.BfdReport) string {
	if r.GetSinceMs() == 0 {
		return "never"
	}
	return "0:" + uptime(f.Now.Sub(time.UnixMilli(r.GetSinceMs())))
}

func diagnostic(s string) string {
	switch strings.ToLower(s) {
	case "", "no diagnostic":
		return "ok"
	}
	return s
}

func micro(us uint32) string { return (time.Duration(us) * time.Microsecond).String() }

func msOrDisabled(us uint32) string {
	if us == 0 {
		return "disabled"
	}
	return fmt.Sprintf("%dms", us/1000)
}

// longTime is a duration in FRR's many words.
func longTime(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	s := ""
	for _, unit := range []struct {
		name string
		d    time.Duration
	}{{"day(s)", 24 * time.Hour}, {"hour(s)", time.Hour}, {"minute(s)", time.Minute}} {
		if n := d / unit.d; n > 0 || s != "" {
			s += fmt.Sprintf("%d %s, ", n, unit.name)
			d -= n * unit.d
		}
	}
	return s + fmt.Sprintf("%d second(s)", int(d.Seconds()))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
