package plan

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"google.golang.org/protobuf/testing/protocmp"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

func (f *fixture) profile(name string, spec metallb.BFDProfileSpec) {
	f.Config.BFDProfiles = append(f.Config.BFDProfiles, &metallb.BFDProfile{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec})
}

func TestBFDOfSessions(t *testing.T) {
	n := func(v int64) *int64 { return &v }
	defaults := func(change ...func(*ingotv1.BfdParameters)) *ingotv1.BfdParameters {
		b := &ingotv1.BfdParameters{Profile: "fast", ReceiveIntervalMs: 300, TransmitIntervalMs: 300, DetectMultiplier: 3, EchoIntervalMs: 50, MinimumTtl: 254}
		for _, c := range change {
			c(b)
		}
		return b
	}
	tests := []struct {
		name  string
		spec  metallb.BFDProfileSpec
		named string
		want  *ingotv1.BfdParameters
	}{
		{"none is named", metallb.BFDProfileSpec{}, "", nil},
		{"one that does not exist", metallb.BFDProfileSpec{}, "slow", nil},
		{"nothing is set", metallb.BFDProfileSpec{}, "fast", defaults()},
		{"false is unset", metallb.BFDProfileSpec{EchoMode: new(false), PassiveMode: new(false)}, "fast", defaults()},
		{"receiveInterval", metallb.BFDProfileSpec{ReceiveInterval: n(10)}, "fast", defaults(func(b *ingotv1.BfdParameters) { b.ReceiveIntervalMs = 10 })},
		{"transmitInterval", metallb.BFDProfileSpec{TransmitInterval: n(60000)}, "fast", defaults(func(b *ingotv1.BfdParameters) { b.TransmitIntervalMs = 60000 })},
		{"detectMultiplier", metallb.BFDProfileSpec{DetectMultiplier: n(255)}, "fast", defaults(func(b *ingotv1.BfdParameters) { b.DetectMultiplier = 255 })},
		{"echoInterval", metallb.BFDProfileSpec{EchoInterval: n(20)}, "fast", defaults(func(b *ingotv1.BfdParameters) { b.EchoIntervalMs = 20 })},
		{"echoMode", metallb.BFDProfileSpec{EchoMode: new(true)}, "fast", defaults(func(b *ingotv1.BfdParameters) { b.EchoMode = true })},
		{"passiveMode", metallb.BFDProfileSpec{PassiveMode: new(true)}, "fast", defaults(func(b *ingotv1.BfdParameters) { b.PassiveMode = true })},
		{"minimumTtl", metallb.BFDProfileSpec{MinimumTTL: n(1)}, "fast", defaults(func(b *ingotv1.BfdParameters) { b.MinimumTtl = 1 })},
		{"numbers that the rules refuse", metallb.BFDProfileSpec{ReceiveInterval: n(0), TransmitInterval: n(-1), DetectMultiplier: n(1 << 32)}, "fast", defaults()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture("node-a", "node-b")
			f.profile("fast", tt.spec)
			f.peer("tor", "10.0.0.1", func(s *metallb.BGPPeerSpec) { s.BFDProfile = tt.named })
			f.peer("other", "10.0.0.2")

			out := Plan(f.Input)

			for _, node := range []string{"node-a", "node-b"} {
				diff(t, node, tt.want, sessions(out, node)["tor"].GetBfd(), protocmp.Transform())
				diff(t, node+", another peer", (*ingotv1.BfdParameters)(nil), sessions(out, node)["other"].GetBfd(), protocmp.Transform())
			}
			diff(t, "reasons", []string(nil), reasons(out))
		})
	}
}

// A change of a profile reaches the sessions that it is named for, and no other item.
func TestAProfileTouchesItsSessionsAlone(t *testing.T) {
	f := newFixture("node-a")
	f.profile("fast", metallb.BFDProfileSpec{})
	f.peer("tor", "10.0.0.1", func(s *metallb.BGPPeerSpec) { s.BFDProfile = "fast" })
	f.peer("other", "10.0.0.2")
	f.pool("p", "10.20.30.0/24")
	f.bgp("ad")
	f.service("web", "10.20.30.1")
	before := Plan(f.Input).Nodes["node-a"].Items[ingotv1.Lane_LANE_ROUTING]

	f.Config.BFDProfiles[0].Spec.EchoMode = new(true)
	after := Plan(f.Input).Nodes["node-a"].Items[ingotv1.Lane_LANE_ROUTING]

	var changed []string
	for id, item := range after {
		if before[id].GetDigest() != item.GetDigest() {
			changed = append(changed, id)
		}
	}
	diff(t, "changed", []string{"bgp-session/tor"}, changed)
	diff(t, "items", len(before), len(after))
}
