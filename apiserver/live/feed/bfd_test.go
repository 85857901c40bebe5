package feed

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/dispatch"
	"github.com/ingot-lb/ingot/apiserver/live"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

func TestBFDStates(t *testing.T) {
	reports := []*ingotv1.BfdReport{{
		Peer: "tor", Address: "192.0.2.1", LocalAddress: "192.0.2.2", Vrf: "red", Profile: "fast", MultiHop: true,
		State: "Up", RemoteState: "Up", SinceMs: since.Add(300 * time.Millisecond).UnixMilli(), Diagnostic: "path down", RemoteDiagnostic: "no diagnostic",
		LocalDiscriminator: 7, RemoteDiscriminator: 1<<32 - 1, TransmitIntervalUs: 300_000, DetectionTimeUs: 900_000,
		RemoteReceiveIntervalUs: 50_000, RemoteTransmitIntervalUs: 60_000, RemoteDetectMultiplier: 5,
		Counters: &ingotv1.BfdCounters{ControlReceived: 1, ControlSent: 2, EchoReceived: 3, EchoSent: 4, UpEvents: 5, DownEvents: 6},
		Notices:  []string{"echo is for one hop"},
	}}
	ms := func(n int) *metav1.Duration { return &metav1.Duration{Duration: time.Duration(n) * time.Millisecond} }
	want := func(change ...func(*metallb.BFDSessionState)) []live.Object {
		o := &metallb.BFDSessionState{
			ObjectMeta: metav1.ObjectMeta{
				Name: nameOf("node1", "tor"), Labels: map[string]string{"metallb.io/node": "node1", "metallb.io/bgp-peer": "tor", "metallb.io/vrf": "red"},
				CreationTimestamp: metav1.NewTime(since.Local()),
			},
			Status: metallb.BFDSessionStateStatus{
				State: "Up", RemoteState: "Up", Diagnostic: "path down", RemoteDiagnostic: "no diagnostic", Node: "node1", Peer: "192.0.2.1", VRF: "red",
				BGPPeer: "tor", BFDProfile: "fast", Since: new(metav1.NewTime(since.Local())), PeerAddress: "192.0.2.1", LocalAddress: "192.0.2.2", MultiHop: true,
				LocalDiscriminator: 7, RemoteDiscriminator: 1<<32 - 1, TransmitInterval: ms(300), DetectionTime: ms(900),
				RemoteReceiveInterval: ms(50), RemoteTransmitInterval: ms(60), RemoteDetectMultiplier: 5,
				Counters: &metallb.BFDSessionCounters{ControlReceived: 1, ControlSent: 2, EchoReceived: 3, EchoSent: 4, Up: 5, Down: 6},
				Notices:  []string{"echo is for one hop"},
			},
		}
		for _, c := range change {
			c(o)
		}
		return []live.Object{o}
	}
	gone := now.Add(-time.Minute)
	unknown := func(o *metallb.BFDSessionState) {
		o.CreationTimestamp = metav1.NewTime(gone)
		o.Status.State, o.Status.Since = "Unknown", &o.CreationTimestamp
	}
	planned := []*ingotv1.BgpSession{
		{Peer: "tor", Address: "192.0.2.1", Bfd: &ingotv1.BfdParameters{Profile: "fast"}},
		{Peer: "unwatched", Address: "192.0.2.9"},
	}
	for _, tt := range []struct {
		name string
		view view
		want []live.Object
	}{
		{"connected", view{heard: true, state: dispatch.NodeState{Connected: true, Reported: true, Since: started, BFD: reports}}, want()},
		{"planned too", view{heard: true, state: dispatch.NodeState{Connected: true, Reported: true, Since: started, BFD: reports}, planned: planned}, want()},
		{"not connected", view{heard: true, state: dispatch.NodeState{Reported: true, Since: gone, BFD: reports}}, want(unknown)},
		{"connected again, and has not reported", view{heard: true, state: dispatch.NodeState{Connected: true, Since: gone, BFD: reports}}, want(unknown)},
		{"never heard", view{started: gone, planned: planned}, want(unknown, func(o *metallb.BFDSessionState) {
			o.Labels["metallb.io/vrf"] = ""
			o.Status = metallb.BFDSessionStateStatus{State: "Unknown", Since: o.Status.Since, Node: "node1", Peer: "192.0.2.1", PeerAddress: "192.0.2.1", BGPPeer: "tor", BFDProfile: "fast"}
		})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.view.node = "node1"
			if diff := cmp.Diff(tt.want, bfdSessions(tt.view)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
