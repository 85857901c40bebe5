package metallb

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// IPAddressPool is a set of addresses that Services may get.
type IPAddressPool struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   IPAddressPoolSpec
	Status IPAddressPoolStatus
}

// IPAddressPoolSpec is the desired state of an IPAddressPool.
type IPAddressPoolSpec struct {
	// Addresses are CIDRs or "start-end" ranges, used in this order.
	Addresses []string
	// AutoAssign says whether Services may draw from the pool without asking for it; defaulted to true.
	AutoAssign *bool
	// AvoidBuggyIPs keeps IPv4 addresses that end in .0 or .255 unused.
	AvoidBuggyIPs bool
	// AllocateTo pins the pool to namespaces and Services; serviceAllocation on the wire.
	AllocateTo *ServiceAllocation
}

// ServiceAllocation restricts and orders a pool's use.
type ServiceAllocation struct {
	// Priority: lower is tried earlier, 0 last.
	Priority           int
	Namespaces         []string
	NamespaceSelectors []metav1.LabelSelector
	ServiceSelectors   []metav1.LabelSelector
}

// IPAddressPoolStatus is what is observed of a pool, first of all the number of its addresses. Counts saturate at the
// largest int64.
type IPAddressPoolStatus struct {
	AssignedIPv4  int64
	AssignedIPv6  int64
	AvailableIPv4 int64
	AvailableIPv6 int64
	// Conditions are Ready, ReferencesResolved, and those of others.
	Conditions []metav1.Condition
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// IPAddressPoolList is a list of IPAddressPools.
type IPAddressPoolList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []IPAddressPool
}
