package metallb

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServiceBGPStatus is to which BGP peers one node announces one Service. There is one for each Service and each node that
// does so. It is served from memory.
type ServiceBGPStatus struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   ServiceBGPStatusSpec
	Status ServiceBGPStatusStatus
}

// ServiceBGPStatusSpec is empty.
type ServiceBGPStatusSpec struct{}

// ServiceBGPStatusStatus is who announces what to whom.
type ServiceBGPStatusStatus struct {
	Node             string
	ServiceName      string
	ServiceNamespace string
	Peers            []string
	State            string
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServiceBGPStatusList is a list of ServiceBGPStatuses.
type ServiceBGPStatusList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []ServiceBGPStatus
}
