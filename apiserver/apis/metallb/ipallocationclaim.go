package metallb

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// IPAllocationClaim is a request of the controller to the ledger, and its answer. It is not stored.
type IPAllocationClaim struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   IPAllocationClaimSpec
	Status IPAllocationClaimStatus
}

// IPAllocationClaimSpec is the request.
type IPAllocationClaimSpec struct {
	// Identity of the controller.
	Identity string
	// Term in which it works; 0 to begin one.
	Term int64
	// Renew begins the next term, if Term is the present one: what the controller sent before and had no answer to
	// is of no effect if it has not been done yet.
	Renew bool
	// Establish says that the ledger has all that the statuses of Services show and that is not somebody else's.
	Establish bool
	Services  []ServiceClaim
	// Forget are addresses of which nobody need know any longer who had them last.
	Forget []string
}

// ServiceClaim is what one Service is to hold from now on. It is granted as a whole, or not at all.
type ServiceClaim struct {
	Namespace, Name        string
	UID                    types.UID
	Ports                  []AllocatedPort
	SharingKey, BackendKey string
	// Pool that Addresses are of.
	Pool string
	// Kept is set where the Service has had the addresses all along and no pool need have them.
	Kept bool
	// Addresses that it is to hold.
	Addresses []string
	// Release are addresses that it is to hold no longer.
	Release []string
}

// IPAllocationClaimStatus is the answer.
type IPAllocationClaimStatus struct {
	// Term that has begun, or that of the request.
	Term int64
	// Established is set while the planner trusts the ledger. It and Allocations are told where nothing was claimed.
	Established bool
	// Allocations is the number of IPAllocations.
	Allocations int64
	// Services are the results, in the order of the request.
	Services []ServiceClaimResult
	// Past is told where a term begins.
	Past []PastAllocation
}

// ServiceClaimResult says what became of a ServiceClaim.
type ServiceClaimResult struct {
	Result ClaimResult
	// Message says why it was not granted, Address which one was in the way, and Holders who has that, since when.
	Message string
	Address string
	Holders []AllocatedService
	Since   *metav1.Time
}

// ClaimResult is what became of a claim.
type ClaimResult string

// The results.
const (
	ClaimGranted ClaimResult = "Granted"
	// ClaimHeld: others hold an address and do not share it.
	ClaimHeld ClaimResult = "Held"
	// ClaimNotInPool: the pool does not have an address, or does not exist.
	ClaimNotInPool ClaimResult = "NotInPool"
	// ClaimReserved: an IPReservation keeps an address for others.
	ClaimReserved ClaimResult = "Reserved"
	// ClaimRetry: others wrote at the same moment, time and again, or the claim is too long to be stored.
	ClaimRetry ClaimResult = "Retry"
)

// PastAllocation says who had an address last that nobody holds.
type PastAllocation struct {
	Address         string
	Namespace, Name string
	Released        metav1.Time
}
