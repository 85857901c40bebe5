package rules

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

func newProfile(name string) *metallb.BFDProfile {
	return &metallb.BFDProfile{ObjectMeta: named(name)}
}

func TestBFDProfile(t *testing.T) {
	type spec = metallb.BFDProfileSpec
	n := func(v int64) *int64 { return &v }
	tests := []struct {
		name string
		spec spec
		want []problem
	}{
		{"all unset", spec{}, nil},
		{"least", spec{ReceiveInterval: n(10), TransmitInterval: n(10), DetectMultiplier: n(2), EchoInterval: n(10), MinimumTTL: n(1)}, nil},
		{"most", spec{ReceiveInterval: n(60000), TransmitInterval: n(60000), DetectMultiplier: n(255), EchoInterval: n(60000), MinimumTTL: n(254)}, nil},
		{"F1 too small", spec{ReceiveInterval: n(9), TransmitInterval: n(0), DetectMultiplier: n(1), EchoInterval: n(-10), MinimumTTL: n(0)}, []problem{
			{"spec.receiveInterval", "Invalid value: 9: invalid receive interval 9: must be 10 to 60000"}, {"spec.transmitInterval", "Invalid value: 0"},
			{"spec.detectMultiplier", "must be 2 to 255"}, {"spec.echoInterval", "Invalid value: -10"}, {"spec.minimumTtl", "must be 1 to 254"}}},
		{"F1 too large", spec{ReceiveInterval: n(60001), TransmitInterval: n(1 << 32), DetectMultiplier: n(256), EchoInterval: n(60001), MinimumTTL: n(255)}, []problem{
			{"spec.receiveInterval", "60001"}, {"spec.transmitInterval", "4294967296"}, {"spec.detectMultiplier", "256"},
			{"spec.echoInterval", "60001"}, {"spec.minimumTtl", "255"}}},
	}
	var table []verdict
	for _, tt := range tests {
		p := newProfile("fast")
		p.Spec = tt.spec
		table = append(table, verdict{name: tt.name, obj: p, want: tt.want})
	}
	run(t, nil, table)
}

func TestProfileInUseIsNotDeleted(t *testing.T) {
	fast, slow := newProfile("fast"), newProfile("slow")
	uses := func(name string) *metallb.BGPPeer {
		p := newPeer(func(s *metallb.BGPPeerSpec) { s.BFDProfile = "fast" })
		p.Name = name
		return p
	}
	c := &metallb.Configuration{
		BFDProfiles: []*metallb.BFDProfile{fast, slow},
		BGPPeers:    []*metallb.BGPPeer{uses("tor2"), newPeer(func(*metallb.BGPPeerSpec) {}), uses("tor1")},
	}
	const refusal = `metadata.name: Invalid value: "fast": failed to delete BFDProfile fast, used by BGPPeer tor1, tor2`
	terminating := fast.DeepCopy()
	terminating.DeletionTimestamp = new(metav1.Now())

	for what, ch := range map[string]Change{
		"delete":                  {Old: fast},
		"delete with a finalizer": {Old: fast, New: terminating},
	} {
		if errs, _ := Check(c, ch); len(errs) != 1 || errs[0].Error() != refusal {
			t.Errorf("%s: got %v, want %s", what, errs, refusal)
		}
	}
	for what, ch := range map[string]Change{
		"delete of one that is not in use": {Old: slow},
		"change of one that goes away":     {Old: terminating, New: terminating},
	} {
		if errs, _ := Check(c, ch); len(errs) != 0 {
			t.Errorf("%s: %v", what, errs)
		}
	}
	if errs, _ := Check(&metallb.Configuration{BFDProfiles: c.BFDProfiles}, Change{Old: fast}); len(errs) != 0 {
		t.Errorf("delete without peers: %v", errs)
	}
}
