package metallb

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// L2Advertisement announces the addresses of pools by ARP and NDP.
type L2Advertisement struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   L2AdvertisementSpec
	Status L2AdvertisementStatus
}

// L2AdvertisementSpec is the desired state of an L2Advertisement. With neither pools nor pool selectors it
// applies to all pools.
type L2AdvertisementSpec struct {
	IPAddressPools         []string
	IPAddressPoolSelectors []metav1.LabelSelector
	// NodeSelectors limits the nodes that may announce; empty means all.
	NodeSelectors []metav1.LabelSelector
	// Interfaces to announce on; empty means all.
	Interfaces []string
	// ServiceSelectors limits the Services; empty means all.
	ServiceSelectors []metav1.LabelSelector
	// PreferredNodeSelectors weigh the nodes of the election.
	PreferredNodeSelectors []PreferredNodeSelector
}

// PreferredNodeSelector adds Weight (1 to 100) to the score of nodes that Preference matches.
type PreferredNodeSelector struct {
	Weight     int32
	Preference metav1.LabelSelector
}

// L2AdvertisementStatus is what is observed of a L2Advertisement.
type L2AdvertisementStatus struct {
	// Conditions are Ready, ReferencesResolved, and those of others.
	Conditions []metav1.Condition
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// L2AdvertisementList is a list of L2Advertisements.
type L2AdvertisementList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []L2Advertisement
}
