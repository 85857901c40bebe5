package plan

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"google.golang.org/protobuf/testing/protocmp"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

func seconds(s float64) *metallb.Duration { return new(metallb.Duration(fmt.Sprint(s, "s"))) }

func TestSessions(t *testing.T) {
	const v4, v6 = ingotv1.Family_FAMILY_IPV4_UNICAST, ingotv1.Family_FAMILY_IPV6_UNICAST
	ms := func(v uint32) *uint32 { return &v }
	tests := []struct {
		name string
		spec metallb.BGPPeerSpec
		want *ingotv1.BgpSession
	}{
		{
			name: "the least",
			spec: metallb.BGPPeerSpec{MyASN: 1, ASN: 2, Address: "10.0.0.1"},
			want: &ingotv1.BgpSession{Peer: "tor", MyAsn: 1, PeerAsn: 2, Address: "10.0.0.1", Port: 179, Families: []ingotv1.Family{v4}},
		},
		{
			name: "everything",
			spec: metallb.BGPPeerSpec{
				MyASN: 1, DynamicASN: metallb.ExternalASN, LocalASN: 3, Address: "2001:DB8::1", SrcAddress: "2001:db8::2", Port: 1790,
				HoldTime: seconds(90), KeepaliveTime: seconds(0.5), ConnectTime: seconds(5), RouterID: "1.2.3.4", Password: "pass",
				EBGPMultiHop: true, VRFName: "red", EnableGracefulRestart: new(true), DualStackAddressFamily: true,
			},
			want: &ingotv1.BgpSession{
				Peer: "tor", MyAsn: 1, DynamicAsn: "external", LocalAsn: 3, Address: "2001:db8::1", SourceAddress: "2001:db8::2", Port: 1790,
				HoldTimeMs: ms(90000), KeepaliveTimeMs: ms(1000), ConnectTimeMs: ms(5000), RouterId: "1.2.3.4", Password: "pass",
				EbgpMultiHop: true, Vrf: "red", GracefulRestart: true, Families: []ingotv1.Family{v4, v6},
			},
		},
		{
			name: "an IPv4 address written as IPv6",
			spec: metallb.BGPPeerSpec{MyASN: 1, ASN: 2, Address: "::ffff:10.0.0.1"},
			want: &ingotv1.BgpSession{Peer: "tor", MyAsn: 1, PeerAsn: 2, Address: "10.0.0.1", Port: 179, Families: []ingotv1.Family{v4}},
		},
		{
			name: "unnumbered",
			spec: metallb.BGPPeerSpec{MyASN: 1, DynamicASN: metallb.InternalASN, Interface: "eth0"},
			want: &ingotv1.BgpSession{Peer: "tor", MyAsn: 1, DynamicAsn: "internal", Interface: "eth0", Port: 179, Families: []ingotv1.Family{v4, v6}},
		},
		{
			name: "no hold timer is not an unset one",
			spec: metallb.BGPPeerSpec{MyASN: 1, ASN: 2, Address: "10.0.0.1", HoldTime: seconds(0)},
			want: &ingotv1.BgpSession{Peer: "tor", MyAsn: 1, PeerAsn: 2, Address: "10.0.0.1", Port: 179, HoldTimeMs: ms(0), Families: []ingotv1.Family{v4}},
		},
		{
			name: "a keepalive time alone means three times as much to hold",
			spec: metallb.BGPPeerSpec{MyASN: 1, ASN: 2, Address: "10.0.0.1", KeepaliveTime: seconds(10)},
			want: &ingotv1.BgpSession{Peer: "tor", MyAsn: 1, PeerAsn: 2, Address: "10.0.0.1", Port: 179, HoldTimeMs: ms(30000), KeepaliveTimeMs: ms(10000), Families: []ingotv1.Family{v4}},
		},
		{
			name: "the Secret's password",
			spec: metallb.BGPPeerSpec{MyASN: 1, ASN: 2, Address: "10.0.0.1", PasswordSecret: corev1.SecretReference{Name: "good", Namespace: "ignored"}},
			want: &ingotv1.BgpSession{Peer: "tor", MyAsn: 1, PeerAsn: 2, Address: "10.0.0.1", Port: 179, Password: "s3cret", Families: []ingotv1.Family{v4}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture("node-a", "node-b")
			f.Secrets["good"] = secret(corev1.SecretTypeBasicAuth, "password", "s3cret")
			f.peer("tor", "", func(s *metallb.BGPPeerSpec) { *s = tt.spec })

			out := Plan(f.Input)

			for _, node := range []string{"node-a", "node-b"} {
				diff(t, node, map[string]*ingotv1.BgpSession{"tor": tt.want}, sessions(out, node), protocmp.Transform())
			}
			diff(t, "reasons", []string(nil), reasons(out))
		})
	}
}

