package metallb

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BFDSessionState is how one BFD session (RFC 5880) of one node fares. There is one for each node and each BGPPeer whose
// session the node watches by BFD. It is served from memory.
type BFDSessionState struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Status BFDSessionStateStatus
}

// BFDSessionStateStatus is how a BFD session fares.
type BFDSessionStateStatus struct {
	State                  string
	RemoteState            string
	Diagnostic             string
	RemoteDiagnostic       string
	Node                   string
	Peer                   string
	VRF                    string
	BGPPeer                string
	BFDProfile             string
	Since                  *metav1.Time
	PeerAddress            string
	Interface              string
	LocalAddress           string
	MultiHop               bool
	LocalDiscriminator     int64
	RemoteDiscriminator    int64
	TransmitInterval       *metav1.Duration
	DetectionTime          *metav1.Duration
	EchoTransmitInterval   *metav1.Duration
	RemoteReceiveInterval  *metav1.Duration
	RemoteTransmitInterval *metav1.Duration
	RemoteEchoInterval     *metav1.Duration
	RemoteDetectMultiplier int64
	Counters               *BFDSessionCounters
	Notices                []string
}

// BFDSessionCounters counts packets and changes of a BFD session.
type BFDSessionCounters struct {
	ControlSent     int64
	ControlReceived int64
	EchoSent        int64
	EchoReceived    int64
	Up              int64
	Down            int64
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BFDSessionStateList is a list of BFDSessionStates.
type BFDSessionStateList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []BFDSessionState
}

// SelectableFields implements Selectable.
func (s *BFDSessionState) SelectableFields() fields.Set {
	return fields.Set{
		"status.node":    s.Status.Node,
		"status.peer":    s.Status.Peer,
		"status.vrf":     s.Status.VRF,
		"status.bgpPeer": s.Status.BGPPeer,
		"status.state":   s.Status.State,
	}
}
