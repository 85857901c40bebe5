package metallb

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// SpeakerState is what is known of one node's speaker: its connection, whom it obeys, its network interfaces, who answers
// it there, and what is wrong. There is one for each node, named after it. They are read-only and live in the memory of
// the apiserver: nothing of them is stored, and each replica hears the speakers itself.
type SpeakerState struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Status SpeakerStateStatus
}

// SpeakerStateStatus is what is known of a speaker.
type SpeakerStateStatus struct {
	Node       string
	State      string
	Since      *metav1.Time
	Replica    string
	Version    string
	Instance   string
	BootID     string
	Leaving    bool
	Obeys      *SpeakerOrders
	Refusals   []SpeakerRefusal
	Layer2     SpeakerLayer2
	Links      []SpeakerLink
	Segments   []SpeakerSegment
	Faults     []SpeakerFault
	Conditions []metav1.Condition
}

// SpeakerOrders is whose orders a speaker follows.
type SpeakerOrders struct {
	Lineage   string
	Epoch     int64
	Revision  int64
	Confirmed bool
}

// SpeakerRefusal is why a speaker does not follow orders.
type SpeakerRefusal struct {
	Reason  string
	Message string
	Since   *metav1.Time
}

// SpeakerLayer2 counts layer-2 addresses.
type SpeakerLayer2 struct {
	Owned   int64
	Pending int64
	Standby int64
}

// SpeakerLink is one network interface.
type SpeakerLink struct {
	Name      string
	MAC       string
	Up        bool
	Enabled   bool
	Carrier   bool
	Master    string
	Addresses []string
	OnLink    []string
	NextHops  []string
	Unfit     string
	Since     *metav1.Time
}

// SpeakerSegment is who is heard on one interface.
type SpeakerSegment struct {
	Interface string
	Peers     []SegmentPeer
	Witnesses []SegmentWitness
}

// SegmentPeer is another node on a segment, as it is heard by this one.
type SegmentPeer struct {
	Node      string
	Address   string
	MAC       string
	Answer    string
	Since     *metav1.Time
	Heard     bool
	BFDStatus string
	BFDSince  *metav1.Time
}

// SegmentWitness is a host on a segment that is not a node.
type SegmentWitness struct {
	Address string
	MAC     string
	Answer  string
	Since   *metav1.Time
	Source  string
}

// SpeakerFault is something that is wrong with a node's part in layer 2.
type SpeakerFault struct {
	Reason    string
	Message   string
	Interface string
	Since     *metav1.Time
	Nodes     []string
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// SpeakerStateList is a list of SpeakerStates.
type SpeakerStateList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []SpeakerState
}
