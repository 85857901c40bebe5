package frr

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

var update = flag.Bool("update", false, "write what is printed now into testdata")

// example is the node of the troubleshooting chapter of MetalLB's documentation, and a third neighbour in a VRF.
func example() *Facts {
	now := time.Unix(1_700_000_000, 0)
	ago := func(d time.Duration) int64 { return now.Add(-d).UnixMilli() }
	bfd := &ingotv1.BfdParameters{Profile: "doc-example-bfd-profile-full", ReceiveIntervalMs: 35, TransmitIntervalMs: 35, DetectMultiplier: 3,
		EchoMode: true, EchoIntervalMs: 35, PassiveMode: true, MinimumTtl: 10}
	both := []ingotv1.Family{ipv4, ipv6}
	return &Facts{
		Node: "node1", Version: "v1", Now: now, Protected: []string{"tor1"},
		Configured: []*ingotv1.BgpSession{
			{Peer: "tor2", MyAsn: 64500, PeerAsn: 64500, Address: "10.0.2.4", Port: 179, Families: both, Bfd: bfd,
				HoldTimeMs: proto.Uint32(15000), KeepaliveTimeMs: proto.Uint32(5000), Password: "s3cr3t"},
			{Peer: "tor1", MyAsn: 64500, PeerAsn: 64500, Address: "10.0.2.3", Port: 179, Families: both, Bfd: bfd,
				HoldTimeMs: proto.Uint32(15000), KeepaliveTimeMs: proto.Uint32(5000), RouterId: "10.0.1.2"},
			{Peer: "red", MyAsn: 64500, DynamicAsn: "external", Interface: "eth1", Vrf: "red", LocalAsn: 64510, EbgpMultiHop: true,
				GracefulRestart: true, SourceAddress: "fe80::1", ConnectTimeMs: proto.Uint32(7000)},
		},
		Sessions: []*ingotv1.SessionReport{
			{Peer: "tor1", Address: "10.0.2.3", State: "Established", SinceMs: ago(32*time.Minute + 2*time.Second), RouterId: "10.0.1.2", RemoteRouterId: "10.0.2.3",
				LocalAddress: "10.0.1.2", LocalAsn: 64500, RemoteAsn: 64500, Families: []ingotv1.Family{ipv4}, HoldTimeMs: 15000, KeepaliveTimeMs: 5000,
				Advertised: 1, AdvertisedIpv4: 1, LastError: "the peer closed the session: cease: administrative reset (code 6, subcode 4)",
				LastErrorCode: 6, LastErrorSubcode: 4, LastErrorReceived: true, LastErrorMs: ago(33 * time.Minute),
				Counters: &ingotv1.SessionCounters{OpensSent: 2, OpensReceived: 2, UpdatesSent: 3, UpdatesReceived: 1, KeepalivesSent: 384, KeepalivesReceived: 383,
					NotificationsReceived: 1, TotalSent: 389, TotalReceived: 387, Established: 2, Lost: 1, PrefixesRefused: 4},
				Notices: []string{"the peer does not carry IPv6 on this session: it gets no IPv6 prefixes"}},
			{Peer: "tor2", Address: "10.0.2.4", State: "Active", SinceMs: ago(time.Minute), RouterId: "10.0.1.2", LocalAsn: 64500, RemoteAsn: 64500,
				LastError: "connect: no route to host", LastErrorMs: ago(time.Second), Counters: &ingotv1.SessionCounters{}},
			{Peer: "red", Address: "fe80::2", Interface: "eth1", Vrf: "red", State: "Established", SinceMs: ago(8 * 24 * time.Hour), RouterId: "10.0.1.9", RemoteRouterId: "10.9.9.9",
				LocalAsn: 64510, RemoteAsn: 64520, Families: both, HoldTimeMs: 90000, KeepaliveTimeMs: 30000, Advertised: 1, AdvertisedIpv6: 1,
				Counters: &ingotv1.SessionCounters{Established: 1}},
		},
		Routes: []*ingotv1.Route{
			{Route: &ingotv1.BgpRoute{Prefix: "203.0.113.200/30", Services: []*ingotv1.ServiceRef{{Namespace: "default", Name: "web", Address: "203.0.113.201"}},
				Advertisements: []*ingotv1.BgpAdvertisement{{Peers: []string{"tor1"}, LocalPref: 200, Communities: []uint32{0xFFFFFF01, 64500<<16 | 7},
					LargeCommunities: []*ingotv1.LargeCommunity{{GlobalAdministrator: 64500, LocalData1: 1, LocalData2: 2}}},
					{Peers: []string{"tor2"}, Med: proto.Uint32(5), AsPathPrepend: 2}}},
				Status: ingotv1.ItemResult_STATUS_APPLIED, AdvertisedTo: []string{"tor1"}},
			{Route: &ingotv1.BgpRoute{Prefix: "fc00:f853:ccd:e799::/124", Advertisements: []*ingotv1.BgpAdvertisement{{Peers: []string{"tor1", "tor2", "red"}}}},
				Status: ingotv1.ItemResult_STATUS_PENDING, Reason: "peer tor1: the session does not carry it", AdvertisedTo: []string{"red"}},
		},
		BFD: []*ingotv1.BfdReport{
			{Peer: "tor1", Address: "10.0.2.3", LocalAddress: "10.0.1.2", Profile: "doc-example-bfd-profile-full", State: "Up", RemoteState: "Up", SinceMs: ago(63 * time.Second),
				LocalDiscriminator: 3909139637, RemoteDiscriminator: 7, TransmitIntervalUs: 35000, DetectionTimeUs: 105000, RemoteReceiveIntervalUs: 35000,
				RemoteTransmitIntervalUs: 35000, RemoteDetectMultiplier: 3, RemoteEchoIntervalUs: 50000, EchoTransmitIntervalUs: 35000,
				Counters: &ingotv1.BfdCounters{ControlReceived: 10, ControlSent: 11, EchoReceived: 12, EchoSent: 13, UpEvents: 1}},
			{Peer: "tor2", Address: "10.0.2.4", Profile: "doc-example-bfd-profile-full", State: "Down", SinceMs: ago(time.Hour), LocalDiscriminator: 8,
				Diagnostic: "control detection time expired", MultiHop: true, Counters: &ingotv1.BfdCounters{}},
		},
	}
}

