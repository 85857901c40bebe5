package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ConfigurationState is what one component made of the configuration. There is one named "controller" and one named
// "speaker-<node>" for each node. They are read-only and live in the memory of the apiserver: nothing of them is stored,
// and each replica hears the components itself.
type ConfigurationState struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata. The label metallb.io/component-type is "controller" or "speaker",
	// and metallb.io/node-name is the node of a speaker.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// status is what the component made of the configuration.
	// +optional
	Status ConfigurationStateStatus `json:"status,omitempty,omitzero"`
}

// ConfigurationStateStatus is what a component made of the configuration.
type ConfigurationStateStatus struct {
	// result is "Valid" when the component obeys and has taken everything that it was sent; "Invalid" when it refused
	// something; and "Unknown" when it is not connected, or has not answered yet.
	// +optional
	Result ConfigurationResult `json:"result,omitempty"`

	// errorSummary is the messages of the conditions that are not True, one a line.
	// +optional
	ErrorSummary string `json:"errorSummary,omitempty"`

	// conditions hold configReconcilerValid for a speaker and poolReconcilerValid for the controller: True with the
	// reason "Reconciled", False with "ConfigurationError", or Unknown with "UnknownError".
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ConfigurationResult sums up the conditions.
// +enum
type ConfigurationResult string

// The results.
const (
	ConfigurationValid   ConfigurationResult = "Valid"
	ConfigurationInvalid ConfigurationResult = "Invalid"
	ConfigurationUnknown ConfigurationResult = "Unknown"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ConfigurationStateList is a list of ConfigurationStates.
type ConfigurationStateList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the states.
	Items []ConfigurationState `json:"items"`
}
