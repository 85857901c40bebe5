package metallb

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MetalLB is the installation: how the programs run.
type MetalLB struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   MetalLBSpec
	Status MetalLBStatus
}

// MetalLBName is the name that the one MetalLB object has.
const MetalLBName = "metallb"

// OperatorFinalizer keeps a MetalLB object until the operator has removed what it made, unless the namespace ends.
const OperatorFinalizer = "ingot.io/operator"

// MetalLBSpec is the desired state of the installation.
type MetalLBSpec struct {
	// Image is deprecated and has no effect.
	Image string
	// NodeSelector is where speakers run; Linux is understood.
	NodeSelector           map[string]string
	SpeakerTolerations     []corev1.Toleration
	ControllerNodeSelector map[string]string
	ControllerTolerations  []corev1.Toleration
	LogLevel               LogLevel
	LoadBalancerClass      string
	ControllerConfig       *PodConfig
	SpeakerConfig          *PodConfig
	BGPBackend             BGPBackend
	FRRK8sConfig           *FRRK8sConfig
}

// LogLevel is how much programs log.
type LogLevel string

// LogLevels are all that there are, from the most talkative on.
var LogLevels = []LogLevel{"all", "debug", "info", "warn", "error", "none"}

// BGPBackend names an implementation of BGP of MetalLB's.
type BGPBackend string

// BGPBackends are all that MetalLB knows.
var BGPBackends = []BGPBackend{"native", "frr", "frr-k8s", BGPFRRK8sExternal}

// BGPFRRK8sExternal is an frr-k8s of somebody else, whose namespace must be known.
const BGPFRRK8sExternal BGPBackend = "frr-k8s-external"

// PodConfig is how the Pods of a program run.
type PodConfig struct {
	PriorityClassName string
	RuntimeClassName  string
	Affinity          *corev1.Affinity
	// Annotations of the Pods.
	Annotations map[string]string
	// Resources of the program's own container.
	Resources *corev1.ResourceRequirements
}

// FRRK8sConfig configures MetalLB's BGP backend frr-k8s.
type FRRK8sConfig struct {
	// AlwaysBlock are CIDRs that are never accepted from peers.
	AlwaysBlock       []string
	Namespace         string
	SecretPassthrough bool
}

// MetalLBStatus is what became of the installation.
type MetalLBStatus struct {
	Conditions []metav1.Condition
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MetalLBList is a list of MetalLBs.
type MetalLBList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []MetalLB
}
