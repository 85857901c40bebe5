package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BFDProfile is how the BFD sessions (RFC 5880) of the BGPPeers that name it in bfdProfile are kept. It cannot be
// deleted while a BGPPeer names it.
type BFDProfile struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state of the profile.
	// +optional
	Spec BFDProfileSpec `json:"spec,omitempty"`
	// status is what is observed of the profile.
	// +optional
	Status BFDProfileStatus `json:"status,omitempty,omitzero"`
}

// BFDProfileSpec is the desired state of a BFDProfile.
type BFDProfileSpec struct {
	// receiveInterval is the shortest interval between control packets that we can receive, in milliseconds, 10 to
	// 60000 (Required Min RX Interval, RFC 5880 section 4.1). If unset, 300.
	// +optional
	// +k8s:validation:minimum=10
	// +k8s:validation:maximum=60000
	ReceiveInterval *int64 `json:"receiveInterval,omitempty"`

	// transmitInterval is the shortest interval between control packets that we send, in milliseconds, 10 to 60000,
	// without jitter (Desired Min TX Interval, RFC 5880 section 4.1). If unset, 300.
	// +optional
	// +k8s:validation:minimum=10
	// +k8s:validation:maximum=60000
	TransmitInterval *int64 `json:"transmitInterval,omitempty"`

	// detectMultiplier is the number of packets that may be lost before the session is down, 2 to 255: the peer
	// declares us down after this many of the negotiated interval (Detect Mult, RFC 5880 section 4.1). If unset, 3.
	// +optional
	// +k8s:validation:minimum=2
	// +k8s:validation:maximum=255
	DetectMultiplier *int64 `json:"detectMultiplier,omitempty"`

	// echoInterval is the shortest interval between echo packets that we can send and receive, in milliseconds, 10
	// to 60000 (RFC 5880 section 6.8.9). If unset, 50.
	// +optional
	// +k8s:validation:minimum=10
	// +k8s:validation:maximum=60000
	EchoInterval *int64 `json:"echoInterval,omitempty"`

	// echoMode turns on the echo function (RFC 5880 section 6.4), in which the peer sends our own packets back to us.
	// It is for IPv4 sessions with a neighbour on the same network. If unset, false.
	// +optional
	EchoMode *bool `json:"echoMode,omitempty"`

	// passiveMode waits for the peer to begin the session (passive role, RFC 5880 section 6.1). If unset, false.
	// +optional
	PassiveMode *bool `json:"passiveMode,omitempty"`

	// minimumTtl is the least TTL, or hop limit, of control packets that are accepted in multi-hop sessions, 1 to
	// 254 (RFC 5883). If unset, 254. It has no meaning where the peer is one hop away.
	// +optional
	// +k8s:validation:minimum=1
	// +k8s:validation:maximum=254
	MinimumTTL *int64 `json:"minimumTtl,omitempty"`
}

// BFDProfileStatus is what is observed of a BFDProfile.
type BFDProfileStatus struct {
	// conditions say how far the object is in effect: Ready, and ReferencesResolved. Written by the apiserver.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BFDProfileList is a list of BFDProfiles.
type BFDProfileList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the profiles.
	Items []BFDProfile `json:"items"`
}
