package rules

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// newPeer is a peer that is right, after change.
func newPeer(change func(*metallb.BGPPeerSpec)) *metallb.BGPPeer {
	p := &metallb.BGPPeer{ObjectMeta: named("tor"), Spec: metallb.BGPPeerSpec{
		MyASN: 64512, ASN: 64513, Address: "10.0.0.1", Port: 179}}
	change(&p.Spec)
	return p
}

func duration(s string) *metallb.Duration { return new(metallb.Duration(s)) }

func TestPeer(t *testing.T) {
	type spec = metallb.BGPPeerSpec
	tests := []struct {
		name   string
		change func(*spec)
		want   []problem
	}{
		{"plain", func(s *spec) {}, nil},
		{"32-bit AS numbers", func(s *spec) { s.MyASN, s.ASN, s.LocalASN = 4294967295, 4200000000, 1 }, nil},
		{"IPv6", func(s *spec) { s.Address, s.SrcAddress, s.RouterID = "2001:db8::1", "2001:db8::2", "10.0.0.2" }, nil},
		{"unnumbered, any AS", func(s *spec) { s.Address, s.Interface, s.ASN, s.DynamicASN = "", "eth0", 0, metallb.ExternalASN }, nil},
		{"multi-hop eBGP", func(s *spec) { s.EBGPMultiHop = true }, nil},

		{"B1 no myASN", func(s *spec) { s.MyASN = 0 }, []problem{{"spec.myASN", "missing local ASN"}}},
		{"AS numbers too large", func(s *spec) { s.MyASN, s.ASN, s.LocalASN = 1<<32, 1<<32+1, 1<<32+2 }, []problem{
			{"spec.myASN", "Invalid value: 4294967296: invalid local ASN 4294967296: must be 1 to 4294967295"},
			{"spec.peerASN", "Invalid value: 4294967297: invalid peer ASN 4294967297: must be 1 to"},
			{"spec.localASN", "Invalid value: 4294967298: invalid localASN 4294967298: must be 1 to"}}},
		{"AS numbers negative", func(s *spec) { s.MyASN, s.ASN, s.LocalASN = -1, -2, -3 }, []problem{
			{"spec.myASN", "-1"}, {"spec.peerASN", "-2"}, {"spec.localASN", "-3"}}},
		{"B2 no AS number of the peer", func(s *spec) { s.ASN = 0 }, []problem{{"spec.peerASN", "missing peer ASN and dynamicASN"}}},
		{"B3 two of them", func(s *spec) { s.DynamicASN = metallb.InternalASN }, []problem{{"spec.dynamicASN", "both peerASN and dynamicASN"}}},
		{"B4 dynamicASN", func(s *spec) { s.ASN, s.DynamicASN = 0, "any" }, []problem{{"spec.dynamicASN", `Unsupported value: "any"`}}},
		{"B5 multi-hop iBGP", func(s *spec) { s.ASN, s.EBGPMultiHop = s.MyASN, true }, []problem{{"spec.ebgpMultiHop", "invalid ebgp-multihop for an ibgp peer"}}},
		{"B6 neither", func(s *spec) { s.Address = "" }, []problem{{"spec.peerAddress", "peer has no Address and no Interface"}}},
		{"B6 both", func(s *spec) { s.Interface = "eth0" }, []problem{{"spec.interface", "peer has both Address and Interface"}}},
		{"B7 addresses", func(s *spec) { s.Address, s.SrcAddress, s.RouterID = "tor.example", "10.0.0.0/24", "one" }, []problem{
			{"spec.peerAddress", `Invalid value: "tor.example": invalid BGPPeer address`},
			{"spec.sourceAddress", `Invalid value: "10.0.0.0/24": invalid source IP`},
			{"spec.routerID", `Invalid value: "one": invalid router ID`}}},
		{"B7 zone", func(s *spec) { s.Address = "fe80::1%eth0" }, []problem{{"spec.peerAddress", "invalid BGPPeer address"}}},
		{"source of another family", func(s *spec) { s.SrcAddress = "2001:db8::2" }, []problem{{"spec.sourceAddress", `Invalid value: "2001:db8::2": invalid source IP: it and peerAddress 10.0.0.1 are of different families`}}},
		{"password of 80 bytes", func(s *spec) { s.Password = strings.Repeat("p", 80) }, nil},
		{"password of 81 bytes", func(s *spec) { s.Password = strings.Repeat("p", 81) }, []problem{{"spec.password", "Too long: may not be more than 80 bytes"}}},
		{"router ID of IPv6", func(s *spec) { s.RouterID = "2001:db8::1" }, []problem{{"spec.routerID", "must be an IPv4 address"}}},
		{"router ID 0.0.0.0", func(s *spec) { s.RouterID = "0.0.0.0" }, []problem{{"spec.routerID", "other than 0.0.0.0"}}},
		{"port 0", func(s *spec) { s.Port = 0 }, []problem{{"spec.peerPort", "Invalid value: 0"}}},
		{"port 1", func(s *spec) { s.Port = 1 }, nil},
		{"port 16384", func(s *spec) { s.Port = 16384 }, nil},
		{"port 16385", func(s *spec) { s.Port = 16385 }, []problem{{"spec.peerPort", "Invalid value: 16385"}}},

		{"B8 hold 1s", func(s *spec) { s.HoldTime = duration("1s") }, []problem{{"spec.holdTime", `Invalid value: "1s": invalid hold time: must be 0 or >=3s`}}},
		{"B8 hold truncated to 2s", func(s *spec) { s.HoldTime = duration("2999ms") }, []problem{{"spec.holdTime", "must be 0 or >=3s"}}},
		{"B8 hold 3s", func(s *spec) { s.HoldTime = duration("3s") }, nil},
		{"hold negative", func(s *spec) { s.HoldTime = duration("-10ms") }, []problem{{"spec.holdTime", "must be 0 or >=3s"}}},
		{"hold 65535s", func(s *spec) { s.HoldTime = duration("65535s") }, nil},
		{"hold 65536s", func(s *spec) { s.HoldTime = duration("65536s") }, []problem{{"spec.holdTime", "at most 65535s"}}},
		{"hold without a unit", func(s *spec) { s.HoldTime, s.KeepaliveTime = duration("90"), duration("3s") }, []problem{
			{"spec.holdTime", `Invalid value: "90": invalid hold time: must be a number with a unit`}}},
		{"times that are none", func(s *spec) {
			s.HoldTime, s.KeepaliveTime, s.ConnectTime = duration("9s"), duration("often"), duration("")
		}, []problem{
			{"spec.keepaliveTime", `"often"`}, {"spec.connectTime", `Invalid value: ""`}}},
		{"B9 keepalive lower", func(s *spec) { s.HoldTime, s.KeepaliveTime = duration("9s"), duration("3s") }, nil},
		{"B9 keepalive equal", func(s *spec) { s.HoldTime, s.KeepaliveTime = duration("9s"), duration("9s") }, []problem{
			{"spec.keepaliveTime", `Invalid value: "9s": invalid keepalive time: must be lower than holdTime 9s`}}},
		{"B9 keepalive higher", func(s *spec) { s.HoldTime, s.KeepaliveTime = duration("9s"), duration("10s") }, []problem{
			{"spec.keepaliveTime", "must be lower than holdTime"}}},
		{"keepalive without hold", func(s *spec) { s.KeepaliveTime = duration("3s") }, []problem{{"spec.keepaliveTime", "needs holdTime"}}},
		{"keepalive negative", func(s *spec) { s.HoldTime, s.KeepaliveTime = duration("9s"), duration("-3s") }, []problem{
			{"spec.keepaliveTime", "must not be negative"}}},
		{"B12 connect 1s", func(s *spec) { s.ConnectTime = duration("1s") }, nil},
		{"B12 connect 65535s", func(s *spec) { s.ConnectTime = duration("65535s") }, nil},
		{"B12 connect 65536s", func(s *spec) { s.ConnectTime = duration("65536s") }, []problem{{"spec.connectTime", "1s to 65535s"}}},
		{"B12 connect 500ms", func(s *spec) { s.ConnectTime = duration("500ms") }, []problem{{"spec.connectTime", "1s to 65535s"}}},
		{"B12 connect 1500ms", func(s *spec) { s.ConnectTime = duration("1500ms") }, []problem{{"spec.connectTime", "whole seconds"}}},

		{"password", func(s *spec) { s.Password = "hunter2" }, nil},
		{"password in a Secret", func(s *spec) { s.PasswordSecret = corev1.SecretReference{Name: "bgp", Namespace: "metallb-system"} }, nil},
		{"B10 both passwords", func(s *spec) { s.Password, s.PasswordSecret.Name = "hunter2", "bgp" }, []problem{
			{"spec.passwordSecret.name", `Invalid value: "bgp": can not have both`}}},

		{"selectors", func(s *spec) {
			s.NodeSelectors = []metav1.LabelSelector{labels("a", "b"), expression("a", metav1.LabelSelectorOpIn, "b", "c")}
		}, nil},
		{"B11 selector twice", func(s *spec) { s.NodeSelectors = []metav1.LabelSelector{labels("a", "b"), labels("a", "b")} }, []problem{
			{"spec.nodeSelectors[1]", "duplicate definition of nodeSelectors"}}},
		{"B11 value twice", func(s *spec) {
			s.NodeSelectors = []metav1.LabelSelector{expression("a", metav1.LabelSelectorOpIn, "b", "b")}
		}, []problem{
			{"spec.nodeSelectors[0].matchExpressions[0].values[1]", "duplicate definition of match expression value"}}},
		{"B11 expression twice", func(s *spec) {
			e := expression("a", metav1.LabelSelectorOpExists).MatchExpressions[0]
			s.NodeSelectors = []metav1.LabelSelector{{MatchExpressions: []metav1.LabelSelectorRequirement{e, e}}}
		}, []problem{{"spec.nodeSelectors[0].matchExpressions[1]", "duplicate definition of match expression"}}},
		{"B11 operator", func(s *spec) { s.NodeSelectors = []metav1.LabelSelector{expression("a", "Near", "b")} }, []problem{
			{"spec.nodeSelectors[0].matchExpressions[0].operator", "not a valid selector operator"}}},
	}
	var table []verdict
	for _, tt := range tests {
		table = append(table, verdict{name: tt.name, obj: newPeer(tt.change), want: tt.want})
	}
	run(t, nil, table)
}

