package metallb

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ConfigurationState is what a component made of the configuration. It is served from memory.
type ConfigurationState struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Status ConfigurationStateStatus
}

// ConfigurationStateStatus is what a component made of the configuration.
type ConfigurationStateStatus struct {
	Result ConfigurationResult
	// ErrorSummary holds the messages of the conditions that are not True, one a line.
	ErrorSummary string
	Conditions   []metav1.Condition
}

// ConfigurationResult sums up the conditions.
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
	metav1.TypeMeta
	metav1.ListMeta
	Items []ConfigurationState
}
