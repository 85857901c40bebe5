package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sessionState is what the tests read of a BGPSessionState.
type sessionState struct {
	Metadata struct{ Labels map[string]string }
	Status   struct {
		BGPStatus, BFDStatus, Peer, BGPPeer, PeerRouterID, RouterID, LocalAddress, HoldTime, KeepaliveTime string
		LocalASN, PeerASN                                                                                  int64
		Families                                                                                           []string
		PrefixesSent                                                                                       struct{ IPv4, IPv6 int }
		LastError                                                                                          *struct {
			Message, SentBy string
			Code, Subcode   int
		}
		Counters struct {
			Established, Lost int
			Sent, Received    struct{ Opens, Updates, Keepalives, Notifications, Total int }
		}
	}
}

// bgpState waits until the state of a node's session with a BGPPeer is as is says, and returns it.
func bgpState(t *testing.T, node, peer string, is func(*sessionState) bool) *sessionState {
	t.Helper()
	var got sessionState
	eventually(t, "BGPSessionState of "+node+" and "+peer, func() error {
		out, err := tryKubectl("", "get", "bgpsessionstates", inSystem, "--field-selector", "status.node="+node+",status.bgpPeer="+peer, "-o", "json")
		if err != nil {
			return err
		}
		var list struct{ Items []sessionState }
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			return err
		}
		if len(list.Items) != 1 || !is(&list.Items[0]) {
			return fmt.Errorf("it is %s", out)
		}
		got = list.Items[0]
		return nil
	})
	return &got
}

func sessionIsUp(s *sessionState) bool { return s.Status.BGPStatus == "Established" }

// frrNeighbour is what FRR says of a neighbour in "show bgp neighbors json"; our answers have the same keys.
type frrNeighbour struct {
	BgpState, RemoteRouterId, LocalRouterId               string
	RemoteAs, LocalAs                                     int64
	BgpTimerHoldTimeMsecs, BgpTimerKeepAliveIntervalMsecs int
	MessageStats                                          struct{ OpensSent, OpensRecv, UpdatesSent, UpdatesRecv, NotificationsSent int }
	ConnectionsEstablished                                int
}

func neighbours(t *testing.T, out string) map[string]frrNeighbour {
	t.Helper()
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	neighbours := map[string]frrNeighbour{}
	for name, raw := range all {
		var n frrNeighbour
		if json.Unmarshal(raw, &n) == nil { // FRR has other things beside them
			neighbours[name] = n
		}
	}
	return neighbours
}

// vtysh runs the speaker by the name of FRR's shell, on a node.
func vtysh(t *testing.T, node, command string) (string, error) {
	t.Helper()
	link := filepath.Join(t.TempDir(), "vtysh")
	if err := os.Symlink(filepath.Join(bin, "speaker"), link); err != nil {
		t.Fatal(err)
	}
	return tryIn(node, link, "--vty_socket", "/run/ingot/"+node+"/speaker.sock", "-c", command)
}

const node1 = "192.168.222.11"

