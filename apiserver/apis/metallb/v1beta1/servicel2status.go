package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServiceL2Status is which node answers ARP and NDP requests for the addresses of one Service. There is one for each
// Service and each node that does: one node, unless addresses are moving. They are read-only and live in the memory of the
// apiserver: nothing of them is stored, and each replica hears the speakers itself.
type ServiceL2Status struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata. The labels metallb.io/node, metallb.io/service-name and
	// metallb.io/service-namespace say what the status does.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is empty.
	// +optional
	Spec ServiceL2StatusSpec `json:"spec,omitempty,omitzero"`

	// status is who answers, and where.
	// +optional
	Status ServiceL2StatusStatus `json:"status,omitempty,omitzero"`
}

// ServiceL2StatusSpec is empty.
type ServiceL2StatusSpec struct{}

// ServiceL2StatusStatus is who answers, and where.
type ServiceL2StatusStatus struct {
	// node is the node that answers for the addresses of the Service.
	// +optional
	Node string `json:"node,omitempty"`

	// serviceName is the name of the Service.
	// +optional
	ServiceName string `json:"serviceName,omitempty"`

	// serviceNamespace is the namespace of the Service.
	// +optional
	ServiceNamespace string `json:"serviceNamespace,omitempty"`

	// interfaces are those that L2Advertisements limit the announcement to; empty means all. On which the node really
	// answers, addresses say.
	// +optional
	// +listType=atomic
	Interfaces []L2Interface `json:"interfaces,omitempty"`

	// state is "Announced", or "Unknown" while the speaker of the node is not connected to the apiserver. Not in MetalLB.
	// +optional
	State string `json:"state,omitempty"`

	// since is when the node began to answer for the first of the addresses. Not in MetalLB.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// addresses are those that the node answers for. Not in MetalLB.
	// +optional
	// +listType=map
	// +listMapKey=address
	Addresses []L2Address `json:"addresses,omitempty"`
}

// L2Interface names a network interface.
type L2Interface struct {
	// name of the interface.
	Name string `json:"name,omitempty"`
}

// L2Address is one address that a node answers for.
type L2Address struct {
	// address of the Service.
	Address string `json:"address"`

	// interfaces are those on which the node answers.
	// +optional
	// +listType=atomic
	Interfaces []string `json:"interfaces,omitempty"`

	// term grows with every change of owner.
	// +optional
	Term int64 `json:"term,omitempty"`

	// since is when the node began to answer.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// phase is what the node does about the address, in one word, such as "Answering".
	// +optional
	Phase string `json:"phase,omitempty"`

	// standbys are the nodes that would take the address over, the first first.
	// +optional
	// +listType=atomic
	Standbys []string `json:"standbys,omitempty"`

	// reason is why the node was made the owner, in words.
	// +optional
	Reason string `json:"reason,omitempty"`

	// taken says that the node took the address over by itself, while the apiserver was away.
	// +optional
	Taken bool `json:"taken,omitempty"`

	// conflict is another host that uses the address, if one was heard lately.
	// +optional
	Conflict *L2Conflict `json:"conflict,omitempty"`

	// others are nodes that do not own the address, and why not: 32 at most.
	// +optional
	// +listType=map
	// +listMapKey=node
	Others []L2Other `json:"others,omitempty"`
}

// L2Conflict is a host that uses an address which is not its own.
type L2Conflict struct {
	// mac is its hardware address.
	MAC string `json:"mac"`

	// interface is the one of the announcing node on which it was heard.
	// +optional
	Interface string `json:"interface,omitempty"`

	// node is the name of the host if it is a node of ours; empty for a foreign one.
	// +optional
	Node string `json:"node,omitempty"`

	// since is when it was first heard.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}

// L2Other is a node that does not own an address.
type L2Other struct {
	// node is its name.
	Node string `json:"node"`

	// reason is why it does not own the address, in words.
	// +optional
	Reason string `json:"reason,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServiceL2StatusList is a list of ServiceL2Statuses.
type ServiceL2StatusList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the statuses.
	Items []ServiceL2Status `json:"items"`
}