// TestGolden compares what is printed with testdata, which was read beside what FRR prints.
func TestGolden(t *testing.T) {
	for _, command := range []string{
		"show running-config", "show bgp summary", "show bgp summary json", "show bgp ipv4 unicast summary json", "show bgp vrf all summary",
		"show bgp neighbors", "show bgp vrf red neighbors json", "show bgp neighbors 10.0.2.3 json", "show bgp neighbors 10.0.2.9",
		"show bgp ipv4", "show bgp ipv4 json", "show bgp vrf all ipv6", "show bgp ipv4 unicast 203.0.113.200/30", "show bgp ipv4 unicast 203.0.113.200/30 json",
		"show bgp ipv6 unicast fc00:f853:ccd:e799::1", "show bgp ipv4 unicast 192.0.2.0/24", "show bgp neighbors 10.0.2.4 advertised-routes",
		"show bfd peers", "show bfd peers json", "show bfd peers brief", "show bfd peers counters", "show bfd peers counters json", "show version",
	} {
		c, err := Parse(command)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := Print(&out, c, example()); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "s3cr3t") {
			t.Errorf("%s shows a password", command)
		}
		if c.json && !json.Valid(out.Bytes()) {
			t.Errorf("%s is no JSON:\n%s", command, out.String())
		}
		file := filepath.Join("testdata", strings.NewReplacer(" ", "_", "/", "-", ":", ".").Replace(command)+".txt")
		if *update {
			if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", command, diff)
		}
	}
}

func TestUptimeIsWrittenAsFRRDoes(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "00:00:00", 0: "00:00:00", 32*time.Minute + 2*time.Second: "00:32:02", 23*time.Hour + 59*time.Minute: "23:59:00",
		50*time.Hour + 3*time.Minute: "2d02h03m", 8 * 24 * time.Hour: "01w1d00h",
	} {
		if got := uptime(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

func TestWithoutSessionsNeighborsAreAskedInVain(t *testing.T) {
	for line, want := range map[string]string{
		"show bgp neighbors":         "% BGP instance not found: this node keeps no BGP session\n",
		"show bgp vrf red neighbors": "% BGP instance not found: no BGP session in VRF red\n",
	} {
		c, err := Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := (&Facts{}).neighbors(c); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}