// TestSessionsAndAnnouncementsAreServed as they are on the router, at no cost to etcd.
func TestSessionsAndAnnouncementsAreServed(t *testing.T) {
	apply(t, bgp(31))
	apply(t, service("seen", "pool31", dualStack))
	for _, address := range addresses(t, "seen", 2) {
		announcedBy(t, address, nodes)
	}
	s := bgpState(t, "node1", "peer31", func(s *sessionState) bool {
		return sessionIsUp(s) && s.Status.Counters.Sent.Updates > 0 && s.Status.PrefixesSent.IPv4 > 0
	})
	frr := neighbours(t, in(t, "router", "vtysh", "-c", "show bgp neighbors "+node1+" json"))[node1]
	if s.Status.RouterID != frr.RemoteRouterId || s.Status.PeerRouterID != frr.LocalRouterId || s.Status.LocalASN != frr.RemoteAs || s.Status.PeerASN != frr.LocalAs ||
		s.Status.LocalAddress != node1 || s.Status.Peer != routerV4 || s.Status.BFDStatus != "N/A" ||
		s.Status.HoldTime != fmt.Sprintf("%ds", frr.BgpTimerHoldTimeMsecs/1000) || s.Status.KeepaliveTime != fmt.Sprintf("%ds", frr.BgpTimerKeepAliveIntervalMsecs/1000) ||
		s.Status.PrefixesSent.IPv4 != 1 || !slices.Equal(s.Status.Families, []string{"ipv4-unicast"}) {
		t.Errorf("we say %+v, FRR says %+v", s, frr)
	}
	if got := s.Metadata.Labels; got["frrk8s.metallb.io/peer"] != routerV4 || got["metallb.io/node"] != "node1" || got["metallb.io/bgp-peer"] != "peer31" {
		t.Errorf("labels %v", got)
	}
	eventually(t, "ServiceBGPStatus of each node", func() error {
		out, err := tryKubectl("", "get", "servicebgpstatuses", inSystem, "-l", "metallb.io/service-name=seen", "--field-selector", "status.peers=peer31-v6",
			"-o", `jsonpath={range .items[*]}{.status.node} {.status.serviceNamespace} {.status.state} {.status.peers}{"\n"}{end}`)
		want := ""
		for i := range nodes {
			want += fmt.Sprintf("node%d default Announced [\"peer31\",\"peer31-v6\"]\n", i+1)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		slices.Sort(lines)
		if err == nil && strings.Join(lines, "\n")+"\n" != want {
			err = fmt.Errorf("got %s, want %s", out, want)
		}
		return err
	})
	table := strings.Join(strings.Fields(strings.SplitN(kubectl(t, "get", "bgpsessionstates", inSystem), "\n", 2)[0]), " ")
	if table != "NAME NODE PEER VRF BGP BFD AGE" {
		t.Errorf("columns %s", table)
	}
	if table := strings.SplitN(kubectl(t, "get", "servicebgpstatuses", inSystem), "\n", 2)[0]; strings.Join(strings.Fields(table), " ") != "NAME NODE SERVICE NAME SERVICE NAMESPACE" {
		t.Errorf("columns %s", table)
	}

	t.Cleanup(func() { _, _ = tryLab("start", "speaker/node1") }) // it may run
	costsNothing(t, "sessions that come and go", func() {
		in(t, "router", "vtysh", "-c", "clear bgp "+node1)
		s := bgpState(t, "node1", "peer31", func(s *sessionState) bool {
			return sessionIsUp(s) && s.Status.Counters.Lost > 0 && s.Status.Counters.Established > 1 && s.Status.LastError != nil
		})
		if e := s.Status.LastError; e.Code == 6 && (e.SentBy != "Peer" || e.Subcode != 2 && e.Subcode != 4) {
			t.Errorf("the router cleared the session: %+v", e)
		}
		lab(t, "kill", "speaker/node1")
		bgpState(t, "node1", "peer31", func(s *sessionState) bool { return s.Status.BGPStatus == "Unknown" })
		eventually(t, "the ServiceBGPStatus of a node without speaker", func() error {
			out, err := tryKubectl("", "get", "servicebgpstatuses", inSystem, "-l", "metallb.io/service-name=seen,metallb.io/node=node1", "-o", "jsonpath={.items[*].status.state}")
			if err == nil && out != "Unknown" {
				err = fmt.Errorf("it is %q", out)
			}
			return err
		})
		lab(t, "start", "speaker/node1")
		bgpState(t, "node1", "peer31", sessionIsUp)
	})
	kubectl(t, "delete", "bgppeer", "peer31", inSystem)
	eventually(t, "what was said of a deleted peer being gone", func() error {
		out, err := tryKubectl("", "get", "bgpsessionstates", inSystem, "--field-selector", "status.bgpPeer=peer31", "-o", "name")
		if err == nil && out != "" {
			return fmt.Errorf("still there: %s", out)
		}
		if err != nil {
			return err
		}
		metrics, err := tryIn("node1", "curl", "-sS", "http://127.0.0.1:7472/metrics")
		if err == nil && strings.Contains(metrics, `peer="`+routerV4+`:179"`) {
			return fmt.Errorf("its metrics are still there")
		}
		return err
	})
}

// TestShowAgreesWithFRR: the commands of MetalLB's troubleshooting chapter, by each of the ways to ask, beside the router.
func TestShowAgreesWithFRR(t *testing.T) {
	apply(t, bgp(32))
	apply(t, service("shown", "pool32", dualStack))
	both := addresses(t, "shown", 2)
	for _, address := range both {
		announcedBy(t, address, nodes)
	}
	ask := func(command string) string {
		t.Helper()
		var out string
		eventually(t, command+" by either way", func() (err error) { // between which something may change
			if out, err = vtysh(t, "node1", "show "+command); err != nil {
				return err
			}
			args := append([]string{filepath.Join(bin, "speaker"), "show", "--grpc-socket", "/run/ingot/node1/speaker.sock"}, strings.Fields(command)...)
			same, err := tryIn("node1", args...)
			if err == nil && strings.Count(same, "\n") != strings.Count(out, "\n") {
				err = fmt.Errorf("vtysh says\n%s\nspeaker show says\n%s", out, same)
			}
			return err
		})
		return out
	}
	config := ask("running-config")
	for _, line := range []string{"router bgp 64500", " neighbor " + routerV4 + " remote-as 64501", "  network " + both[0] + "/32", "  network " + both[1] + "/128",
		"  neighbor " + routerV6 + " activate"} {
		if !strings.Contains(config, line+"\n") {
			t.Errorf("no %q in the running configuration:\n%s", line, config)
		}
	}
	eventually(t, "the same numbers on both sides", func() error {
		ours := neighbours(t, ask("bgp neighbor "+routerV4+" json"))[routerV4]
		theirs := neighbours(t, in(t, "router", "vtysh", "-c", "show bgp neighbors "+node1+" json"))[node1]
		if ours.BgpState != theirs.BgpState || ours.LocalRouterId != theirs.RemoteRouterId || ours.LocalAs != theirs.RemoteAs || ours.RemoteAs != theirs.LocalAs ||
			ours.BgpTimerHoldTimeMsecs != theirs.BgpTimerHoldTimeMsecs || ours.MessageStats.UpdatesSent != theirs.MessageStats.UpdatesRecv {
			return fmt.Errorf("we say %+v, FRR says %+v", ours, theirs)
		}
		return nil
	})
	for command, want := range map[string]string{
		"bgp summary":                               routerV4,
		"bgp ipv4 unicast summary":                  routerV4,
		"bgp vrf all summary":                       routerV6,
		"ip bgp":                                    "*> " + both[0] + "/32",
		"bgp ipv6":                                  both[1] + "/128",
		"bgp ipv4 unicast " + both[0] + "/32":       "  Advertised to non peer-group peers:\n  " + routerV4 + "\n",
		"bgp ipv6 unicast " + both[1]:               "  Advertised to non peer-group peers:\n  " + routerV6 + "\n",
		"bgp neighbors " + routerV4 + " advertised": both[0],
		"bfd peers brief":                           "Session count: 0",
		"bgp ipv4 unicast 192.0.2.0/24":             "% Network not in table",
	} {
		if out := ask(command); !strings.Contains(out, want) {
			t.Errorf("show %s: no %q in\n%s", command, want, out)
		}
	}
	if out, err := vtysh(t, "node1", "show nonsense"); err == nil || !strings.Contains(err.Error(), "% Unknown command: show nonsense") {
		t.Errorf("nonsense: %s, %v", out, err)
	}
	grpcurl := func(request, method string) string {
		return in(t, "node1", filepath.Join(bin, "grpcurl"), "-plaintext", "-d", request, "127.0.0.1:7474", "ingot.v1.SpeakerService/"+method)
	}
	if out := grpcurl(`{"prefix": "`+both[0]+`"}`, "ListRoutes"); !strings.Contains(out, `"advertisedTo": [`) || !strings.Contains(out, both[0]+"/32") {
		t.Errorf("ListRoutes: %s", out)
	}
	if out := grpcurl("{}", "GetRunningConfig"); !strings.Contains(out, "router bgp 64500") {
		t.Errorf("GetRunningConfig: %s", out)
	}
}

// TestPasswordsAreNotShown by any of the ways to ask.
func TestPasswordsAreNotShown(t *testing.T) {
	const secret = "n0t-to-be-seen"
	apply(t, object("v1beta2", "BGPPeer", "protected", `{myASN: 64500, peerASN: 64501, peerAddress: 192.168.222.98, password: `+secret+`}`))
	eventually(t, "the running configuration saying that there is a password", func() error {
		out, err := vtysh(t, "node1", "show running-config")
		if err == nil && !strings.Contains(out, "password <retracted>") {
			err = errors.New(out)
		}
		return err
	})
	bgpState(t, "node1", "protected", func(s *sessionState) bool { return s.Status.BGPStatus != "" })
	var shown []string
	for _, command := range []string{"show running-config", "show bgp neighbors json", "show bgp summary"} {
		out, err := vtysh(t, "node1", command)
		if err != nil {
			t.Fatal(err)
		}
		shown = append(shown, out)
	}
	for _, method := range []string{"GetRunningConfig", "ListSessions", "GetState"} {
		shown = append(shown, in(t, "node1", filepath.Join(bin, "grpcurl"), "-plaintext", "127.0.0.1:7474", "ingot.v1.SpeakerService/"+method))
	}
	shown = append(shown, kubectl(t, "get", "bgpsessionstates", inSystem, "-o", "yaml"), in(t, "node1", "curl", "-sS", "http://127.0.0.1:7472/metrics"),
		lab(t, "logs", "speaker/node1"))
	for _, out := range shown {
		if strings.Contains(out, secret) {
			t.Errorf("it shows the password:\n%s", out)
		}
	}
}

// TestSessionMetrics: MetalLB's names, types and labels on each node, and go-grpc-prometheus on both ends of the stream.
func TestSessionMetrics(t *testing.T) {
	apply(t, bgp(33))
	apply(t, service("counted", "pool33", ""))
	address := addresses(t, "counted", 1)[0]
	announcedBy(t, address, nodes)
	eventually(t, "metrics of the session", func() error {
		out, err := tryIn("node1", "curl", "-sS", "http://127.0.0.1:7472/metrics")
		if err != nil {
			return err
		}
		labels := `{peer="` + routerV4 + `:179",vrf="default"} `
		for _, want := range []string{
			"metallb_bgp_session_up" + labels + "1\n", "metallb_bgp_announced_prefixes_total" + labels + "1\n", "metallb_bgp_pending_prefixes_total" + labels + "1\n",
			"# TYPE metallb_bgp_updates_total counter\n", "# TYPE metallb_bgp_session_up gauge\n",
			"metallb_bgp_updates_total" + labels, "metallb_bgp_updates_total_received" + labels, "metallb_bgp_opens_sent" + labels, "metallb_bgp_opens_received" + labels,
			"metallb_bgp_notifications_sent" + labels, "metallb_bgp_keepalives_sent" + labels, "metallb_bgp_keepalives_received" + labels,
			"metallb_bgp_route_refresh_sent" + labels, "metallb_bgp_total_sent" + labels, "metallb_bgp_total_received" + labels,
			`metallb_speaker_announced{ip="` + address + `",node="node1",protocol="bgp",service="default/counted"} 1`,
			`grpc_client_started_total{grpc_method="Connect"`,
		} {
			if !strings.Contains(out, want) {
				return fmt.Errorf("no %q in %s", want, out)
			}
		}
		return nil
	})
	apiserver := kubectl(t, "get", "pods", inSystem, "-l", "component=apiserver", "-o", "jsonpath={.items[0].status.podIP}")
	if out := in(t, "control", "curl", "-sS", "http://"+apiserver+":7472/metrics"); !strings.Contains(out, `grpc_server_started_total{component="dispatch",grpc_method="Connect",grpc_service="ingot.v1.Dispatch"`) {
		t.Errorf("the apiserver does not count its streams")
	}
}
