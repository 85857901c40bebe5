package v1beta2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BGPPeer is a router that nodes keep a BGP session with. Nodes open the session; they never accept one, and they
// accept no routes.
type BGPPeer struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state of the peer.
	// +optional
	Spec BGPPeerSpec `json:"spec,omitempty"`
	// status is what is observed of the peer.
	// +optional
	Status BGPPeerStatus `json:"status,omitempty,omitzero"`
}

// DynamicASNMode says which AS numbers of a peer are accepted where none is given.
// +enum
type DynamicASNMode string

const (
	// InternalASNMode accepts only the AS number that is our own (iBGP).
	InternalASNMode DynamicASNMode = "internal"
	// ExternalASNMode accepts any AS number but our own (eBGP).
	ExternalASNMode DynamicASNMode = "external"
)

// Duration is a length of time as a number with a unit, such as "90s", "1m30s" or "500ms". It is kept as it is written.
type Duration string

// BGPPeerSpec is the desired state of a BGPPeer.
type BGPPeerSpec struct {
	// myASN is the AS number of our end of the session, 1 to 4294967295.
	// +k8s:validation:minimum=0
	// +k8s:validation:maximum=4294967295
	MyASN int64 `json:"myASN"`

	// peerASN is the AS number that the peer must have, 1 to 4294967295. Exactly one of peerASN and dynamicASN is
	// required.
	// +optional
	// +k8s:validation:minimum=0
	// +k8s:validation:maximum=4294967295
	ASN int64 `json:"peerASN,omitempty"`

	// dynamicASN accepts the AS number that the peer presents: "internal" only our own, "external" any other.
	// Exactly one of peerASN and dynamicASN is required.
	// +optional
	DynamicASN DynamicASNMode `json:"dynamicASN,omitempty"`

	// localASN is the AS number to present to this peer instead of myASN, 1 to 4294967295.
	// +optional
	// +k8s:validation:minimum=1
	// +k8s:validation:maximum=4294967295
	LocalASN int64 `json:"localASN,omitempty"`

	// peerAddress is the IPv4 or IPv6 address of the peer. Exactly one of peerAddress and interface is required.
	// +optional
	Address string `json:"peerAddress,omitempty"`

	// interface is the name of the node's network interface to find the peer on by its IPv6 link-local address
	// (unnumbered peering), at most 15 bytes as Linux has it. Exactly one of peerAddress and interface is required.
	// +optional
	// +k8s:validation:maxLength=15
	Interface string `json:"interface,omitempty"`

	// sourceAddress is the IPv4 or IPv6 address to open the session from. If unset, the node's routing decides.
	// +optional
	SrcAddress string `json:"sourceAddress,omitempty"`

	// peerPort is the TCP port that the peer listens on, 1 to 16384. Defaults to 179.
	// +optional
	// +default=179
	// +k8s:validation:minimum=1
	// +k8s:validation:maximum=16384
	Port *int32 `json:"peerPort,omitempty"`

	// holdTime is how long the session lives without a message from the peer (RFC 4271 section 4.2), for example
	// "90s": 0, or 3s to 65535s, fractions of a second being dropped. 0 turns the timer off. If unset, 90s is
	// proposed. The smaller of the two ends' times is used.
	// +optional
	HoldTime *Duration `json:"holdTime,omitempty"`

	// keepaliveTime is the interval between messages that keep the session alive. It needs holdTime and must be
	// less. If unset, it is a third of the hold time.
	// +optional
	KeepaliveTime *Duration `json:"keepaliveTime,omitempty"`

	// connectTime is the time between attempts to connect (ConnectRetryTime, RFC 4271 section 8.2.1), in whole seconds,
	// 1s to 65535s. If unset, 3s, which is less than the 120s of the RFC because nothing is announced meanwhile.
	// +optional
	ConnectTime *Duration `json:"connectTime,omitempty"`

	// routerID is the BGP identifier of our end (RFC 4271 section 4.2), in the form of an IPv4 address. If unset,
	// each node uses an IPv4 address of its own.
	// +optional
	RouterID string `json:"routerID,omitempty"`

	// nodeSelectors limit the nodes that keep this session, by label; any match counts. Empty means all nodes.
	// +optional
	// +listType=atomic
	NodeSelectors []metav1.LabelSelector `json:"nodeSelectors,omitempty"`

	// password authenticates the session's TCP segments with MD5 (RFC 2385). It is readable by whoever may read
	// this object; passwordSecret keeps it apart. Exclusive with passwordSecret.
	// +optional
	Password string `json:"password,omitempty"`

	// passwordSecret names a Secret of type kubernetes.io/basic-auth whose key "password" authenticates the
	// session. It is looked up in the system namespace, whatever namespace is given here. Without the Secret there
	// is no session. Exclusive with password.
	// +optional
	PasswordSecret SecretReference `json:"passwordSecret,omitempty,omitzero"`

	// bfdProfile is the name of the BFDProfile for a BFD session (RFC 5880) that takes the BGP session down when
	// the peer stops answering. If unset, there is no BFD session.
	// +optional
	BFDProfile string `json:"bfdProfile,omitempty"`

	// enableGracefulRestart asks the peer to keep forwarding on our routes while a speaker restarts (RFC 4724).
	// A value, once given, cannot be changed.
	// +optional
	EnableGracefulRestart *bool `json:"enableGracefulRestart,omitempty"`

	// ebgpMultiHop allows a peer of another AS to be more than one hop away. Not allowed within one AS, where it
	// has no meaning. Defaults to false.
	// +optional
	// +default=false
	EBGPMultiHop bool `json:"ebgpMultiHop"`

	// vrf is the name of the node's Linux VRF device that the session is in, at most 15 bytes as Linux has it. If unset,
	// it is in the default VRF.
	// +optional
	// +k8s:validation:maxLength=15
	VRFName string `json:"vrf,omitempty"`

	// dualStackAddressFamily announces both IPv4 and IPv6 routes over this session. By default a session carries
	// the family of its own addresses. Defaults to false.
	// +optional
	// +default=false
	DualStackAddressFamily bool `json:"dualStackAddressFamily"`

	// disableMP has no effect any more: what it asked for is the default. Defaults to false.
	// Deprecated: use dualStackAddressFamily.
	// +optional
	// +default=false
	DisableMP bool `json:"disableMP"`
}

// SecretReference names a Secret.
// +structType=atomic
type SecretReference struct {
	// name is the name of the Secret.
	// +optional
	Name string `json:"name,omitempty"`
	// namespace is accepted and has no effect: the Secret is looked up in the system namespace.
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// BGPPeerStatus is what is observed of a BGPPeer.
type BGPPeerStatus struct {
	// conditions say how far the object is in effect: Ready, and ReferencesResolved. Written by the apiserver.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BGPPeerList is a list of BGPPeers.
type BGPPeerList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the peers.
	Items []BGPPeer `json:"items"`
}
