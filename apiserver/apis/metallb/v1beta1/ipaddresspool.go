package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// IPAddressPool is a set of addresses that Services of type LoadBalancer may get. Addresses are announced only
// where an L2Advertisement or a BGPAdvertisement selects the pool. No two pools may share an address.
type IPAddressPool struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state of the pool.
	Spec IPAddressPoolSpec `json:"spec"`
	// status is what is observed of the pool: how many addresses it has, and conditions.
	// +optional
	Status IPAddressPoolStatus `json:"status,omitempty,omitzero"`
}

// IPAddressPoolSpec is the desired state of an IPAddressPool.
type IPAddressPoolSpec struct {
	// addresses are the addresses of the pool, each entry a CIDR ("192.168.10.0/24", "2001:db8::/64") or an
	// inclusive range ("192.168.9.1-192.168.9.5"). Host bits of a CIDR are ignored; a single address is written
	// with /32 or /128. IPv4 and IPv6 entries may be mixed; one range is of one family. Entries must not overlap
	// each other or those of another pool. Earlier entries are used first, and the lowest free address first
	// within an entry; network and broadcast addresses are used too, unless avoidBuggyIPs says otherwise.
	// +listType=atomic
	// +k8s:validation:minItems=1
	Addresses []string `json:"addresses"`

	// autoAssign says whether a Service may get an address of this pool without asking for the pool or the
	// address. Services keep addresses that they have. Defaults to true.
	// +optional
	// +default=true
	AutoAssign *bool `json:"autoAssign,omitempty"`

	// avoidBuggyIPs leaves IPv4 addresses that end in .0 or .255 unused, for networks with equipment that drops
	// them. IPv6 is not affected. Defaults to false.
	// +optional
	// +default=false
	AvoidBuggyIPs bool `json:"avoidBuggyIPs"`

	// serviceAllocation pins the pool to namespaces and Services and orders pinned pools. A Service that a pinned
	// pool matches tries pinned pools before others. If it is given without any restriction, the pool is pinned
	// to every Service. If it holds nothing but cooldown, the pool is not pinned.
	// +optional
	AllocateTo *ServiceAllocation `json:"serviceAllocation,omitempty"`

	// quota limits how many addresses of this pool the Services of one namespace may hold. MetalLB has no such
	// field. Lowering it takes no address away.
	// +optional
	Quota *Quota `json:"quota,omitempty"`
}

// Quota limits the addresses of an IPAddressPool that the Services of one namespace may hold. Each address counts
// once, however many Services of the namespace share it; IPv4 and IPv6 addresses count alike.
type Quota struct {
	// perNamespace is the limit of every namespace that namespaces does not list. If unset, those have no limit; 0
	// lets them have none of the addresses.
	// +optional
	// +k8s:validation:minimum=0
	PerNamespace *int64 `json:"perNamespace,omitempty"`

	// namespaces are the namespaces with a limit of their own, each listed once.
	// +optional
	// +listType=map
	// +listMapKey=name
	Namespaces []NamespaceQuota `json:"namespaces,omitempty"`
}

// NamespaceQuota is the limit of one namespace.
type NamespaceQuota struct {
	// name is the name of the namespace.
	Name string `json:"name"`

	// limit is the number of addresses that the namespace's Services may hold, 0 for none.
	// +k8s:validation:minimum=0
	Limit int64 `json:"limit"`
}

// ServiceAllocation pins an IPAddressPool. The namespace restriction (namespaces and namespaceSelectors together)
// and the Service restriction must both be met.
type ServiceAllocation struct {
	// priority orders the pinned pools that match a Service: the lower number is tried earlier, 0 or unset last.
	// +optional
	Priority int `json:"priority,omitempty"`

	// namespaces are the names of the namespaces whose Services may use the pool.
	// +optional
	// +listType=atomic
	Namespaces []string `json:"namespaces,omitempty"`

	// namespaceSelectors select further namespaces by label; a namespace that any of them matches counts.
	// +optional
	// +listType=atomic
	NamespaceSelectors []metav1.LabelSelector `json:"namespaceSelectors,omitempty"`

	// serviceSelectors select the Services that may use the pool by label; any match counts.
	// +optional
	// +listType=atomic
	ServiceSelectors []metav1.LabelSelector `json:"serviceSelectors,omitempty"`

	// cooldown is how long an address rests after a Service has released it before another Service gets it, for
	// example "5m"; the Service that had it, or one of the same namespace and name, may have it back at any time. If
	// unset, addresses do not rest. MetalLB has no such field. Alone it pins the pool to nobody.
	// +optional
	Cooldown *Duration `json:"cooldown,omitempty"`
}

// Pins reports whether the pool is pinned: a serviceAllocation that says nothing but how long addresses rest leaves it
// open to everybody.
func (s *ServiceAllocation) Pins() bool {
	return s != nil && (s.Cooldown == nil || s.Priority != 0 || len(s.Namespaces)+len(s.NamespaceSelectors)+len(s.ServiceSelectors) > 0)
}

// IPAddressPoolStatus is what is observed of a pool. The controller counts its addresses; numbers stop at the largest
// 64-bit integer.
type IPAddressPoolStatus struct {
	// assignedIPv4 is the number of IPv4 addresses in use, each counted once however many Services share it.
	AssignedIPv4 int64 `json:"assignedIPv4"`
	// assignedIPv6 is the number of IPv6 addresses in use, each counted once however many Services share it.
	AssignedIPv6 int64 `json:"assignedIPv6"`
	// availableIPv4 is the number of IPv4 addresses not in use.
	AvailableIPv4 int64 `json:"availableIPv4"`
	// availableIPv6 is the number of IPv6 addresses not in use.
	AvailableIPv6 int64 `json:"availableIPv6"`

	// conditions say how far the pool is in effect: Ready, and ReferencesResolved. Written by the apiserver.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// IPAddressPoolList is a list of IPAddressPools.
type IPAddressPoolList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the pools.
	Items []IPAddressPool `json:"items"`
}