func secret(kind corev1.SecretType, key, value string) *corev1.Secret {
	return &corev1.Secret{Type: kind, Data: map[string][]byte{key: []byte(value)}}
}

// Promise 8 of the design: no Secret means no session, and what is said about it never has the secret in it.
func TestWithoutItsSecretAPeerHasNoSessionAndNoRoutes(t *testing.T) {
	tests := []struct {
		name   string
		secret *corev1.Secret
		says   string
	}{
		{"missing", nil, `passwordSecret: Secret "bgp" does not exist in the system namespace`},
		{"another type", secret(corev1.SecretTypeOpaque, "password", "s3cret"), `passwordSecret: Secret "bgp" is of type "Opaque"; it must be of type "kubernetes.io/basic-auth"`},
		{"another key", secret(corev1.SecretTypeBasicAuth, "username", "s3cret"), `passwordSecret: Secret "bgp" has no key "password"`},
		{"empty", secret(corev1.SecretTypeBasicAuth, "password", ""), `passwordSecret: Secret "bgp" has an empty "password"`},
		{"long", secret(corev1.SecretTypeBasicAuth, "password", strings.Repeat("s3cret", 14)), `passwordSecret: "password" in Secret "bgp" has 84 bytes; TCP-MD5 takes 80 at most`},
		{"not text", secret(corev1.SecretTypeBasicAuth, "password", "s3cret\xff"), `passwordSecret: "password" in Secret "bgp" is not valid UTF-8`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture("node-a")
			f.pool("p", "10.20.30.0/24")
			f.peer("tor1", "172.20.0.1", func(s *metallb.BGPPeerSpec) { s.PasswordSecret.Name = "bgp" })
			f.peer("tor2", "172.20.0.2")
			f.bgp("ad")
			f.service("web", "10.20.30.1")
			if tt.secret != nil {
				f.Secrets["bgp"] = tt.secret
			}

			out := Plan(f.Input)

			if len(sessions(out, "node-a")) != 1 || sessions(out, "node-a")["tor1"] != nil {
				t.Errorf("sessions: %v", sessions(out, "node-a"))
			}
			diff(t, "routes", map[string][]string{"node-a": {"10.20.30.1/32 to tor2 for web"}}, routes(out))
			diff(t, "reasons", []string{"BGPPeer tor1 bgp invalidPassword"}, reasons(out))
			if out.Withheld[0].Message != tt.says {
				t.Errorf("message is %q, want %q", out.Withheld[0].Message, tt.says)
			}
			if s := fmt.Sprintf("%+v", out.Withheld); strings.Contains(s, "s3cret") {
				t.Errorf("the secret is in %s", s)
			}
		})
	}
}

