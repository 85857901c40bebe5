package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// bfdPeer is how the router shows a BFD session.
type bfdPeer struct {
	Peer             string
	MultiHop         bool
	ID               int64
	RemoteID         int64 `json:"remote-id"`
	Status           string
	RemoteDiagnostic string `json:"remote-diagnostic"`
	Receive          int    `json:"remote-receive-interval"`
	Transmit         int    `json:"remote-transmit-interval"`
	Echo             int    `json:"remote-echo-receive-interval"`
	Multiplier       int    `json:"remote-detect-multiplier"`
	OwnReceive       int    `json:"receive-interval"`
	OwnTransmit      int    `json:"transmit-interval"`
	OwnMultiplier    int    `json:"detect-multiplier"`
	ControlIn        int    `json:"control-packet-input"`
	SessionDown      int    `json:"session-down"`
}

// bfdOf returns what the router shows of its session with a node, by "show bfd peers json" or "… counters json".
func bfdOf(address, what string) (*bfdPeer, error) {
	out, err := tryIn("router", "vtysh", "-c", "show bfd peers"+what+" json")
	if err != nil {
		return nil, err
	}
	var peers []bfdPeer
	if err := json.Unmarshal([]byte(out), &peers); err != nil {
		return nil, fmt.Errorf("show bfd peers: %w: %s", err, out)
	}
	for i := range peers {
		if peers[i].Peer == address {
			return &peers[i], nil
		}
	}
	return nil, fmt.Errorf("the router has no BFD session with %s: %s", address, out)
}

// routerBFD has the router watch its BGP neighbours by BFD until the test ends.
func routerBFD(t *testing.T) {
	t.Helper()
	configure(t, "router bgp 64501", "neighbor nodes bfd")
	t.Cleanup(func() { configure(t, "router bgp 64501", "no neighbor nodes bfd") })
}

// patientRouterBFD is routerBFD by a router that, like us with the profile patient, does not take a starved machine for a failure.
func patientRouterBFD(t *testing.T) {
	t.Helper()
	configure(t, "bfd", "profile patient", "detect-multiplier 20")
	t.Cleanup(func() { configure(t, "bfd", "no profile patient") })
	configure(t, "router bgp 64501", "neighbor nodes bfd", "neighbor nodes bfd profile patient")
	t.Cleanup(func() { configure(t, "router bgp 64501", "no neighbor nodes bfd") })
}

// configure enters lines at the router's console.
func configure(t *testing.T, lines ...string) {
	t.Helper()
	args := []string{"vtysh", "-c", "configure terminal"}
	for _, line := range lines {
		args = append(args, "-c", line)
	}
	in(t, "router", args...)
}

// routerPeer is the line that names the router's BFD session with a node.
func routerPeer(address string) string {
	return "peer " + address + " local-address " + routerV4 + " interface eth0"
}

// routerHas waits until the router's session with a node is as wanted.
func routerHas(t *testing.T, address string, want func(*bfdPeer) bool) {
	t.Helper()
	eventually(t, "the router's session with "+address, func() error {
		p, err := bfdOf(address, "")
		if err == nil && !want(p) {
			err = fmt.Errorf("it is %+v", p)
		}
		return err
	})
}

// bfdState is the status of a BFDSessionState.
type bfdState struct {
	State, RemoteState, Diagnostic, Peer, BGPPeer, BFDProfile, LocalAddress string
	MultiHop                                                                bool
	LocalDiscriminator, RemoteDiscriminator                                 int64
	TransmitInterval, DetectionTime, EchoTransmitInterval                   string
	RemoteReceiveInterval, RemoteTransmitInterval                           string
	RemoteDetectMultiplier                                                  int
	Counters                                                                struct{ ControlSent, ControlReceived, EchoReceived, Up, Down int }
}

// bfdStates returns the states of a node's BFD sessions.
func bfdStates(node string) ([]bfdState, error) {
	out, err := tryKubectl("", "get", "bfdsessionstates", inSystem, "--field-selector", "status.node="+node, "-o", "json")
	if err != nil {
		return nil, err
	}
	var list struct{ Items []struct{ Status bfdState } }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, err
	}
	var states []bfdState
	for _, item := range list.Items {
		states = append(states, item.Status)
	}
	return states, nil
}

