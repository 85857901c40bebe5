package metallb

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BGPSessionState is how one BGP session of one node fares. There is one for each node and each BGPPeer that the node
// keeps a session with. It is served from memory.
type BGPSessionState struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Status BGPSessionStateStatus
}

// BGPSessionStateStatus is how a session fares.
type BGPSessionStateStatus struct {
	BGPStatus     string
	BFDStatus     string
	Node          string
	Peer          string
	VRF           string
	BGPPeer       string
	Since         *metav1.Time
	LastError     *BGPSessionError
	PeerAddress   string
	Interface     string
	PeerPort      int64
	PeerASN       int64
	PeerRouterID  string
	LocalAddress  string
	LocalASN      int64
	RouterID      string
	HoldTime      *metav1.Duration
	KeepaliveTime *metav1.Duration
	Families      []string
	PrefixesSent  BGPPrefixes
	Counters      *BGPSessionCounters
	Notices       []string
}

// BGPSessionError is what went wrong with a session.
type BGPSessionError struct {
	Message string
	Code    int64
	Subcode int64
	SentBy  string
	Time    *metav1.Time
}

// BGPPrefixes counts prefixes by family.
type BGPPrefixes struct {
	IPv4 int64
	IPv6 int64
}

// BGPSessionCounters counts messages and changes of a session.
type BGPSessionCounters struct {
	Sent            BGPMessageCounters
	Received        BGPMessageCounters
	Established     int64
	Lost            int64
	PrefixesRefused int64
}

// BGPMessageCounters counts messages in one direction, by their type.
type BGPMessageCounters struct {
	Opens          int64
	Updates        int64
	Keepalives     int64
	Notifications  int64
	RouteRefreshes int64
	Total          int64
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BGPSessionStateList is a list of BGPSessionStates.
type BGPSessionStateList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []BGPSessionState
}
