package feed

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/columns"
	"github.com/ingot-lb/ingot/apiserver/live"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// bfdSessionStates is the kind BFDSessionState.
var bfdSessionStates = live.Kind{
	Plural: "bfdsessionstates", Singular: "bfdsessionstate",
	New:     func() runtime.Object { return &metallb.BFDSessionState{} },
	NewList: func() runtime.Object { return &metallb.BFDSessionStateList{} },
	Columns: []metav1.TableColumnDefinition{
		{Name: "Node", Type: "string", Description: "Name of the node."},
		{Name: "Peer", Type: "string", Description: "The neighbour."},
		{Name: "VRF", Type: "string", Description: "VRF of the session; empty for the default one."},
		{Name: "State", Type: "string", Description: "State of the session."},
		{Name: "Remote State", Type: "string", Description: "State of the neighbour's session, as it said last."},
		{Name: "Diagnostic", Type: "string", Description: "Why the session last left Up."},
		{Name: "BGPPeer", Type: "string", Priority: 1, Description: "BGPPeer whose session is watched."},
		{Name: "Profile", Type: "string", Priority: 1, Description: "BFDProfile of the session."},
		columns.Age(),
	},
	Cells: func(o runtime.Object) []any {
		s := o.(*metallb.BFDSessionState)
		return []any{
			columns.Text(s.Status.Node), columns.Text(s.Status.Peer), columns.Text(s.Status.VRF), columns.Text(s.Status.State),
			columns.Text(s.Status.RemoteState), columns.Text(s.Status.Diagnostic),
			columns.Text(s.Status.BGPPeer), columns.Text(s.Status.BFDProfile), columns.Since(s.CreationTimestamp),
		}
	},
}

// bfdSessions makes the states of a node's BFD sessions: those that it reports, or reported last, and, while it is not known
// which it keeps, those that it shall keep.
func bfdSessions(v view) []live.Object {
	var states []live.Object
	known := map[string]bool{}
	add := func(r *ingotv1.BfdReport) {
		if !known[r.GetPeer()] {
			known[r.GetPeer()] = true
			states = append(states, bfdState(v, r))
		}
	}
	for _, r := range v.state.BFD {
		add(r)
	}
	for _, p := range v.planned {
		if p.GetBfd() != nil {
			add(&ingotv1.BfdReport{Peer: p.GetPeer(), Address: p.GetAddress(), Interface: p.GetInterface(), Vrf: p.GetVrf(),
				Profile: p.GetBfd().GetProfile(), State: "Down"})
		}
	}
	return states
}

// bfdState makes the state of one session: unknown, with since when, while the speaker of its node is away.
func bfdState(v view, r *ingotv1.BfdReport) *metallb.BFDSessionState {
	s := &metallb.BFDSessionState{Status: metallb.BFDSessionStateStatus{
		State: cut(r.GetState()), RemoteState: cut(r.GetRemoteState()), Since: timeOf(r.GetSinceMs()),
		Diagnostic: cut(r.GetDiagnostic()), RemoteDiagnostic: cut(r.GetRemoteDiagnostic()),
		Node: v.node, Peer: peerIdentity(r.GetAddress(), r.GetInterface()), VRF: r.GetVrf(), BGPPeer: r.GetPeer(), BFDProfile: r.GetProfile(),
		PeerAddress: r.GetAddress(), Interface: r.GetInterface(), LocalAddress: r.GetLocalAddress(), MultiHop: r.GetMultiHop(),
		LocalDiscriminator: int64(r.GetLocalDiscriminator()), RemoteDiscriminator: int64(r.GetRemoteDiscriminator()),
		TransmitInterval:       microseconds(r.GetTransmitIntervalUs()),
		DetectionTime:          microseconds(r.GetDetectionTimeUs()),
		EchoTransmitInterval:   microseconds(r.GetEchoTransmitIntervalUs()),
		RemoteReceiveInterval:  microseconds(r.GetRemoteReceiveIntervalUs()),
		RemoteTransmitInterval: microseconds(r.GetRemoteTransmitIntervalUs()),
		RemoteEchoInterval:     microseconds(r.GetRemoteEchoIntervalUs()),
		RemoteDetectMultiplier: int64(r.GetRemoteDetectMultiplier()),
		Counters:               bfdCounters(r.GetCounters()),
		Notices:                noticesOf(r.GetNotices()),
	}}
	if !v.current() {
		s.Status.State, s.Status.Since = unknownStatus, &metav1.Time{Time: v.awaySince().Truncate(time.Second)}
	}
	s.CreationTimestamp = metav1.NewTime(v.awaySince().Truncate(time.Second))
	if s.Status.Since != nil {
		s.CreationTimestamp = *s.Status.Since
	}
	s.Name = nameOf(v.node, r.GetPeer())
	s.Labels = map[string]string{}
	for key, value := range map[string]string{labelNodeOf: v.node, labelBGPPeer: r.GetPeer(), labelVRF: r.GetVrf()} {
		labelValue(s.Labels, key, value)
	}
	return s
}

func bfdCounters(c *ingotv1.BfdCounters) *metallb.BFDSessionCounters {
	if c == nil {
		return nil
	}
	return &metallb.BFDSessionCounters{
		ControlSent: int64(c.GetControlSent()), ControlReceived: int64(c.GetControlReceived()),
		EchoSent: int64(c.GetEchoSent()), EchoReceived: int64(c.GetEchoReceived()),
		Up: int64(c.GetUpEvents()), Down: int64(c.GetDownEvents()),
	}
}

// microseconds is a time as reports have it; nil where it is not said.
func microseconds(us uint32) *metav1.Duration {
	if us == 0 {
		return nil
	}
	return &metav1.Duration{Duration: time.Duration(us) * time.Microsecond}
}

// noticesOf bounds what a speaker says in words.
func noticesOf(said []string) []string {
	var notices []string
	for _, n := range said[:min(len(said), mostErrors)] {
		notices = append(notices, cut(n))
	}
	return notices
}
