package metallb

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// IPReservation holds addresses for one Service, for one namespace, or for nobody.
type IPReservation struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   IPReservationSpec
	Status IPReservationStatus
}

// IPReservationSpec is the desired state of an IPReservation.
type IPReservationSpec struct {
	// Addresses are CIDRs, "start-end" ranges or single addresses. No two reservations share one.
	Addresses []string
	// Namespace they are for; empty for nobody.
	Namespace string
	// Service of the namespace that they are for; empty for all of its Services.
	Service string
	// Reason is for people to read.
	Reason string
}

// IPReservationStatus is what is observed of an IPReservation.
type IPReservationStatus struct {
	// Conditions are Ready, ReferencesResolved, and those of others.
	Conditions []metav1.Condition
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// IPReservationList is a list of IPReservations.
type IPReservationList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []IPReservation
}
