package metallb

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// AddressPool is what IPAddressPool and its advertisements were before they were kinds of their own: a set of addresses
// together with how they are announced. It is deprecated; package legacy says what it means in today's kinds.
type AddressPool struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   AddressPoolSpec
	Status AddressPoolStatus
}

// AddressPoolProtocol is how the addresses of an AddressPool are announced.
type AddressPoolProtocol string

// The protocols of AddressPoolSpec.Protocol.
const (
	// Layer2Protocol announces on all interfaces, from any node.
	Layer2Protocol AddressPoolProtocol = "layer2"
	// BGPProtocol announces from all nodes to all peers.
	BGPProtocol AddressPoolProtocol = "bgp"
)

// AddressPoolSpec is the desired state of an AddressPool.
type AddressPoolSpec struct {
	Protocol AddressPoolProtocol
	// Addresses are CIDRs or "start-end" ranges, used in this order.
	Addresses []string
	// AutoAssign says whether Services may draw from the pool without asking for it; defaulted to true.
	AutoAssign *bool
	// BGPAdvertisements are for BGPProtocol only; none means one with the defaults.
	BGPAdvertisements []LegacyBGPAdvertisement
}

// LegacyBGPAdvertisement is one way in which the addresses of an AddressPool are announced by BGP. Its fields are those
// of BGPAdvertisementSpec.
type LegacyBGPAdvertisement struct {
	// AggregationLength is the IPv4 prefix length to roll addresses up to; defaulted to 32.
	AggregationLength *int32
	// AggregationLengthV6 is the IPv6 prefix length to roll addresses up to; defaulted to 128.
	AggregationLengthV6 *int32
	// LocalPref is LOCAL_PREF on iBGP sessions; 0 means unset. In a stored object it fits 32 bits.
	LocalPref int64
	// Communities are "u16:u16", "large:u32:u32:u32", or names of aliases.
	Communities []string
}

// AddressPoolStatus is what is observed of an AddressPool.
type AddressPoolStatus struct {
	// Conditions are Ready, ReferencesResolved, and those of others.
	Conditions []metav1.Condition
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// AddressPoolList is a list of AddressPools.
type AddressPoolList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []AddressPool
}