// watched waits until a node's only BFD session is as wanted.
func watched(t *testing.T, node, what string, want func(bfdState) bool) bfdState {
	t.Helper()
	var state bfdState
	eventually(t, "BFD of "+node+" "+what, func() error {
		states, err := bfdStates(node)
		if err != nil {
			return err
		}
		if len(states) != 1 || !want(states[0]) {
			return fmt.Errorf("it is %+v", states)
		}
		state = states[0]
		return nil
	})
	return state
}

func isUp(s bfdState) bool { return s.State == "Up" && s.RemoteState == "Up" }

// bgpEstablished returns the node's TCP port of the router's session with it, which another session would not have.
func bgpEstablished(address string) (port int, err error) {
	out, err := tryIn("router", "vtysh", "-c", "show bgp neighbors "+address+" json")
	if err != nil {
		return 0, err
	}
	var all map[string]struct {
		BgpState string
		Port     int `json:"portForeign"`
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		return 0, fmt.Errorf("show bgp neighbors: %w: %s", err, out)
	}
	if n := all[address]; n.BgpState == "Established" {
		return n.Port, nil
	}
	return 0, fmt.Errorf("the session is not established: %s", out)
}

const (
	node1V4    = "192.168.222.11"
	bfdOnNode1 = `nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node1}}]`
)

// patient is a profile that a starved machine does not take for a failure: the router waits for 3 s and more.
const patient = `receiveInterval: 1000, transmitInterval: 300, detectMultiplier: 10`

func bfdProfile(spec string) string { return object("v1beta1", "BFDProfile", "watch", "{"+spec+"}") }

func bfdBGPPeer(more string) string {
	return object("v1beta2", "BGPPeer", "watched", `{myASN: 64500, peerASN: 64501, peerAddress: `+routerV4+`, `+bfdOnNode1+more+`}`)
}

