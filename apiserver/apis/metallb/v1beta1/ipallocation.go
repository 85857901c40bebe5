package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// IPAllocation says which Services hold one address of a pool. All of them together are the ledger of addresses: the
// controller enters an address here, in a transaction that fails if somebody else has it, before the status of a Service
// shows it, and only what is both here and in the status of the Service is announced. There is one for each address that
// is in use, named after it ("192.0.2.1"; IPv6 addresses in full with dashes, "2001-0db8-0000-0000-0000-0000-0000-0001").
// Users read them; the controller writes them, by IPAllocationClaims. If they are lost, it writes them again from the
// statuses of Services. MetalLB has no such kind.
type IPAllocation struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata. The labels ingot.io/pool, ingot.io/namespace and ingot.io/service say
	// what the spec does, where that is one name only.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is who holds the address, and how it is shared.
	Spec IPAllocationSpec `json:"spec"`
}

// IPAllocationSpec is who holds an address, and how it is shared.
type IPAllocationSpec struct {
	// address is the address.
	Address string `json:"address"`

	// pool is the name of the pool that the address is of, or was when the Services got it.
	// +optional
	Pool string `json:"pool,omitempty"`

	// services are the Services that hold the address: one, or several that share it.
	// +listType=map
	// +listMapKey=namespace
	// +listMapKey=name
	Services []AllocatedService `json:"services"`

	// sharingKey is the value of the annotation metallb.io/allow-shared-ip of the Services. Only Services with the same
	// one share an address.
	// +optional
	SharingKey string `json:"sharingKey,omitempty"`

	// backendKey is the selector of the Services where their externalTrafficPolicy is Local, and else empty. Only Services
	// with the same one share an address.
	// +optional
	BackendKey string `json:"backendKey,omitempty"`

	// since is when the address came into use.
	Since metav1.Time `json:"since"`
}

// AllocatedService is a Service that holds an address.
type AllocatedService struct {
	// namespace is the namespace of the Service.
	Namespace string `json:"namespace"`
	// name is the name of the Service.
	Name string `json:"name"`
	// uid is the uid of the Service.
	// +optional
	UID types.UID `json:"uid,omitempty"`

	// ports are the ports that the Service uses of the address. No two Services use the same one.
	// +optional
	// +listType=atomic
	Ports []AllocatedPort `json:"ports,omitempty"`
}

// AllocatedPort is a port of a Service.
type AllocatedPort struct {
	// protocol is TCP, UDP or SCTP.
	Protocol string `json:"protocol"`
	// port is the number of the port, up to 65535.
	// +k8s:validation:minimum=0
	// +k8s:validation:maximum=65535
	Port int32 `json:"port"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// IPAllocationList is a list of IPAllocations.
type IPAllocationList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the allocations.
	Items []IPAllocation `json:"items"`
}
