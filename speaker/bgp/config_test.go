package bgp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unique"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// plain is the smallest session that is accepted; with changes it.
func plain(with ...func(*ingotv1.BgpSession)) *ingotv1.BgpSession {
	s := &ingotv1.BgpSession{Peer: "tor1", MyAsn: 64500, PeerAsn: 64512, Address: "192.0.2.1"}
	for _, f := range with {
		f(s)
	}
	return s
}

func TestParseSessionFillsInDefaults(t *testing.T) {
	got, err := parseSession(plain())
	if err != nil {
		t.Fatal(err)
	}
	want := sessionConfig{
		peer: "tor1", myASN: 64500, peerASN: 64512, address: netip.MustParseAddr("192.0.2.1"), port: 179,
		hold: 90 * time.Second, keepalive: 30 * time.Second, connectRetry: 3 * time.Second, ipv4: true,
		password: unique.Make(""),
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sessionConfig{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b unique.Handle[string]) bool { return a == b })); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
}

func TestParseSessionTakesTheKeepaliveFromTheHoldTime(t *testing.T) {
	got, err := parseSession(plain(func(s *ingotv1.BgpSession) { s.HoldTimeMs = proto.Uint32(10_000) }))
	if err != nil {
		t.Fatal(err)
	}
	if got.hold != 10*time.Second || got.keepalive != 3*time.Second {
		t.Errorf("hold %s, keepalive %s; want 10s, 3s", got.hold, got.keepalive)
	}
}

func TestNoHoldTimeIsTheLongestThereIs(t *testing.T) {
	for name, tt := range map[string]struct {
		keepalive *uint32
		want      time.Duration
	}{
		"nothing said of keepalives": {nil, 21845 * time.Second},
		"none":                       {proto.Uint32(0), 21845 * time.Second},
		"some":                       {proto.Uint32(5000), 5 * time.Second},
	} {
		got, err := parseSession(plain(func(s *ingotv1.BgpSession) { s.HoldTimeMs, s.KeepaliveTimeMs = proto.Uint32(0), tt.keepalive }))
		if err != nil || !got.noHold || got.hold != 65535*time.Second || got.keepalive != tt.want {
			t.Errorf("%s: %+v, %v; want keepalives every %s", name, got, err, tt.want)
		}
	}
}

func TestParseSessionRefuses(t *testing.T) {
	tests := map[string]struct {
		with func(*ingotv1.BgpSession)
		want string
	}{
		"no peer name":       {func(s *ingotv1.BgpSession) { s.Peer = "" }, "no peer name"},
		"interface name":     {func(s *ingotv1.BgpSession) { s.Address, s.Interface = "", "sixteen-letters-" }, "at most 15 characters"},
		"both":               {func(s *ingotv1.BgpSession) { s.Interface = "eth1" }, "both an address and an interface"},
		"unnumbered source":  {func(s *ingotv1.BgpSession) { s.Address, s.Interface, s.SourceAddress = "", "eth1", "192.0.2.1" }, "between link-local addresses"},
		"my ASN":             {func(s *ingotv1.BgpSession) { s.MyAsn = 0 }, "my AS number is 0"},
		"peer ASN":           {func(s *ingotv1.BgpSession) { s.PeerAsn = 0 }, "peer's AS number is 0"},
		"dynamic ASN":        {func(s *ingotv1.BgpSession) { s.DynamicAsn = "both" }, `"both" is neither internal nor external`},
		"address":            {func(s *ingotv1.BgpSession) { s.Address = "192.0.2" }, `peer address "192.0.2"`},
		"zone":               {func(s *ingotv1.BgpSession) { s.Address = "fe80::1%eth0" }, "a zone has no place in it"},
		"source":             {func(s *ingotv1.BgpSession) { s.SourceAddress = "x" }, `source address "x"`},
		"source family":      {func(s *ingotv1.BgpSession) { s.SourceAddress = "2001:db8::1" }, "different families"},
		"router ID":          {func(s *ingotv1.BgpSession) { s.RouterId = "2001:db8::1" }, `router ID "2001:db8::1"`},
		"router ID zero":     {func(s *ingotv1.BgpSession) { s.RouterId = "0.0.0.0" }, `router ID "0.0.0.0"`},
		"port":               {func(s *ingotv1.BgpSession) { s.Port = 65536 }, "port 65536"},
		"hold time 2 s":      {func(s *ingotv1.BgpSession) { s.HoldTimeMs = proto.Uint32(2000) }, "hold time 2s"},
		"keepalive too long": {func(s *ingotv1.BgpSession) { s.KeepaliveTimeMs = proto.Uint32(91_000) }, "keepalive time 1m31s"},
		"family":             {func(s *ingotv1.BgpSession) { s.Families = []ingotv1.Family{7} }, "address family 7"},
		"password":           {func(s *ingotv1.BgpSession) { s.Password = strings.Repeat("p", 81) }, "the password has 81 bytes"},
		"VRF":                {func(s *ingotv1.BgpSession) { s.Vrf = "sixteen-letters-" }, `VRF "sixteen-letters-"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parseSession(plain(tt.with))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestPasswordsAreNeverPrinted(t *testing.T) {
	cfg, err := parseSession(plain(func(s *ingotv1.BgpSession) { s.Password = "hunter2" }))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if out := fmt.Sprintf(verb, cfg); strings.Contains(out, "hunter2") {
			t.Errorf("%s shows the password: %s", verb, out)
		}
	}
}

func TestNotificationWords(t *testing.T) {
	tests := map[[2]uint8]string{
		{4, 0}: "hold timer expired (code 4, subcode 0)",
		{6, 2}: "cease: administrative shutdown (code 6, subcode 2)",
		{2, 9}: "OPEN message error (code 2, subcode 9)",
		{9, 1}: "unknown error (code 9, subcode 1)",
	}
	for code, want := range tests {
		if got := notificationWords(code[0], code[1]); got != want {
			t.Errorf("notificationWords(%d, %d) = %q, want %q", code[0], code[1], got, want)
		}
	}
}

func TestDeriveRouterID(t *testing.T) {
	v4, other, v6 := netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8::11")
	none := netip.Addr{}
	tests := map[string]struct {
		egress egress
		first  netip.Addr
		want   string
	}{
		"IPv4 session":                        {egress{local: v4, ipv4: other}, none, "192.0.2.11"},
		"IPv6 session, IPv4 on the interface": {egress{local: v6, ipv4: v4}, other, "192.0.2.11"},
		"IPv6 session, IPv4 elsewhere":        {egress{local: v6}, other, "198.51.100.1"},
		"no IPv4 at all: of the node's name":  {egress{local: v6}, none, "133.239.37.64"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := deriveRouterID(tt.egress, tt.first, "node1"); got.String() != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
