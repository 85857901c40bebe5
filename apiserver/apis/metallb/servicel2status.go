package metallb

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServiceL2Status is which node answers ARP and NDP requests for the addresses of one Service. There is one for each
// Service and each node that does: one node, unless addresses are moving. They are read-only and live in the memory of the
// apiserver: nothing of them is stored, and each replica hears the speakers itself.
type ServiceL2Status struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   ServiceL2StatusSpec
	Status ServiceL2StatusStatus
}

// ServiceL2StatusSpec is empty.
type ServiceL2StatusSpec struct{}

// ServiceL2StatusStatus is who answers, and where.
type ServiceL2StatusStatus struct {
	Node             string
	ServiceName      string
	ServiceNamespace string
	Interfaces       []L2Interface
	State            string
	Since            *metav1.Time
	Addresses        []L2Address
}

// L2Interface names a network interface.
type L2Interface struct {
	Name string
}

// L2Address is one address that a node answers for.
type L2Address struct {
	Address    string
	Interfaces []string
	Term       int64
	Since      *metav1.Time
	Phase      string
	Standbys   []string
	Reason     string
	Taken      bool
	Conflict   *L2Conflict
	Others     []L2Other
}

// L2Conflict is a host that uses an address which is not its own.
type L2Conflict struct {
	MAC       string
	Interface string
	Node      string
	Since     *metav1.Time
}

// L2Other is a node that does not own an address.
type L2Other struct {
	Node   string
	Reason string
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServiceL2StatusList is a list of ServiceL2Statuses.
type ServiceL2StatusList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []ServiceL2Status
}