// TestTimersAreWholeSeconds: BGP has no others, and what the rules accept must not become what a speaker refuses.
func TestTimersAreWholeSeconds(t *testing.T) {
	tests := []struct{ hold, keepalive, wantHold, wantKeepalive string }{
		{"3.2s", "3.1s", "3s", "3s"},
		{"0.5s", "", "0s", ""},
		{"90s", "1ns", "90s", "1s"},
		{"90s", "0s", "90s", ""},
		{"0s", "0s", "0s", "0s"},
		{"", "", "", ""},
	}
	duration := func(s string) *metallb.Duration {
		if s == "" {
			return nil
		}
		return new(metallb.Duration(s))
	}
	show := func(ms *uint32) string {
		if ms == nil {
			return ""
		}
		return fmt.Sprint(float64(*ms)/1000, "s")
	}
	for _, tt := range tests {
		f := newFixture("node-a")
		f.peer("tor", "172.20.0.1", func(s *metallb.BGPPeerSpec) { s.HoldTime, s.KeepaliveTime = duration(tt.hold), duration(tt.keepalive) })
		got := sessions(Plan(f.Input), "node-a")["tor"]
		if hold, keepalive := show(got.HoldTimeMs), show(got.KeepaliveTimeMs); hold != tt.wantHold || keepalive != tt.wantKeepalive {
			t.Errorf("hold %q, keepalive %q: planned %q, %q, want %q, %q", tt.hold, tt.keepalive, hold, keepalive, tt.wantHold, tt.wantKeepalive)
		}
	}
}

func TestPeerThatCannotBeParsedIsWithheld(t *testing.T) {
	tests := []struct {
		name   string
		change func(*metallb.BGPPeerSpec)
		want   string
	}{
		{"address", func(s *metallb.BGPPeerSpec) { s.Address = "tor.example" }, "BGPPeer tor bgp invalidConfiguration"},
		{"number", func(s *metallb.BGPPeerSpec) { s.ASN = 1 << 32 }, "BGPPeer tor bgp invalidConfiguration"},
		{"selector", func(s *metallb.BGPPeerSpec) { s.NodeSelectors = []metav1.LabelSelector{selector("-", "")} }, "BGPPeer tor bgp invalidConfiguration"},
		{"timer", func(s *metallb.BGPPeerSpec) { s.HoldTime = new(metallb.Duration("soon")) }, "BGPPeer tor bgp invalidConfiguration"},
		{"two passwords", func(s *metallb.BGPPeerSpec) { s.Password, s.PasswordSecret.Name = "s3cret", "bgp" }, "BGPPeer tor bgp invalidPassword"},
	}
	for _, tt := range tests {
		f := newFixture("node-a")
		f.peer("tor", "172.20.0.1", tt.change)
		out := Plan(f.Input)
		diff(t, tt.name, []string{tt.want}, reasons(out))
		diff(t, tt.name, map[string]*ingotv1.BgpSession{}, sessions(out, "node-a"))
	}
}

func TestDigestCoversContentAndNeedsTheKey(t *testing.T) {
	digest := func(change func(f *fixture)) string {
		f := newFixture("node-a")
		f.peer("tor", "172.20.0.1", func(s *metallb.BGPPeerSpec) { s.PasswordSecret.Name = "bgp" })
		f.Secrets["bgp"] = secret(corev1.SecretTypeBasicAuth, "password", "s3cret")
		change(f)
		return Plan(f.Input).Nodes["node-a"].Items[ingotv1.Lane_LANE_ROUTING]["bgp-session/tor"].GetDigest()
	}
	base := digest(func(*fixture) {})
	if len(base) != 32 || base != digest(func(*fixture) {}) {
		t.Errorf("digest %q is not stable", base)
	}
	for name, change := range map[string]func(*fixture){
		"password": func(f *fixture) { f.Secrets["bgp"].Data["password"] = []byte("other") },
		"timer":    func(f *fixture) { f.Config.BGPPeers[0].Spec.HoldTime = seconds(9) },
		"key":      func(f *fixture) { f.Key = []byte("other key") },
	} {
		if digest(change) == base {
			t.Errorf("a different %s gives the same digest", name)
		}
	}
	if digest(func(f *fixture) { f.service("web", "10.20.30.1") }) != base {
		t.Error("a Service changes the session's digest")
	}
}
