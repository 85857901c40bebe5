package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BGPAdvertisement announces the addresses of pools to BGP peers. With an empty spec it announces every pool from
// every node to every peer, as host routes.
type BGPAdvertisement struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state of the advertisement.
	// +optional
	Spec BGPAdvertisementSpec `json:"spec,omitempty"`
	// status is what is observed of the advertisement.
	// +optional
	Status BGPAdvertisementStatus `json:"status,omitempty,omitzero"`
}

// BGPAdvertisementSpec is the desired state of a BGPAdvertisement.
type BGPAdvertisementSpec struct {
	// aggregationLength is the length, in bits, of the prefix that an IPv4 address is announced as: 1 to 32.
	// Defaults to 32, a route for each address. It cannot be shorter than the prefixes of the pool.
	// +optional
	// +default=32
	// +k8s:validation:minimum=1
	// +k8s:validation:maximum=32
	AggregationLength *int32 `json:"aggregationLength,omitempty"`

	// aggregationLengthV6 is the length, in bits, of the prefix that an IPv6 address is announced as: 0 to 128.
	// Defaults to 128, a route for each address. It cannot be shorter than the prefixes of the pool.
	// +optional
	// +default=128
	// +k8s:validation:minimum=0
	// +k8s:validation:maximum=128
	AggregationLengthV6 *int32 `json:"aggregationLengthV6,omitempty"`

	// localPref is the LOCAL_PREF attribute of the routes (RFC 4271 section 5.1.5): of several routes the highest
	// wins, 0 to 4294967295. Sent to peers of our own AS only. 0 or unset leaves the choice to the router, commonly 100.
	// +optional
	// +k8s:validation:minimum=0
	// +k8s:validation:maximum=4294967295
	LocalPref int64 `json:"localPref,omitempty"`

	// med is the MULTI_EXIT_DISC attribute of the routes (RFC 4271 section 5.1.4): of several routes from one
	// neighbouring AS the lowest wins, 0 to 4294967295. Unset, the routes have none, which most routers take for 0.
	// Ingot's own field.
	// +optional
	// +k8s:validation:minimum=0
	// +k8s:validation:maximum=4294967295
	MED *int64 `json:"med,omitempty"`

	// asPathPrepend is how many times our AS number is repeated in the AS path, beyond the once that BGP demands, so
	// that other paths are preferred: 0 to 10. Without effect on sessions within our own AS, whose routes have an
	// empty AS path. Ingot's own field.
	// +optional
	// +k8s:validation:minimum=0
	// +k8s:validation:maximum=10
	ASPathPrepend int32 `json:"asPathPrepend,omitempty"`

	// communities are attached to the routes: "64512:100" (RFC 1997), "large:64512:1:2" (RFC 8092), the name of an
	// alias of a Community object, or a well-known name such as "no-export", unless an alias has that name.
	// +optional
	// +listType=atomic
	Communities []string `json:"communities,omitempty"`

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

	// nodeSelectors limit the nodes that announce and so receive traffic, by label; any match counts. Empty means
	// all nodes.
	// +optional
	// +listType=atomic
	NodeSelectors []metav1.LabelSelector `json:"nodeSelectors,omitempty"`

	// peers are the names of the BGPPeers to announce to. Empty means all. Names of peers that do not exist (yet)
	// match nothing.
	// +optional
	// +listType=atomic
	Peers []string `json:"peers,omitempty"`

	// serviceSelectors limit the Services whose addresses are announced, by label; any match counts. Empty means
	// all Services. They cannot be combined with aggregation lengths other than 32 and 128.
	// +optional
	// +listType=atomic
	ServiceSelectors []metav1.LabelSelector `json:"serviceSelectors,omitempty"`
}

// BGPAdvertisementStatus is what is observed of a BGPAdvertisement.
type BGPAdvertisementStatus struct {
	// conditions say how far the object is in effect: Ready, and ReferencesResolved. Written by the apiserver.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BGPAdvertisementList is a list of BGPAdvertisements.
type BGPAdvertisementList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the advertisements.
	Items []BGPAdvertisement `json:"items"`
}
