package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BGPSessionState is how one BGP session of one node fares. There is one for each node and each BGPPeer that the node
// keeps a session with. They are read-only and live in the memory of the apiserver: nothing of them is stored, and each
// replica hears the speakers itself.
type BGPSessionState struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata. The labels metallb.io/node, metallb.io/bgp-peer and metallb.io/vrf name
	// the node, the BGPPeer and the VRF; frrk8s.metallb.io/node, frrk8s.metallb.io/peer and frrk8s.metallb.io/vrf say what
	// status.node, status.peer and status.vrf do.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// status is how the session fares.
	// +optional
	Status BGPSessionStateStatus `json:"status,omitempty,omitzero"`
}

// BGPSessionStateStatus is how a session fares.
type BGPSessionStateStatus struct {
	// bgpStatus is the state of RFC 4271 section 8.2.2, "Idle", "Connect", "Active", "OpenSent", "OpenConfirm" or
	// "Established", or "Unknown" while the speaker of the node is not connected to the apiserver. Then the rest is as it
	// was heard last.
	// +optional
	BGPStatus string `json:"bgpStatus,omitempty"`

	// bfdStatus is the state of the BFD session that watches the neighbour, "up", "down", "init" or "shutdown"; "N/A"
	// where there is none, and "Unknown" while the speaker of the node is not connected.
	// +optional
	BFDStatus string `json:"bfdStatus,omitempty"`

	// node is the name of the node.
	// +optional
	Node string `json:"node,omitempty"`

	// peer is the neighbour: its IPv4 address, its IPv6 address in full with dashes for colons, or the interface of an
	// unnumbered one.
	// +optional
	Peer string `json:"peer,omitempty"`

	// vrf is the VRF of the session; empty for the default one.
	// +optional
	VRF string `json:"vrf,omitempty"`

	// bgpPeer is the name of the BGPPeer.
	// +optional
	BGPPeer string `json:"bgpPeer,omitempty"`

	// since is when bgpStatus became what it is.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// lastError is what last went wrong; it stays when the session is well again.
	// +optional
	LastError *BGPSessionError `json:"lastError,omitempty"`

	// peerAddress is the address of the neighbour; of an unnumbered one, the link-local address once it is known.
	// +optional
	PeerAddress string `json:"peerAddress,omitempty"`

	// interface is the interface of an unnumbered neighbour.
	// +optional
	Interface string `json:"interface,omitempty"`

	// peerPort is the TCP port of the neighbour.
	// +optional
	PeerPort int64 `json:"peerPort,omitempty"`

	// peerASN is the AS number of the neighbour: as configured or, once known, as it said.
	// +optional
	PeerASN int64 `json:"peerASN,omitempty"`

	// peerRouterID is the BGP identifier of the neighbour, as it said.
	// +optional
	PeerRouterID string `json:"peerRouterID,omitempty"`

	// localAddress is the node's own address in the session.
	// +optional
	LocalAddress string `json:"localAddress,omitempty"`

	// localASN is the AS number that the neighbour sees.
	// +optional
	LocalASN int64 `json:"localASN,omitempty"`

	// routerID is the BGP identifier of the node in this session.
	// +optional
	RouterID string `json:"routerID,omitempty"`

	// holdTime is the negotiated hold time, while the session is established.
	// +optional
	HoldTime *metav1.Duration `json:"holdTime,omitempty"`

	// keepaliveTime is the time between keepalives, while the session is established.
	// +optional
	KeepaliveTime *metav1.Duration `json:"keepaliveTime,omitempty"`

	// families are the address families that both sides carry, "ipv4-unicast" and "ipv6-unicast", while the session is
	// established.
	// +optional
	// +listType=atomic
	Families []string `json:"families,omitempty"`

	// prefixesSent is how many prefixes are advertised to the neighbour.
	PrefixesSent BGPPrefixes `json:"prefixesSent"`

	// counters count since the session was configured. They are some seconds old.
	// +optional
	Counters *BGPSessionCounters `json:"counters,omitempty"`

	// notices say where the session is not quite as configured.
	// +optional
	// +listType=atomic
	Notices []string `json:"notices,omitempty"`
}

// BGPSessionError is what went wrong with a session.
type BGPSessionError struct {
	// message is what went wrong, in words.
	Message string `json:"message"`

	// code is the error code of the NOTIFICATION (RFC 4271 section 4.5); absent when there was none.
	// +optional
	Code int64 `json:"code,omitempty"`

	// subcode is the subcode of the NOTIFICATION.
	// +optional
	Subcode int64 `json:"subcode,omitempty"`

	// sentBy is who sent the NOTIFICATION: "Speaker" or "Peer"; absent when there was none.
	// +optional
	SentBy string `json:"sentBy,omitempty"`

	// time is when that was.
	// +optional
	Time *metav1.Time `json:"time,omitempty"`
}

// BGPPrefixes counts prefixes by family.
type BGPPrefixes struct {
	// ipv4 is the number of IPv4 prefixes.
	IPv4 int64 `json:"ipv4"`

	// ipv6 is the number of IPv6 prefixes.
	IPv6 int64 `json:"ipv6"`
}

// BGPSessionCounters counts messages and changes of a session.
type BGPSessionCounters struct {
	// sent counts the messages to the neighbour.
	Sent BGPMessageCounters `json:"sent"`

	// received counts the messages from the neighbour.
	Received BGPMessageCounters `json:"received"`

	// established is how often the session came to be established.
	Established int64 `json:"established"`

	// lost is how often it ceased to be established.
	Lost int64 `json:"lost"`

	// prefixesRefused is how many prefixes the neighbour advertises, all of which are refused.
	PrefixesRefused int64 `json:"prefixesRefused"`
}

// BGPMessageCounters counts messages in one direction, by their type.
type BGPMessageCounters struct {
	// opens counts OPEN messages.
	Opens int64 `json:"opens"`

	// updates counts UPDATE messages.
	Updates int64 `json:"updates"`

	// keepalives counts KEEPALIVE messages.
	Keepalives int64 `json:"keepalives"`

	// notifications counts NOTIFICATION messages.
	Notifications int64 `json:"notifications"`

	// routeRefreshes counts ROUTE-REFRESH messages; those received are not counted one by one.
	RouteRefreshes int64 `json:"routeRefreshes"`

	// total counts all messages.
	Total int64 `json:"total"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BGPSessionStateList is a list of BGPSessionStates.
type BGPSessionStateList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the states.
	Items []BGPSessionState `json:"items"`
}
