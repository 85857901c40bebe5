package metallb

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BFDProfile is how BFD sessions (RFC 5880) of the BGPPeers that name it are kept.
type BFDProfile struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   BFDProfileSpec
	Status BFDProfileStatus
}

// BFDProfileSpec is the desired state of a BFDProfile. What is unset stays unset: the defaults are those of whoever
// keeps the session. Numbers are wider than their range, so that a value outside of it reaches the rules and is
// refused by name; in a stored object they fit 16 bits.
type BFDProfileSpec struct {
	ReceiveInterval  *int64 // milliseconds
	TransmitInterval *int64 // milliseconds
	DetectMultiplier *int64
	EchoInterval     *int64 // milliseconds
	EchoMode         *bool
	PassiveMode      *bool
	// MinimumTTL is of multi-hop sessions alone; minimumTtl on the wire.
	MinimumTTL *int64
}

// BFDProfileStatus is what is observed of a BFDProfile.
type BFDProfileStatus struct {
	// Conditions are Ready, ReferencesResolved, and those of others.
	Conditions []metav1.Condition
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BFDProfileList is a list of BFDProfiles.
type BFDProfileList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []BFDProfile
}