func TestGracefulRestartIsKept(t *testing.T) {
	with := func(v *bool) *metallb.BGPPeer {
		return newPeer(func(s *metallb.BGPPeerSpec) { s.EnableGracefulRestart = v })
	}
	var table []verdict
	for _, was := range []*bool{nil, new(false), new(true)} {
		for _, is := range []*bool{nil, new(false), new(true)} {
			v := verdict{name: fmt.Sprintf("%s to %s", show(was), show(is)), old: with(was), obj: with(is)}
			if was != nil && is != nil && *was != *is {
				v.want = []problem{{"spec.enableGracefulRestart", "cannot be changed after creation"}}
			}
			table = append(table, v)
		}
	}
	run(t, nil, table)
}

func show(b *bool) string {
	if b == nil {
		return "unset"
	}
	return fmt.Sprint(*b)
}

func TestNoHoldTimeWarns(t *testing.T) {
	without := newPeer(func(s *metallb.BGPPeerSpec) { s.HoldTime = duration("500ms") })
	says := []string{"spec.holdTime: a hold time of 0 cannot be sent: 65535s is, so that the peer's own hold time is in force; a peer that wants none, too, gets no session"}
	run(t, nil, []verdict{
		{name: "B8 hold 0", obj: newPeer(func(s *metallb.BGPPeerSpec) { s.HoldTime = duration("0s") }), warnings: says},
		{name: "B8 hold truncated to 0", obj: without, warnings: says},
		{name: "B9 both off", obj: newPeer(func(s *metallb.BGPPeerSpec) { s.HoldTime, s.KeepaliveTime = duration("0s"), duration("0s") }), warnings: says},
		{name: "update of something else", old: without, obj: without},
		{name: "another", obj: newPeer(func(s *metallb.BGPPeerSpec) { s.HoldTime = duration("3s") })},
	})
}

