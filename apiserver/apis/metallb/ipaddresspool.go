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
	// Quota limits what a namespace may hold of the pool; nil for no limit. It is ours.
	Quota *Quota
}

// Quota limits the addresses of a pool that the Services of one namespace may hold.
type Quota struct {
	// PerNamespace is the limit of every namespace without one of its own; nil for no limit.
	PerNamespace *int64
	// Namespaces are those with a limit of their own.
	Namespaces []NamespaceQuota
}

// NamespaceQuota is the limit of one namespace.
type NamespaceQuota struct {
	Name  string
	Limit int64
}

// ServiceAllocation restricts and orders a pool's use.
type ServiceAllocation struct {
	// Priority: lower is tried earlier, 0 last.
	Priority           int
	Namespaces         []string
	NamespaceSelectors []metav1.LabelSelector
	ServiceSelectors   []metav1.LabelSelector
	// Cooldown is how long a released address rests before another Service gets it; nil for not at all. It is ours,
	// and alone it pins the pool to nobody.
	Cooldown *Duration
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
