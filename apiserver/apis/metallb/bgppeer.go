package metallb

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BGPPeer is a router that nodes keep a BGP session with.
type BGPPeer struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   BGPPeerSpec
	Status BGPPeerStatus
}

// DynamicASNMode says which remote AS numbers are accepted when none is given.
type DynamicASNMode string

// The modes of BGPPeerSpec.DynamicASN.
const (
	// InternalASN accepts the AS number that is our own.
	InternalASN DynamicASNMode = "internal"
	// ExternalASN accepts any other.
	ExternalASN DynamicASNMode = "external"
)

// BGPPeerSpec is the desired state of a BGPPeer. Numbers are wider than their range, so that a value outside of it
// reaches the rules and is refused by name; in a stored object AS numbers fit 32 bits and the port 16.
type BGPPeerSpec struct {
	MyASN      int64
	ASN        int64 // peerASN on the wire; 0 means unset
	DynamicASN DynamicASNMode
	LocalASN   int64  // 0 means unset
	Address    string // peerAddress on the wire
	Interface  string
	SrcAddress string // sourceAddress on the wire
	Port       int32  // peerPort on the wire; defaulted to 179
	HoldTime   *Duration
	// KeepaliveTime unset means a third of the hold time.
	KeepaliveTime *Duration
	ConnectTime   *Duration
	RouterID      string
	NodeSelectors []metav1.LabelSelector
	Password      string
	// PasswordSecret names a Secret of type kubernetes.io/basic-auth in the system namespace.
	PasswordSecret corev1.SecretReference
	BFDProfile     string
	// EnableGracefulRestart cannot be changed while it is set; nil means false.
	EnableGracefulRestart  *bool
	EBGPMultiHop           bool
	VRFName                string // vrf on the wire
	DualStackAddressFamily bool
	// DisableMP is deprecated and without effect.
	DisableMP bool
}

// MaxPassword is the length of the longest password in bytes: what Linux takes for TCP-MD5 (TCP_MD5SIG_MAXKEYLEN).
const MaxPassword = 80

// BGPPeerStatus is what is observed of a BGPPeer.
type BGPPeerStatus struct {
	// Conditions are Ready, ReferencesResolved, and those of others.
	Conditions []metav1.Condition
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BGPPeerList is a list of BGPPeers.
type BGPPeerList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []BGPPeer
}