// TestBFDProfileReachesTheRouter, field by field, while neither BFD nor BGP goes down, and is shown as the router has it.
func TestBFDProfileReachesTheRouter(t *testing.T) {
	patientRouterBFD(t)
	apply(t, bfdProfile(patient))
	apply(t, bfdBGPPeer(`, bfdProfile: watch`))
	watched(t, "node1", "up", isUp)
	var port int
	eventually(t, "BGP", func() (err error) { port, err = bgpEstablished(node1V4); return err })
	first, err := bfdOf(node1V4, "")
	if err != nil {
		t.Fatal(err)
	}

	for _, step := range []struct {
		spec string
		want func(*bfdPeer) bool
	}{
		{`{"receiveInterval": 1200}`, func(p *bfdPeer) bool {
			return p.Receive == 1200 && p.Transmit == 300 && p.Multiplier == 10 && p.Echo == 0
		}},
		{`{"transmitInterval": 400}`, func(p *bfdPeer) bool { return p.Receive == 1200 && p.Transmit == 400 && p.Multiplier == 10 }},
		{`{"detectMultiplier": 20}`, func(p *bfdPeer) bool { return p.Transmit == 400 && p.Multiplier == 20 }},
		{`{"passiveMode": true}`, func(p *bfdPeer) bool { return p.Multiplier == 20 }},
		{`{"echoMode": true, "echoInterval": 700}`, func(p *bfdPeer) bool { return p.Echo == 700 }},
		{`{"echoInterval": 800, "passiveMode": null}`, func(p *bfdPeer) bool { return p.Echo == 800 }},
		{`{"echoMode": false}`, func(p *bfdPeer) bool { return p.Echo == 0 && p.Receive == 1200 }},
		{`{"receiveInterval": null, "transmitInterval": null, "echoInterval": null}`, func(p *bfdPeer) bool { return p.Receive == 300 && p.Transmit == 300 && p.Multiplier == 20 }},
	} {
		kubectl(t, "patch", "bfdprofile", "watch", inSystem, "--type=merge", "-p", `{"spec":`+step.spec+`}`)
		eventually(t, "the router's view of "+step.spec, func() error {
			p, err := bfdOf(node1V4, "")
			if err != nil {
				return err
			}
			if p.Status != "up" || p.ID != first.ID || p.RemoteID != first.RemoteID {
				return fmt.Errorf("another session, or none: %+v, before %+v", p, first)
			}
			if !step.want(p) {
				return fmt.Errorf("%+v", p)
			}
			return nil
		})
		if strings.Contains(step.spec, "true") && strings.Contains(step.spec, "echoMode") {
			watched(t, "node1", "sends echo packets that come back", func(s bfdState) bool { return s.EchoTransmitInterval != "" && s.Counters.EchoReceived > 0 })
		}
	}

	p, err := bfdOf(node1V4, "")
	if err != nil {
		t.Fatal(err)
	}
	watched(t, "node1", "as the router has it", func(s bfdState) bool {
		return isUp(s) && s.Peer == routerV4 && s.BGPPeer == "watched" && s.BFDProfile == "watch" && s.LocalAddress == node1V4 &&
			s.LocalDiscriminator == p.RemoteID && s.RemoteDiscriminator == p.ID && s.RemoteDetectMultiplier == p.OwnMultiplier &&
			s.RemoteReceiveInterval == fmt.Sprintf("%dms", p.OwnReceive) && s.RemoteTransmitInterval == fmt.Sprintf("%dms", p.OwnTransmit) &&
			s.TransmitInterval == "300ms" && s.DetectionTime == "6s" && s.EchoTransmitInterval == "" && s.Counters.Up == 1 && s.Counters.Down == 0
	})
	if now, err := bgpEstablished(node1V4); err != nil || now != port {
		t.Errorf("BGP came from port %d, and from %d now: %v", port, now, err)
	}
	counters, err := bfdOf(node1V4, " counters")
	if err != nil || counters.SessionDown != 0 {
		t.Errorf("the router's counters %+v, %v", counters, err)
	}

	if out := kubectl(t, "get", "bfdsessionstates", inSystem, "-l", "metallb.io/node=node1,metallb.io/bgp-peer=watched"); !strings.Contains(strings.Join(strings.Fields(out), " "),
		"NAME NODE PEER VRF STATE REMOTE STATE DIAGNOSTIC AGE node1-watched-") {
		t.Errorf("table by label: %s", out)
	}
	eventually(t, "the speaker's metrics", func() error {
		samples, _, err := metrics("node1")
		for name, want := range map[string]float64{"up": 1, "up_events": 1, "down_events": 0} {
			series := `metallb_bfd_session_` + name + `{peer="192.168.222.1",vrf="default"}`
			if got, ok := samples[series]; err == nil && (!ok || got != want) {
				err = fmt.Errorf("%s is %v (%t), want %v", series, got, ok, want)
			}
		}
		if got := samples[`metallb_bfd_zebra_notifications{peer="192.168.222.1",vrf="default"}`]; err == nil && got != 1 {
			err = fmt.Errorf("BGP was notified %v times", got)
		}
		return err
	})
}

// TestBFDEndsWithItsReference: the router's session, told that it ends on purpose, is not taken for a failure by us, and BGP
// stays up where the router does likewise.
func TestBFDEndsWithItsReference(t *testing.T) {
	routerBFD(t)
	apply(t, bfdProfile(patient))
	apply(t, bfdBGPPeer(`, bfdProfile: watch`))
	watched(t, "node1", "up", isUp)
	var port int
	eventually(t, "BGP", func() (err error) { port, err = bgpEstablished(node1V4); return err })

	t.Cleanup(func() { configure(t, "bfd", "no "+routerPeer(node1V4)) })
	configure(t, "bfd", routerPeer(node1V4), "shutdown")
	watched(t, "node1", "shut by the router", func(s bfdState) bool {
		return s.State == "Down" && s.RemoteState == "AdminDown" && s.Diagnostic == "neighbor signaled session down"
	})
	if _, err := tryKubectl("", "delete", "bfdprofile", inSystem, "watch"); err == nil || !strings.Contains(err.Error(), "used by BGPPeer watched") {
		t.Errorf("delete of a profile in use: %v", err)
	}
	kubectl(t, "patch", "bgppeer", "watched", inSystem, "--type=json", "-p", `[{"op": "remove", "path": "/spec/bfdProfile"}]`)
	eventually(t, "BFD to end", func() error {
		states, err := bfdStates("node1")
		if err == nil && len(states) > 0 {
			return fmt.Errorf("%+v", states)
		}
		return err
	})
	eventually(t, "the end of its metrics", func() error {
		samples, _, err := metrics("node1")
		for series := range samples {
			if strings.HasPrefix(series, "metallb_bfd_session_up{") {
				return fmt.Errorf("there is %s", series)
			}
		}
		return err
	})
	before, err := bfdOf(node1V4, " counters")
	if err != nil {
		t.Fatal(err)
	}
	always(t, "no BFD packets, and BGP up", 2*time.Second, func() error {
		after, err := bfdOf(node1V4, " counters")
		if err != nil {
			return err
		}
		if after.ControlIn > before.ControlIn {
			return fmt.Errorf("the router got %d packets, %d before", after.ControlIn, before.ControlIn)
		}
		now, err := bgpEstablished(node1V4)
		if err == nil && now != port {
			return fmt.Errorf("BGP came from port %d, and from %d now", port, now)
		}
		return err
	})
	kubectl(t, "delete", "bfdprofile", inSystem, "watch")
}

