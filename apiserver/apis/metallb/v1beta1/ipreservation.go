package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// IPReservation holds addresses for one Service, for the Services of one namespace, or for nobody, so that no other
// Service gets them, automatically or by asking. A Service prefers an address that is reserved for it, then one for its
// namespace, to others of the same pool. An address that a Service holds when it becomes reserved for another stays with
// that Service until it releases it. MetalLB has no such kind.
type IPReservation struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state of the reservation.
	Spec IPReservationSpec `json:"spec"`
	// status is what is observed of the reservation.
	// +optional
	Status IPReservationStatus `json:"status,omitempty,omitzero"`
}

// IPReservationSpec is the desired state of an IPReservation.
type IPReservationSpec struct {
	// addresses are the addresses that are reserved, each entry a single address ("192.168.10.7"), a CIDR
	// ("192.168.10.0/28", "2001:db8::/120") or an inclusive range ("192.168.9.1-192.168.9.5"). No two reservations may
	// share an address. Addresses that no IPAddressPool has are of no effect.
	// +listType=atomic
	Addresses []string `json:"addresses"`

	// namespace is the name of the namespace whose Services may have the addresses. If unset, nobody gets them.
	// +optional
	Namespace string `json:"namespace,omitempty"`

	// service is the name of the one Service of namespace that may have the addresses. If unset, every Service of the
	// namespace may. The Service need not exist yet.
	// +optional
	Service string `json:"service,omitempty"`

	// reason says what the reservation is for, for people to read. It is told to those who ask for the addresses and
	// may not have them.
	// +optional
	Reason string `json:"reason,omitempty"`
}

// IPReservationStatus is what is observed of an IPReservation.
type IPReservationStatus struct {
	// conditions say how far the object is in effect: Ready, and ReferencesResolved. Written by the apiserver.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// IPReservationList is a list of IPReservations.
type IPReservationList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the reservations.
	Items []IPReservation `json:"items"`
}
