package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// SpeakerState is what is known of one node's speaker: its connection, whom it obeys, its network interfaces, who answers
// it there, and what is wrong. There is one for each node, named after it. They are read-only and live in the memory of
// the apiserver: nothing of them is stored, and each replica hears the speakers itself.
type SpeakerState struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata. The label metallb.io/node is the name of the node.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// status is what is known of the speaker.
	// +optional
	Status SpeakerStateStatus `json:"status,omitempty,omitzero"`
}

// SpeakerStateStatus is what is known of a speaker.
type SpeakerStateStatus struct {
	// node is the name of the node.
	// +optional
	Node string `json:"node,omitempty"`

	// state is "Connected"; "Starting" from when the speaker has connected until it has reported what it sees; or
	// "Unknown" while it is not connected to the replica of the apiserver that answers. Then the rest is as it was heard
	// last.
	// +optional
	State string `json:"state,omitempty"`

	// since is when the speaker connected, or was last seen.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// replica is the replica of the apiserver that answers, whose view this is.
	// +optional
	Replica string `json:"replica,omitempty"`

	// version is the version of the speaker program.
	// +optional
	Version string `json:"version,omitempty"`

	// instance is the random identity of the speaker's process.
	// +optional
	Instance string `json:"instance,omitempty"`

	// bootID is Linux' identity of the node's last start.
	// +optional
	BootID string `json:"bootID,omitempty"`

	// leaving says that the speaker is about to stop in an orderly way, and has its addresses taken over.
	// +optional
	Leaving bool `json:"leaving,omitempty"`

	// obeys is whose orders the speaker follows.
	// +optional
	Obeys *SpeakerOrders `json:"obeys,omitempty"`

	// refusals are why it does not follow what it is told now.
	// +optional
	// +listType=atomic
	Refusals []SpeakerRefusal `json:"refusals,omitempty"`

	// layer2 counts the layer-2 addresses that the node has to do with.
	Layer2 SpeakerLayer2 `json:"layer2"`

	// links are the network interfaces of the node, but for those that are excluded.
	// +optional
	// +listType=map
	// +listMapKey=name
	Links []SpeakerLink `json:"links,omitempty"`

	// segments are who is heard on the interfaces over which layer-2 addresses are reached.
	// +optional
	// +listType=map
	// +listMapKey=interface
	Segments []SpeakerSegment `json:"segments,omitempty"`

	// faults are what is wrong with the node's part in layer 2.
	// +optional
	// +listType=atomic
	Faults []SpeakerFault `json:"faults,omitempty"`

	// conditions are Connected, and Healthy: False while there are faults or the speaker refuses orders.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// SpeakerOrders is whose orders a speaker follows.
type SpeakerOrders struct {
	// lineage is the identity of the apiserver's store.
	// +optional
	Lineage string `json:"lineage,omitempty"`

	// epoch is that of the latest leader that the speaker has obeyed.
	// +optional
	Epoch int64 `json:"epoch,omitempty"`

	// revision is that of the configuration that the speaker has applied last.
	// +optional
	Revision int64 `json:"revision,omitempty"`

	// confirmed says whether the speaker was told everything since it started. Until then it announces what it remembers.
	// +optional
	Confirmed bool `json:"confirmed,omitempty"`
}

// SpeakerRefusal is why a speaker does not follow orders.
type SpeakerRefusal struct {
	// reason is "ForeignLineage", "OldEpoch", "HeldBack" or "Protocol".
	Reason string `json:"reason"`

	// message says more.
	// +optional
	Message string `json:"message,omitempty"`

	// since is when it began, where that is known.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}

// SpeakerLayer2 counts layer-2 addresses.
type SpeakerLayer2 struct {
	// owned is how many addresses the node answers for.
	Owned int64 `json:"owned"`

	// pending is how many it shall answer for, and does not yet.
	Pending int64 `json:"pending"`

	// standby is how many it would take over.
	Standby int64 `json:"standby"`
}

// SpeakerLink is one network interface.
type SpeakerLink struct {
	// name of the interface.
	Name string `json:"name"`

	// mac is its hardware address.
	// +optional
	MAC string `json:"mac,omitempty"`

	// up says that it is enabled and has a carrier.
	Up bool `json:"up"`

	// enabled says that the administrator has it up.
	Enabled bool `json:"enabled"`

	// carrier says that a cable is plugged in and the other end is up.
	Carrier bool `json:"carrier"`

	// master is the bond, bridge or VRF that it belongs to.
	// +optional
	Master string `json:"master,omitempty"`

	// addresses are its own, with their prefix lengths.
	// +optional
	// +listType=atomic
	Addresses []string `json:"addresses,omitempty"`

	// onLink are the destinations that the node's routes reach over it without a gateway, besides those of its addresses.
	// +optional
	// +listType=atomic
	OnLink []string `json:"onLink,omitempty"`

	// nextHops are the gateways of the node's routes over it.
	// +optional
	// +listType=atomic
	NextHops []string `json:"nextHops,omitempty"`

	// unfit is why layer-2 addresses are not announced on it; empty when they can be.
	// +optional
	Unfit string `json:"unfit,omitempty"`

	// since is when it came up or went down, as far as the speaker saw.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}

// SpeakerSegment is who is heard on one interface.
type SpeakerSegment struct {
	// interface is the node's interface.
	Interface string `json:"interface"`

	// peers are the other nodes that are listened to.
	// +optional
	// +listType=atomic
	Peers []SegmentPeer `json:"peers,omitempty"`

	// witnesses are hosts that are no nodes.
	// +optional
	// +listType=atomic
	Witnesses []SegmentWitness `json:"witnesses,omitempty"`
}

// SegmentPeer is another node on a segment, as it is heard by this one.
type SegmentPeer struct {
	// node is the name of the other node.
	Node string `json:"node"`

	// address is the other's, on the segment.
	// +optional
	Address string `json:"address,omitempty"`

	// mac is the hardware address that it was last heard with.
	// +optional
	MAC string `json:"mac,omitempty"`

	// answer is "Answers", "Silent", or "Unknown" while it is not known yet: whether the other answers when it is asked by
	// ARP or NDP.
	Answer string `json:"answer"`

	// since is when that began.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// heard says that frames of the other arrive here, whether it answers or not.
	Heard bool `json:"heard"`

	// bfdStatus is the state of the BFD session with it, "up", "down", "init" or "shutdown"; empty where there is none.
	// +optional
	BFDStatus string `json:"bfdStatus,omitempty"`

	// bfdSince is when that began.
	// +optional
	BFDSince *metav1.Time `json:"bfdSince,omitempty"`
}

// SegmentWitness is a host on a segment that is not a node.
type SegmentWitness struct {
	// address of the host.
	Address string `json:"address"`

	// mac is the hardware address that it was last heard with.
	// +optional
	MAC string `json:"mac,omitempty"`

	// answer is "Answers", "Silent", or "Unknown" while it is not known yet.
	Answer string `json:"answer"`

	// since is when that began.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// source is how the node knows it: "Ordered" by the apiserver (such as one of probeAddresses), "NextHop" of its own
	// routes, or "Asker" for one of our addresses.
	// +optional
	Source string `json:"source,omitempty"`
}

// SpeakerFault is something that is wrong with a node's part in layer 2.
type SpeakerFault struct {
	// reason is a stable word; docs/layer2.md has them all.
	Reason string `json:"reason"`

	// message is a sentence for people.
	// +optional
	Message string `json:"message,omitempty"`

	// interface is the one of the node that is concerned.
	// +optional
	Interface string `json:"interface,omitempty"`

	// since is when it began.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// nodes are the others that are concerned.
	// +optional
	// +listType=atomic
	Nodes []string `json:"nodes,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// SpeakerStateList is a list of SpeakerStates.
type SpeakerStateList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the states.
	Items []SpeakerState `json:"items"`
}