// TestBFDMissesACable long before BGP would, at both ends, and says why; and both come back by themselves.
func TestBFDMissesACable(t *testing.T) {
	routerBFD(t)
	apply(t, bfdProfile(`receiveInterval: 300, transmitInterval: 300, detectMultiplier: 3`))
	apply(t, object("v1beta2", "BGPPeer", "watched", `{myASN: 64500, peerASN: 64501, peerAddress: `+routerV4+`, bfdProfile: watch, holdTime: 90s}`))
	apply(t, object("v1beta1", "IPAddressPool", "watched", `{addresses: [198.51.77.0/28], autoAssign: false}`))
	apply(t, object("v1beta1", "BGPAdvertisement", "watched", `{ipAddressPools: [watched]}`))
	apply(t, service("watched", "watched", ""))
	address := addresses(t, "watched", 1)[0]
	for i := range nodes {
		watched(t, fmt.Sprintf("node%d", i+1), "up", isUp)
	}
	announcedBy(t, address, nodes)

	t.Cleanup(func() { _, _ = tryLab("heal", "node1") })
	lab(t, "cut", "node1", "--link", "lan")
	cut := time.Now()
	announcedBy(t, address, nodes-1)
	t.Logf("withdrawn %s after the cut; detection takes 900ms", time.Since(cut).Round(time.Millisecond))
	watched(t, "node1", "down", func(s bfdState) bool { return s.State == "Down" && s.Diagnostic == "control detection time expired" })
	eventually(t, "the BGPSessionState", func() error {
		out, err := tryKubectl("", "get", "bgpsessionstates", inSystem, "--field-selector", "status.node=node1", "-o", "jsonpath={.items[*].status.bgpStatus} {.items[*].status.bfdStatus} {.items[*].status.lastError.message}")
		if err == nil && (strings.HasPrefix(out, "Established") || !strings.Contains(out, " down ")) {
			return fmt.Errorf("%s", out)
		}
		return err
	})
	eventually(t, "the speaker's log saying that BFD ended the session", func() error {
		log, err := tryLab("logs", "speaker/node1")
		if err == nil && (!strings.Contains(log, `"event":"bfdSessionDown"`) || !strings.Contains(log, "BFD Down (control detection time expired)")) {
			err = fmt.Errorf("it says:\n%s", log)
		}
		return err
	})
	lab(t, "heal", "node1")
	announcedBy(t, address, nodes)
	watched(t, "node1", "up again", isUp)
}

// TestBFDOverIPv6, and its neighbour as MetalLB names it.
func TestBFDOverIPv6(t *testing.T) {
	configure(t, "router bgp 64501", "neighbor nodes-v6 bfd")
	t.Cleanup(func() { configure(t, "router bgp 64501", "no neighbor nodes-v6 bfd") })
	apply(t, bfdProfile(patient))
	apply(t, object("v1beta2", "BGPPeer", "watched", `{myASN: 64500, peerASN: 64501, peerAddress: "`+routerV6+`", bfdProfile: watch, `+bfdOnNode1+`}`))
	state := watched(t, "node1", "up", isUp)
	if state.Peer != "fd00-0222-0000-0000-0000-0000-0000-0001" || state.LocalAddress != "fd00:222::11" || state.MultiHop {
		t.Errorf("the session is %+v", state)
	}
	routerHas(t, "fd00:222::11", func(p *bfdPeer) bool { return p.Status == "up" && !p.MultiHop })
}