func TestDisableMPWarnsAndStillChecks(t *testing.T) {
	was := newPeer(func(s *metallb.BGPPeerSpec) { s.DisableMP = true })
	says := []string{"spec.disableMP: deprecated and without effect, use dualStackAddressFamily"}
	run(t, nil, []verdict{
		{name: "create", obj: was, warnings: says},
		{name: "update", old: was, obj: was},
		{name: "wrong in another way", obj: newPeer(func(s *metallb.BGPPeerSpec) { s.DisableMP, s.MyASN = true, 0 }),
			want: []problem{{"spec.myASN", "missing local ASN"}}, warnings: says},
	})
}

func TestMissingBFDProfileOfAPeerWarns(t *testing.T) {
	peer := newPeer(func(s *metallb.BGPPeerSpec) { s.BFDProfile = "fast" })
	const missing = `spec.bfdProfile: BFDProfile "fast" does not exist (yet): until then the session runs without BFD`
	run(t, nil, []verdict{
		{name: "create", obj: peer, warnings: []string{missing}},
		{name: "update of something else", old: peer, obj: peer, warnings: []string{missing}},
	})
	run(t, &metallb.Configuration{BFDProfiles: []*metallb.BFDProfile{newProfile("fast")}}, []verdict{
		{name: "of one that exists", obj: peer},
	})
}

func TestPasswordSecretWithoutANameWarns(t *testing.T) {
	peer := newPeer(func(s *metallb.BGPPeerSpec) { s.PasswordSecret.Namespace = "metallb-system" })
	run(t, nil, []verdict{{name: "namespace only", obj: peer,
		warnings: []string{"spec.passwordSecret.name: names no Secret, so the session has no password"}}})
}

func TestPasswordIsInNoMessage(t *testing.T) {
	peer := newPeer(func(s *metallb.BGPPeerSpec) {
		*s = metallb.BGPPeerSpec{Password: "hunter2", DisableMP: true, KeepaliveTime: duration("3s")}
		s.PasswordSecret.Name = "bgp"
	})
	errs, warnings := Check(nil, Change{Resource: "bgppeers", New: peer})
	if len(errs) == 0 {
		t.Fatal("nothing is wrong with a peer that is all wrong")
	}
	if all := errs.ToAggregate().Error() + strings.Join(warnings, ""); strings.Contains(all, "hunter2") {
		t.Errorf("the password is in %q", all)
	}
}

func TestSecretOfAnotherNamespaceWarns(t *testing.T) {
	secret := func(namespace string) *metallb.BGPPeer {
		return newPeer(func(s *metallb.BGPPeerSpec) {
			s.PasswordSecret = corev1.SecretReference{Name: "bgp", Namespace: namespace}
		})
	}
	run(t, nil, []verdict{
		{name: "another", obj: secret("other"), warnings: []string{
			`spec.passwordSecret.namespace: "other" has no effect: the Secret is that of namespace "metallb-system"`}},
		{name: "this", obj: secret("metallb-system")},
		{name: "none", obj: secret("")},
	})
}
