package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BGPPeer is a router that nodes keep a BGP session with. This version is deprecated: use v1beta2. What it has no
// field for is shown in annotations that begin with v1beta2.ingot.io/, and an update through this version leaves it as
// it is.
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

// Duration is a length of time as a number with a unit, such as "90s", "1m30s" or "500ms". It is kept as it is written.
type Duration string

// BGPPeerSpec is the desired state of a BGPPeer.
type BGPPeerSpec struct {
	// myASN is the AS number of our end of the session, 1 to 4294967295.
	// +k8s:validation:minimum=0
	// +k8s:validation:maximum=4294967295
	MyASN int64 `json:"myASN"`

	// peerASN is the AS number that the peer must have, 1 to 4294967295. It is 0 where v1beta2 has dynamicASN.
	// +k8s:validation:minimum=0
	// +k8s:validation:maximum=4294967295
	ASN int64 `json:"peerASN"`

	// peerAddress is the IPv4 or IPv6 address of the peer. It is empty where v1beta2 has interface.
	Address string `json:"peerAddress"`

	// sourceAddress is the IPv4 or IPv6 address to open the session from. If unset, the node's routing decides.
	// +optional
	SrcAddress string `json:"sourceAddress,omitempty"`

	// peerPort is the TCP port that the peer listens on, 1 to 16384. 0 or unset means 179.
	// +optional
	// +k8s:validation:minimum=0
	// +k8s:validation:maximum=16384
	Port int32 `json:"peerPort,omitempty"`

	// holdTime is how long the session lives without a message from the peer (RFC 4271 section 4.2), for example
	// "90s": 3s to 65535s, fractions of a second being dropped. If unset or 0, 90s is proposed; v1beta2 can turn the
	// timer off. The smaller of the two ends' times is used.
	// +optional
	HoldTime Duration `json:"holdTime,omitempty"`

	// keepaliveTime is the interval between messages that keep the session alive. It needs holdTime and must be
	// less. If unset or 0, it is a third of the hold time.
	// +optional
	KeepaliveTime Duration `json:"keepaliveTime,omitempty"`

	// routerID is the BGP identifier of our end (RFC 4271 section 4.2), in the form of an IPv4 address. If unset,
	// each node uses an IPv4 address of its own.
	// +optional
	RouterID string `json:"routerID,omitempty"`

	// nodeSelectors limit the nodes that keep this session, by label; any match counts. Empty means all nodes.
	// +optional
	// +listType=atomic
	NodeSelectors []metav1.LabelSelector `json:"nodeSelectors,omitempty"`

	// password authenticates the session's TCP segments with MD5 (RFC 2385). It is readable by whoever may read
	// this object; v1beta2's passwordSecret keeps it apart.
	// +optional
	Password string `json:"password,omitempty"`

	// bfdProfile is the name of the BFDProfile for a BFD session (RFC 5880) that takes the BGP session down when
	// the peer stops answering. If unset, there is no BFD session.
	// +optional
	BFDProfile string `json:"bfdProfile,omitempty"`

	// ebgpMultiHop allows a peer of another AS to be more than one hop away. Not allowed within one AS, where it
	// has no meaning. Defaults to false.
	// +optional
	EBGPMultiHop bool `json:"ebgpMultiHop,omitempty"`
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
