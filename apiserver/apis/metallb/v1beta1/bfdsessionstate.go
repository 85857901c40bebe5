package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BFDSessionState is how one BFD session (RFC 5880) of one node fares. There is one for each node and each BGPPeer whose
// session the node watches by BFD. They are read-only and live in the memory of the apiserver: nothing of them is stored,
// and each replica hears the speakers itself.
type BFDSessionState struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata. The labels metallb.io/node, metallb.io/bgp-peer and metallb.io/vrf name
	// the node, the BGPPeer and the VRF.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// status is how the session fares.
	// +optional
	Status BFDSessionStateStatus `json:"status,omitempty,omitzero"`
}

// BFDSessionStateStatus is how a BFD session fares.
type BFDSessionStateStatus struct {
	// state is that of the session (RFC 5880 section 6.8.1), "AdminDown", "Down", "Init" or "Up", or "Unknown" while the
	// speaker of the node is not connected to the apiserver. Then the rest is as it was heard last.
	// +optional
	State string `json:"state,omitempty"`

	// remoteState is the state of the neighbour's session, as it said last.
	// +optional
	RemoteState string `json:"remoteState,omitempty"`

	// diagnostic is why the session last left "Up" (RFC 5880 section 4.1).
	// +optional
	Diagnostic string `json:"diagnostic,omitempty"`

	// remoteDiagnostic is why the neighbour's session last left "Up", as it said.
	// +optional
	RemoteDiagnostic string `json:"remoteDiagnostic,omitempty"`

	// node is the name of the node.
	// +optional
	Node string `json:"node,omitempty"`

	// peer is the neighbour, as in the BGPSessionState: its IPv4 address, its IPv6 address in full with dashes for colons,
	// or the interface of an unnumbered one.
	// +optional
	Peer string `json:"peer,omitempty"`

	// vrf is the VRF of the session; empty for the default one.
	// +optional
	VRF string `json:"vrf,omitempty"`

	// bgpPeer is the name of the BGPPeer whose session is watched.
	// +optional
	BGPPeer string `json:"bgpPeer,omitempty"`

	// bfdProfile is the name of the BFDProfile.
	// +optional
	BFDProfile string `json:"bfdProfile,omitempty"`

	// since is when state became what it is.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// peerAddress is the address of the neighbour; of an unnumbered one, the link-local address once it is known.
	// +optional
	PeerAddress string `json:"peerAddress,omitempty"`

	// interface is the interface of an unnumbered neighbour, or of one with a link-local address.
	// +optional
	Interface string `json:"interface,omitempty"`

	// localAddress is the node's own address in the session.
	// +optional
	LocalAddress string `json:"localAddress,omitempty"`

	// multiHop says that the session is one of RFC 5883, between hosts that need not be neighbours, rather than of
	// RFC 5881.
	// +optional
	MultiHop bool `json:"multiHop,omitempty"`

	// localDiscriminator is the number of the session at the node (RFC 5880 section 6.3).
	// +optional
	LocalDiscriminator int64 `json:"localDiscriminator,omitempty"`

	// remoteDiscriminator is the number of the session at the neighbour; absent while it is not known.
	// +optional
	RemoteDiscriminator int64 `json:"remoteDiscriminator,omitempty"`

	// transmitInterval is the time between control packets that is in use, before jitter.
	// +optional
	TransmitInterval *metav1.Duration `json:"transmitInterval,omitempty"`

	// detectionTime is how long the neighbour may be silent before the session is down.
	// +optional
	DetectionTime *metav1.Duration `json:"detectionTime,omitempty"`

	// echoTransmitInterval is the time between echo packets that is in use; absent while none are sent.
	// +optional
	EchoTransmitInterval *metav1.Duration `json:"echoTransmitInterval,omitempty"`

	// remoteReceiveInterval is the shortest time between control packets that the neighbour can receive, as it said.
	// +optional
	RemoteReceiveInterval *metav1.Duration `json:"remoteReceiveInterval,omitempty"`

	// remoteTransmitInterval is the shortest time between control packets that the neighbour sends, as it said.
	// +optional
	RemoteTransmitInterval *metav1.Duration `json:"remoteTransmitInterval,omitempty"`

	// remoteEchoInterval is the shortest time between echo packets that the neighbour sends back, as it said; absent
	// where it sends none back.
	// +optional
	RemoteEchoInterval *metav1.Duration `json:"remoteEchoInterval,omitempty"`

	// remoteDetectMultiplier is how many of the neighbour's packets may be lost before the session is down, as it said.
	// +optional
	RemoteDetectMultiplier int64 `json:"remoteDetectMultiplier,omitempty"`

	// counters count since the session was configured. They are some seconds old.
	// +optional
	Counters *BFDSessionCounters `json:"counters,omitempty"`

	// notices say where the session is not quite as configured.
	// +optional
	// +listType=atomic
	Notices []string `json:"notices,omitempty"`
}

// BFDSessionCounters counts packets and changes of a BFD session.
type BFDSessionCounters struct {
	// controlSent counts control packets to the neighbour.
	ControlSent int64 `json:"controlSent"`

	// controlReceived counts control packets of the neighbour.
	ControlReceived int64 `json:"controlReceived"`

	// echoSent counts echo packets to the neighbour.
	EchoSent int64 `json:"echoSent"`

	// echoReceived counts echo packets that came back.
	EchoReceived int64 `json:"echoReceived"`

	// up is how often the session came to be up.
	Up int64 `json:"up"`

	// down is how often it ceased to be.
	Down int64 `json:"down"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BFDSessionStateList is a list of BFDSessionStates.
type BFDSessionStateList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the states.
	Items []BFDSessionState `json:"items"`
}
