package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// IPAllocationClaim is how the controller writes IPAllocations: a request that is answered and not stored, as a
// SubjectAccessReview is. It claims addresses for Services and releases them. What it claims for one Service is granted
// as a whole or not at all, in one transaction with everything that it depends on. A claim that asks for what is there
// already is granted and writes nothing; one of a controller whose term has ended is refused, with the status reason
// Conflict. A dry run is answered and writes nothing.
type IPAllocationClaim struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata, and may be empty.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the request.
	Spec IPAllocationClaimSpec `json:"spec"`
	// status is the answer.
	// +optional
	Status IPAllocationClaimStatus `json:"status,omitempty,omitzero"`
}

// IPAllocationClaimSpec is what a controller asks of the ledger.
type IPAllocationClaimSpec struct {
	// identity is the name of the controller, to tell who works.
	// +optional
	Identity string `json:"identity,omitempty"`

	// term is the number of the term in which the controller works. If unset, a new term begins, and those before it have
	// ended: a controller that was stopped and goes on later writes nothing any more.
	// +optional
	// +k8s:validation:minimum=0
	Term int64 `json:"term,omitempty"`

	// renew begins a new term if the given one has not ended. Requests of the controller that were not answered are of no
	// effect from then on.
	// +optional
	Renew bool `json:"renew,omitempty"`

	// establish says that the ledger has everything that the statuses of Services show, so that nothing else is to be
	// announced.
	// +optional
	Establish bool `json:"establish,omitempty"`

	// services are the claims, up to 200 of them.
	// +optional
	// +listType=atomic
	Services []ServiceClaim `json:"services,omitempty"`

	// forget are addresses of which it need not be known any longer who had them last.
	// +optional
	// +listType=atomic
	Forget []string `json:"forget,omitempty"`
}

// ServiceClaim is what one Service holds from now on.
type ServiceClaim struct {
	// namespace is the namespace of the Service.
	Namespace string `json:"namespace"`
	// name is the name of the Service.
	Name string `json:"name"`
	// uid is the uid of the Service.
	// +optional
	UID types.UID `json:"uid,omitempty"`

	// ports are the ports of the Service.
	// +optional
	// +listType=atomic
	Ports []AllocatedPort `json:"ports,omitempty"`

	// sharingKey is the value of the Service's annotation metallb.io/allow-shared-ip.
	// +optional
	SharingKey string `json:"sharingKey,omitempty"`
	// backendKey is the selector of the Service if its externalTrafficPolicy is Local, and else empty.
	// +optional
	BackendKey string `json:"backendKey,omitempty"`

	// pool is the name of the pool that the addresses are of.
	// +optional
	Pool string `json:"pool,omitempty"`
	// kept says that the Service has had the addresses before: no pool need have them, and they may be reserved for others.
	// +optional
	Kept bool `json:"kept,omitempty"`

	// addresses are what the Service is to hold, at most one of each family.
	// +optional
	// +listType=atomic
	Addresses []string `json:"addresses,omitempty"`
	// release are addresses that the Service is to hold no longer.
	// +optional
	// +listType=atomic
	Release []string `json:"release,omitempty"`
}

// IPAllocationClaimStatus is the answer of the ledger.
type IPAllocationClaimStatus struct {
	// term is the number of the term in which the request was answered.
	// +optional
	// +k8s:validation:minimum=0
	Term int64 `json:"term,omitempty"`

	// established says that only what is in the ledger is announced. It and allocations are told only if the request has
	// no claims.
	// +optional
	Established bool `json:"established,omitempty"`
	// allocations is the number of IPAllocations that there are.
	// +optional
	// +k8s:validation:minimum=0
	Allocations int64 `json:"allocations,omitempty"`

	// services are the results of the claims, in their order.
	// +optional
	// +listType=atomic
	Services []ServiceClaimResult `json:"services,omitempty"`

	// past says of addresses that nobody holds who had them last. It is told when a term begins.
	// +optional
	// +listType=atomic
	Past []PastAllocation `json:"past,omitempty"`
}

// ServiceClaimResult says what became of a claim.
type ServiceClaimResult struct {
	// result is "Granted"; "Held" when somebody else holds an address and does not share it; "NotInPool" when the pool has
	// no such address; "Reserved" when an IPReservation keeps it for others; or "Retry" when too many others wrote at the
	// same moment, or the claim is too long to be stored.
	Result ClaimResult `json:"result"`
	// message says why the claim was not granted.
	// +optional
	Message string `json:"message,omitempty"`
	// address is the one that is not to be had.
	// +optional
	Address string `json:"address,omitempty"`
	// holders are the Services that hold it.
	// +optional
	// +listType=atomic
	Holders []AllocatedService `json:"holders,omitempty"`
	// since is when the first of them got it.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}

// ClaimResult is what became of a claim.
// +enum
type ClaimResult string

// The results.
const (
	ClaimGranted   ClaimResult = "Granted"
	ClaimHeld      ClaimResult = "Held"
	ClaimNotInPool ClaimResult = "NotInPool"
	ClaimReserved  ClaimResult = "Reserved"
	ClaimRetry     ClaimResult = "Retry"
)

// PastAllocation says who had an address last.
type PastAllocation struct {
	// address is an address that nobody holds.
	Address string `json:"address"`
	// namespace is the namespace of the Service that had it.
	Namespace string `json:"namespace"`
	// name is the name of the Service that had it.
	Name string `json:"name"`
	// released is when the Service let go of it.
	Released metav1.Time `json:"released"`
}
