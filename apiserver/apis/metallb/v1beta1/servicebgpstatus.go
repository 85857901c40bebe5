package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServiceBGPStatus is to which BGP peers one node announces one Service. There is one for each Service and each node that
// does so. They are read-only and live in the memory of the apiserver: nothing of them is stored, and each replica hears
// the speakers itself.
type ServiceBGPStatus struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata. The labels metallb.io/node, metallb.io/service-name and
	// metallb.io/service-namespace say what the status does.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is empty.
	// +optional
	Spec ServiceBGPStatusSpec `json:"spec,omitempty,omitzero"`

	// status is who announces what to whom.
	// +optional
	Status ServiceBGPStatusStatus `json:"status,omitempty,omitzero"`
}

// ServiceBGPStatusSpec is empty.
type ServiceBGPStatusSpec struct{}

// ServiceBGPStatusStatus is who announces what to whom.
type ServiceBGPStatusStatus struct {
	// node is the node that announces the Service.
	// +optional
	Node string `json:"node,omitempty"`

	// serviceName is the name of the Service.
	// +optional
	ServiceName string `json:"serviceName,omitempty"`

	// serviceNamespace is the namespace of the Service.
	// +optional
	ServiceNamespace string `json:"serviceNamespace,omitempty"`

	// peers are the names of the BGPPeers that the Service is announced to: their sessions are established, and the
	// speaker has acknowledged the route. While the state is Unknown they are as they were last.
	// +optional
	// +listType=atomic
	Peers []string `json:"peers,omitempty"`

	// state is "Announced", or "Unknown" while the speaker of the node is not connected to the apiserver.
	// +optional
	State string `json:"state,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServiceBGPStatusList is a list of ServiceBGPStatuses.
type ServiceBGPStatusList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the statuses.
	Items []ServiceBGPStatus `json:"items"`
}