// TestBFDOverSeveralHops is what a peer with ebgpMultiHop has, at both ends.
func TestBFDOverSeveralHops(t *testing.T) {
	configure(t, "router bgp 64501", "neighbor nodes ebgp-multihop 5")
	t.Cleanup(func() { configure(t, "router bgp 64501", "no neighbor nodes ebgp-multihop") })
	routerBFD(t)
	apply(t, bfdProfile(patient+", minimumTtl: 250"))
	apply(t, bfdBGPPeer(`, bfdProfile: watch, ebgpMultiHop: true`))
	if state := watched(t, "node1", "up", isUp); !state.MultiHop {
		t.Errorf("the session is %+v", state)
	}
	routerHas(t, node1V4, func(p *bfdPeer) bool { return p.Status == "up" && p.MultiHop })
}

// TestBFDSaysAdminDownBeforeARestart, and the router goes on forwarding where the session has graceful restart.
func TestBFDSaysAdminDownBeforeARestart(t *testing.T) {
	routerBFD(t)
	apply(t, bfdProfile(patient))
	apply(t, bfdBGPPeer(`, bfdProfile: watch, enableGracefulRestart: true`))
	apply(t, object("v1beta1", "IPAddressPool", "watched", `{addresses: [198.51.78.0/28], autoAssign: false}`))
	apply(t, object("v1beta1", "BGPAdvertisement", "watched", `{ipAddressPools: [watched]}`))
	apply(t, service("watched", "watched", ""))
	address := addresses(t, "watched", 1)[0]
	announcedBy(t, address, 1)
	watched(t, "node1", "up", isUp)

	t.Cleanup(func() { _, _ = tryLab("start", "speaker/node1") })
	lab(t, "stop", "speaker/node1")
	routerHas(t, node1V4, func(p *bfdPeer) bool { return p.Status == "down" && p.RemoteDiagnostic == "administratively down" })
	always(t, "the router forwards", 2*time.Second, func() error {
		hops, err := nextHops(address)
		if err == nil && len(hops) != 1 {
			return fmt.Errorf("paths by %v", hops)
		}
		return err
	})
	lab(t, "start", "speaker/node1")
	watched(t, "node1", "up again", isUp)
	eventually(t, "BGP again", func() error { _, err := bgpEstablished(node1V4); return err })
	announcedBy(t, address, 1)
}

// TestBFDOfANodeThatIsAwayIsUnknown, also for those who watch.
func TestBFDOfANodeThatIsAwayIsUnknown(t *testing.T) {
	apply(t, bfdProfile(patient+", passiveMode: true"))
	apply(t, bfdBGPPeer(`, bfdProfile: watch`))
	// Nobody begins: the router does not know of it.
	state := watched(t, "node1", "waiting for the router", func(s bfdState) bool { return s.State == "Down" })
	if state.Counters.ControlSent != 0 {
		t.Errorf("a passive session has sent %d packets", state.Counters.ControlSent)
	}
	eventually(t, "BGP without BFD", func() error { _, err := bgpEstablished(node1V4); return err })
	t.Cleanup(func() { _, _ = tryLab("start", "speaker/node1") })
	lab(t, "kill", "speaker/node1")
	kubectl(t, "wait", "--for=jsonpath={.status.state}=Unknown", "bfdsessionstates", inSystem, "-l", "metallb.io/node=node1", "--timeout=60s")
	lab(t, "start", "speaker/node1")
	watched(t, "node1", "waiting for the router again", func(s bfdState) bool { return s.State == "Down" })
	states, err := bfdStates("node2")
	if err != nil || slices.ContainsFunc(states, func(s bfdState) bool { return s.BGPPeer == "watched" }) {
		t.Errorf("a node without the session: %+v, %v", states, err)
	}
}
