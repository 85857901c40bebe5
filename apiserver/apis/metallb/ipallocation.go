package metallb

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// IPAllocation says which Services hold one address. It is no part of the Configuration: package ledger says how it
// changes.
type IPAllocation struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec IPAllocationSpec
}

// IPAllocationSpec is who holds the address, and how it is shared.
type IPAllocationSpec struct {
	Address string
	// Pool that the address is of; for one that no pool has any longer, the pool it was of.
	Pool string
	// Services that hold the address, at least one, in order of namespace and name.
	Services []AllocatedService
	// SharingKey and BackendKey are those of all holders.
	SharingKey, BackendKey string
	// Since is when the first of them got it.
	Since metav1.Time
}

// AllocatedService is one holder of an address.
type AllocatedService struct {
	Namespace, Name string
	UID             types.UID
	// Ports that it uses of the address; no two holders use the same one.
	Ports []AllocatedPort
}

// AllocatedPort is a port of a Service.
type AllocatedPort struct {
	Protocol string
	Port     int32
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// IPAllocationList is a list of IPAllocations.
type IPAllocationList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []IPAllocation
}
