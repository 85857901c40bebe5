package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MetalLB is the installation: where and how the controller and the speakers run. There is one, named "metallb".
type MetalLB struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state of the installation.
	// +optional
	Spec MetalLBSpec `json:"spec,omitempty"`
	// status says what became of it.
	// +optional
	Status MetalLBStatus `json:"status,omitempty,omitzero"`
}

// MetalLBSpec is the desired state of the installation.
type MetalLBSpec struct {
	// image is deprecated and has no effect.
	// +optional
	Image string `json:"image,omitempty"`

	// nodeSelector is the labels of the nodes that speakers run on, in addition to kubernetes.io/os=linux. If empty,
	// all nodes.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// speakerTolerations are added to those of the speakers' Pods.
	// +optional
	// +listType=atomic
	SpeakerTolerations []corev1.Toleration `json:"speakerTolerations,omitempty"`

	// controllerNodeSelector is the labels of the nodes that the controller may run on, in addition to
	// kubernetes.io/os=linux.
	// +optional
	ControllerNodeSelector map[string]string `json:"controllerNodeSelector,omitempty"`

	// controllerTolerations are added to those of the controller's Pods.
	// +optional
	// +listType=atomic
	ControllerTolerations []corev1.Toleration `json:"controllerTolerations,omitempty"`

	// logLevel is how much all programs log: "all", "debug", "info", "warn", "error" or "none". If unset, "info".
	// +optional
	LogLevel LogLevel `json:"logLevel,omitempty"`

	// loadBalancerClass is the class of the Services that are handled, as in their spec.loadBalancerClass: a name
	// like that of a label, such as "internal-vip" or "example.com/internal-vip". If unset, Services without a class
	// are handled.
	// +optional
	// +k8s:validation:pattern="^([a-z0-9A-Z]([\\w.\\-]*[a-z0-9A-Z])?/)?[a-z0-9A-Z]([\\w.\\-]*[a-z0-9A-Z])?$"
	LoadBalancerClass string `json:"loadBalancerClass,omitempty"`

	// controllerConfig is how the controller's Pods run.
	// +optional
	ControllerConfig *PodConfig `json:"controllerConfig,omitempty"`

	// speakerConfig is how the speakers' Pods run.
	// +optional
	SpeakerConfig *PodConfig `json:"speakerConfig,omitempty"`

	// bgpBackend is "native", "frr", "frr-k8s" or "frr-k8s-external", for MetalLB. It has no effect: there is one
	// implementation of BGP here, in the speaker.
	// +optional
	BGPBackend BGPBackend `json:"bgpBackend,omitempty"`

	// frrk8sConfig configures the BGP backend frr-k8s of MetalLB. It has no effect.
	// +optional
	FRRK8sConfig *FRRK8sConfig `json:"frrk8sConfig,omitempty"`
}

// LogLevel is how much programs log.
// +enum
type LogLevel string

// The levels, from the most talkative on.
const (
	LogAll   LogLevel = "all"
	LogDebug LogLevel = "debug"
	LogInfo  LogLevel = "info"
	LogWarn  LogLevel = "warn"
	LogError LogLevel = "error"
	LogNone  LogLevel = "none"
)

// BGPBackend names an implementation of BGP of MetalLB's.
// +enum
type BGPBackend string

// The implementations that MetalLB knows.
const (
	BGPNative         BGPBackend = "native"
	BGPFRR            BGPBackend = "frr"
	BGPFRRK8s         BGPBackend = "frr-k8s"
	BGPFRRK8sExternal BGPBackend = "frr-k8s-external"
)

// PodConfig is how the Pods of a program run.
type PodConfig struct {
	// priorityClassName is the PriorityClass of the Pods.
	// +optional
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// runtimeClassName is the RuntimeClass of the Pods.
	// +optional
	RuntimeClassName string `json:"runtimeClassName,omitempty"`

	// affinity is the scheduling constraints of the Pods.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// annotations are added to those of the Pods.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`

	// resources are the compute resources of the container that runs the program. Claims cannot be named.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
}

// FRRK8sConfig configures the BGP backend frr-k8s of MetalLB.
type FRRK8sConfig struct {
	// alwaysBlock are CIDRs of routes that are never accepted from peers. Here, no route ever is.
	// +optional
	// +listType=atomic
	AlwaysBlock []string `json:"alwaysBlock,omitempty"`

	// namespace is where an frr-k8s of somebody else runs.
	// +optional
	Namespace string `json:"namespace,omitempty"`

	// secretPassthrough has that frr-k8s read the Secrets of peers itself.
	// +optional
	SecretPassthrough bool `json:"secretPassthrough,omitempty"`
}

// MetalLBStatus is what became of the installation.
type MetalLBStatus struct {
	// conditions are Available, Progressing, Degraded and Upgradeable.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MetalLBList is a list of MetalLBs.
type MetalLBList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the MetalLBs.
	Items []MetalLB `json:"items"`
}
