package metallb

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BGPAdvertisement announces the addresses of pools by BGP.
type BGPAdvertisement struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   BGPAdvertisementSpec
	Status BGPAdvertisementStatus
}

// BGPAdvertisementSpec is the desired state of a BGPAdvertisement. With neither pools nor pool selectors it
// applies to all pools.
type BGPAdvertisementSpec struct {
	// AggregationLength is the IPv4 prefix length to roll addresses up to; defaulted to 32.
	AggregationLength *int32
	// AggregationLengthV6 is the IPv6 prefix length to roll addresses up to; defaulted to 128.
	AggregationLengthV6 *int32
	// LocalPref is LOCAL_PREF on iBGP sessions; 0 means unset. In a stored object it fits 32 bits.
	LocalPref int64
	// MED is MULTI_EXIT_DISC; nil means none is sent. In a stored object it fits 32 bits. Ours.
	MED *int64
	// ASPathPrepend is how many times the AS number is repeated on eBGP sessions: 0 to MaxASPathPrepend. Ours.
	ASPathPrepend int32
	// Communities are "u16:u16", "large:u32:u32:u32", names of aliases, or well-known names.
	Communities            []string
	IPAddressPools         []string
	IPAddressPoolSelectors []metav1.LabelSelector
	// NodeSelectors limits the nodes that advertise; empty means all.
	NodeSelectors []metav1.LabelSelector
	// Peers names the BGPPeers to advertise to; empty means all.
	Peers []string
	// ServiceSelectors limits the Services; empty means all.
	ServiceSelectors []metav1.LabelSelector
}

// BGPAdvertisementStatus is what is observed of a BGPAdvertisement.
type BGPAdvertisementStatus struct {
	// Conditions are Ready, ReferencesResolved, and those of others.
	Conditions []metav1.Condition
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BGPAdvertisementList is a list of BGPAdvertisements.
type BGPAdvertisementList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []BGPAdvertisement
}
