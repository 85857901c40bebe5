package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// L2Advertisement announces the addresses of pools on the local network: one node at a time answers ARP (IPv4) or
// NDP (IPv6) requests for an address. With an empty spec it announces every pool from every node.
type L2Advertisement struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state of the advertisement.
	// +optional
	Spec L2AdvertisementSpec `json:"spec,omitempty"`
	// status is what is observed of the advertisement.
	// +optional
	Status L2AdvertisementStatus `json:"status,omitempty,omitzero"`
}

// L2AdvertisementSpec is the desired state of an L2Advertisement.
type L2AdvertisementSpec struct {
	// ipAddressPools are the names of the IPAddressPools to announce. Names of pools that do not exist (yet) match
	// nothing.
	// +optional
	// +listType=atomic
	IPAddressPools []string `json:"ipAddressPools,omitempty"`

	// ipAddressPoolSelectors select IPAddressPools to announce by label, in addition to those named; any match
	// counts. With neither names nor selectors, all pools are announced.
	// +optional
	// +listType=atomic
	IPAddressPoolSelectors []metav1.LabelSelector `json:"ipAddressPoolSelectors,omitempty"`

	// nodeSelectors limit the nodes that may announce, by label; any match counts. Empty means all nodes.
	// +optional
	// +listType=atomic
	NodeSelectors []metav1.LabelSelector `json:"nodeSelectors,omitempty"`

	// interfaces are the exact names of the network interfaces to announce on. Empty means all. They do not
	// influence which node is elected.
	// +optional
	// +listType=atomic
	Interfaces []string `json:"interfaces,omitempty"`

	// serviceSelectors limit the Services whose addresses are announced, by label; any match counts. Empty means
	// all Services.
	// +optional
	// +listType=atomic
	ServiceSelectors []metav1.LabelSelector `json:"serviceSelectors,omitempty"`

	// preferredNodeSelectors prefer some of the nodes that nodeSelectors allow. The weights of all entries that
	// match a node add up, also over advertisements; the node with the highest sum is elected first.
	// +optional
	// +listType=atomic
	PreferredNodeSelectors []PreferredNodeSelector `json:"preferredNodeSelectors,omitempty"`

	// refreshInterval is about how often a node announces unasked (gratuitous ARP, unsolicited NDP advertisements) each
	// address that it owns, so that hosts that missed a change of owner learn of it: 1s to 1h, one minute when unset. Where
	// several advertisements apply to an address, the shortest counts. Not in MetalLB.
	// +optional
	RefreshInterval *Duration `json:"refreshInterval,omitempty"`

	// probeAddresses are witnesses: addresses of hosts on the network of the announced addresses that are not nodes of
	// this cluster, such as its router. Nodes ask them, by ARP or NDP, whether they are there. A node that no witness
	// answers, while witnesses answer other nodes, is not given addresses. At most 16, none of them in a pool. The gateways
	// of the nodes' routes are asked anyway. Not in MetalLB.
	// +optional
	// +listType=atomic
	ProbeAddresses []string `json:"probeAddresses,omitempty"`
}

// PreferredNodeSelector is a preference for some nodes.
type PreferredNodeSelector struct {
	// weight is what a matching node gains, 1 to 100.
	// +k8s:validation:minimum=1
	// +k8s:validation:maximum=100
	Weight int32 `json:"weight"`

	// preference selects the nodes by label; empty matches every node.
	Preference metav1.LabelSelector `json:"preference"`
}

// L2AdvertisementStatus is what is observed of a L2Advertisement.
type L2AdvertisementStatus struct {
	// conditions say how far the object is in effect: Ready, and ReferencesResolved. Written by the apiserver.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// L2AdvertisementList is a list of L2Advertisements.
type L2AdvertisementList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the advertisements.
	Items []L2Advertisement `json:"items"`
}
