package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// AddressPool is a set of addresses that Services of type LoadBalancer may get, and how they are announced. It is
// deprecated: an IPAddressPool with an L2Advertisement or BGPAdvertisements does the same and more. Its name is unique,
// and its addresses are its own, among AddressPools and IPAddressPools together. L2Advertisements and BGPAdvertisements
// never select an AddressPool.
type AddressPool struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state of the pool.
	Spec AddressPoolSpec `json:"spec"`
	// status is what is observed of the pool.
	// +optional
	Status AddressPoolStatus `json:"status,omitempty,omitzero"`
}

// AddressPoolProtocol is how the addresses of an AddressPool are announced.
// +enum
type AddressPoolProtocol string

// The protocols.
const (
	// Layer2Protocol announces by ARP and NDP.
	Layer2Protocol AddressPoolProtocol = "layer2"
	// BGPProtocol announces by BGP.
	BGPProtocol AddressPoolProtocol = "bgp"
)

// AddressPoolSpec is the desired state of an AddressPool.
type AddressPoolSpec struct {
	// protocol is how the addresses are announced: "layer2" has one of all nodes answer for each address by ARP or NDP,
	// on all interfaces; "bgp" has all nodes announce the addresses to all BGPPeers, as bgpAdvertisements says.
	Protocol AddressPoolProtocol `json:"protocol"`

	// addresses are the addresses of the pool, each entry a CIDR ("192.168.10.0/24", "2001:db8::/64") or an
	// inclusive range ("192.168.9.1-192.168.9.5"). Host bits of a CIDR are ignored; a single address is written
	// with /32 or /128, or as a range from it to itself. IPv4 and IPv6 entries may be mixed; one range is of one
	// family. Entries must not overlap each other or those of another pool of either kind. Earlier entries are used
	// first, and the lowest free address first within an entry; network and broadcast addresses are used too.
	// +listType=atomic
	Addresses []string `json:"addresses"`

	// autoAssign says whether a Service may get an address of this pool without asking for the pool, by the annotation
	// metallb.io/address-pool or metallb.universe.tf/address-pool, or for the address. Services keep addresses that
	// they have. Defaults to true.
	// +optional
	// +default=true
	AutoAssign *bool `json:"autoAssign,omitempty"`

	// bgpAdvertisements are the ways in which each address is announced, for protocol "bgp" only. If there is none, one
	// route is announced for each address, without communities and without a local preference.
	// +optional
	// +listType=atomic
	BGPAdvertisements []LegacyBGPAdvertisement `json:"bgpAdvertisements,omitempty"`
}

// LegacyBGPAdvertisement is one way in which all nodes announce the addresses of an AddressPool to all BGPPeers.
type LegacyBGPAdvertisement struct {
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

	// localPref is the LOCAL_PREF attribute of the routes (RFC 4271 section 5.1.5), 0 to 4294967295: of several routes
	// the highest wins. Sent to peers of our own AS only. 0 or unset leaves the choice to the router, commonly 100.
	// Two advertisements that make the same routes cannot differ in it.
	// +optional
	// +k8s:validation:minimum=0
	// +k8s:validation:maximum=4294967295
	LocalPref int64 `json:"localPref,omitempty"`

	// communities are attached to the routes: two 16-bit values such as "65535:65282" (RFC 1997),
	// "large:64512:1:2" (RFC 8092), or the name of an alias of a Community object.
	// +optional
	// +listType=atomic
	Communities []string `json:"communities,omitempty"`
}

// AddressPoolStatus is what is observed of an AddressPool.
type AddressPoolStatus struct {
	// conditions say how far the object is in effect: Ready, and ReferencesResolved. Written by the apiserver.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// AddressPoolList is a list of AddressPools.
type AddressPoolList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the pools.
	Items []AddressPool `json:"items"`
}
