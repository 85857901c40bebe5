package rules

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

func installation(change func(*metallb.MetalLBSpec)) *metallb.MetalLB {
	m := &metallb.MetalLB{ObjectMeta: named("metallb")}
	change(&m.Spec)
	return m
}

func TestMetalLB(t *testing.T) {
	type spec = metallb.MetalLBSpec
	elsewhere := installation(func(*spec) {})
	elsewhere.Name = "other"
	run(t, nil, []verdict{
		{name: "nothing said", obj: installation(func(*spec) {})},
		{name: "everything said", obj: installation(func(s *spec) {
			s.NodeSelector = map[string]string{"node-role.kubernetes.io/worker": ""}
			s.SpeakerTolerations = []corev1.Toleration{
				{Key: "Example", Operator: "Exists", Effect: "NoExecute", TolerationSeconds: new(int64(5))}, {Operator: "Exists"}, {Key: "a", Value: "b"},
				{Key: "sla", Operator: "Gt", Value: "950"}}
			s.ControllerNodeSelector, s.ControllerTolerations = s.NodeSelector, s.SpeakerTolerations
			s.LogLevel, s.LoadBalancerClass = "debug", "metallb.io/internal_vip"
			s.SpeakerConfig = &metallb.PodConfig{PriorityClassName: "system-node-critical", RuntimeClassName: "kata",
				Annotations: map[string]string{"example.com/a": "b"},
				Resources: &corev1.ResourceRequirements{
					Limits:   corev1.ResourceList{"cpu": resource.MustParse("200m"), "example.com/nic": resource.MustParse("1")},
					Requests: corev1.ResourceList{"cpu": resource.MustParse("0.2"), "memory": resource.MustParse("1Gi")}}}
			s.ControllerConfig = &metallb.PodConfig{Affinity: &corev1.Affinity{
				NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
					NodeSelectorTerms: []corev1.NodeSelectorTerm{{
						MatchExpressions: []corev1.NodeSelectorRequirement{
							{Key: "a", Operator: "In", Values: []string{"b"}}, {Key: "a", Operator: "Exists"}, {Key: "a", Operator: "Gt", Values: []string{"3"}}},
						MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: "In", Values: []string{"node1"}}}}}}},
				PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{
					{Weight: 100, PodAffinityTerm: corev1.PodAffinityTerm{TopologyKey: "kubernetes.io/hostname",
						LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"component": "controller"}}}}}}}}
		})},
		{name: "another name", obj: elsewhere,
			warnings: []string{`metadata.name: other has no effect: the one MetalLB object that is acted on is "metallb"`}},
		{name: "an frr-k8s of others", obj: installation(func(s *spec) { s.BGPBackend = "frr-k8s-external" }),
			want:     []problem{{"spec.frrk8sConfig.namespace", "bgpBackend frr-k8s-external needs it"}},
			warnings: []string{"spec.bgpBackend: frr-k8s-external has no effect: there is one implementation of BGP, in the speaker"}},
		{name: "deprecated and without effect", obj: installation(func(s *spec) {
			s.Image, s.BGPBackend = "quay.io/metallb", "frr-k8s"
			s.FRRK8sConfig = &metallb.FRRK8sConfig{AlwaysBlock: []string{"10.0.0.0/8", "fd00::/8"}, Namespace: "frr-k8s-system"}
		}), warnings: []string{
			"spec.image: deprecated: it has no effect",
			"spec.bgpBackend: frr-k8s has no effect: there is one implementation of BGP, in the speaker",
			"spec.frrk8sConfig: it has no effect: there is no frr-k8s, and no route of a peer is ever accepted"}},
		{name: "values", obj: installation(func(s *spec) {
			s.LogLevel, s.BGPBackend, s.LoadBalancerClass = "loud", "bird", "/internal-vip"
			s.FRRK8sConfig = &metallb.FRRK8sConfig{AlwaysBlock: []string{"10.0.0.0/8", "10.0.0.1"}, Namespace: "No"}
		}), want: []problem{
			{"spec.logLevel", `"loud": supported values: "all", "debug", "info", "warn", "error", "none"`},
			{"spec.loadBalancerClass", `Invalid value: "/internal-vip"`},
			{"spec.bgpBackend", `"bird": supported values: "native", "frr", "frr-k8s", "frr-k8s-external"`},
			{"spec.frrk8sConfig.alwaysBlock[1]", `"10.0.0.1": must be a CIDR`},
			{"spec.frrk8sConfig.namespace", `"No"`},
		}, warnings: []string{
			"spec.bgpBackend: bird has no effect: there is one implementation of BGP, in the speaker",
			"spec.frrk8sConfig: it has no effect: there is no frr-k8s, and no route of a peer is ever accepted"}},
		{name: "tolerations", obj: installation(func(s *spec) {
			s.SpeakerTolerations = []corev1.Toleration{{}, {Key: "a", Operator: "Exists", Value: "b"}, {Key: "a", TolerationSeconds: new(int64(1))}}
			s.ControllerTolerations = []corev1.Toleration{{Key: "not a key", Value: "not a value"}, {Key: "a", Operator: "Near", Effect: "Never"},
				{Key: "a", Operator: "Lt", Value: "x"}}
		}), want: []problem{
			{"spec.speakerTolerations[0].operator", "must be Exists"},
			{"spec.speakerTolerations[1].value", "must be empty"},
			{"spec.speakerTolerations[2].effect", "NoExecute"},
			{"spec.controllerTolerations[0].key", "not a key"},
			{"spec.controllerTolerations[0].value", "not a value"},
			{"spec.controllerTolerations[1].operator", `"Near"`},
			{"spec.controllerTolerations[1].effect", `"Never"`},
			{"spec.controllerTolerations[2].value", "integer"},
		}},
		{name: "selectors and names", obj: installation(func(s *spec) {
			s.NodeSelector, s.ControllerNodeSelector = map[string]string{"not a key": ""}, map[string]string{"a": "not a value"}
			s.SpeakerConfig = &metallb.PodConfig{PriorityClassName: "No", RuntimeClassName: "no_", Annotations: map[string]string{"not a key": ""}}
		}), want: []problem{
			{"spec.nodeSelector", "not a key"}, {"spec.controllerNodeSelector", "not a value"}, {"spec.speakerConfig.priorityClassName", `"No"`},
			{"spec.speakerConfig.runtimeClassName", `"no_"`}, {"spec.speakerConfig.annotations", "not a key"},
		}},
		{name: "resources", obj: installation(func(s *spec) {
			s.SpeakerConfig = &metallb.PodConfig{Resources: &corev1.ResourceRequirements{
				Limits:   corev1.ResourceList{"cpu": resource.MustParse("100m"), "not a name": resource.MustParse("1")},
				Requests: corev1.ResourceList{"cpu": resource.MustParse("1"), "memory": resource.MustParse("-1")},
				Claims:   []corev1.ResourceClaim{{Name: "gpu"}}}}
		}), want: []problem{
			{"spec.speakerConfig.resources.limits[not a name]", "not a name"},
			{"spec.speakerConfig.resources.requests[memory]", `"-1"`},
			{"spec.speakerConfig.resources.requests[cpu]", `"1": must be less than or equal to cpu limit of 100m`},
			{"spec.speakerConfig.resources.claims", "no resource claims"},
		}},
		{name: "affinity", obj: installation(func(s *spec) {
			terms := []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{
					{Key: "", Operator: "In"}, {Key: "a", Operator: "Exists", Values: []string{"b"}}, {Key: "a", Operator: "Lt", Values: []string{"b"}},
					{Key: "a", Operator: "Near"}},
				MatchFields: []corev1.NodeSelectorRequirement{{Key: "spec.unschedulable", Operator: "Exists"}}}}
			s.ControllerConfig = &metallb.PodConfig{Affinity: &corev1.Affinity{
				NodeAffinity: &corev1.NodeAffinity{
					RequiredDuringSchedulingIgnoredDuringExecution:  &corev1.NodeSelector{},
					PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 0, Preference: terms[0]}}},
				PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
					{Namespaces: []string{"No"}, MatchLabelKeys: []string{"a"}, LabelSelector: nil},
					{TopologyKey: "not a key", LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"not a key": ""}},
						NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"not a key": ""}}}}},
				PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{
					{Weight: 101, PodAffinityTerm: corev1.PodAffinityTerm{TopologyKey: "a"}}}}}}
		}), want: []problem{
			{"spec.controllerConfig.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms", "at least one"},
			{"spec.controllerConfig.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight", "1 to 100"},
			{preference + ".matchExpressions[0].key", "name part must be non-empty"},
			{preference + ".matchExpressions[0].key", "alphanumeric"},
			{preference + ".matchExpressions[0].values", "must be specified"},
			{preference + ".matchExpressions[1].values", "may not be specified"},
			{preference + ".matchExpressions[2].values[0]", "integer"},
			{preference + ".matchExpressions[3].operator", `"Near"`},
			{preference + ".matchFields[0].key", "spec.unschedulable"},
			{preference + ".matchFields[0].operator", `"Exists"`},
			{preference + ".matchFields[0].values", "one element"},
			{pods + "[0].namespaces[0]", `"No"`},
			{pods + "[0].topologyKey", "empty"},
			{pods + "[0].matchLabelKeys", "labelSelector is not set"},
			{pods + "[1].labelSelector.matchLabels", "not a key"},
			{pods + "[1].namespaceSelector.matchLabels", "not a key"},
			{pods + "[1].topologyKey", "not a key"},
			{"spec.controllerConfig.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight", "1 to 100"},
		}},
	})
}

const (
	preference = "spec.controllerConfig.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference"
	pods       = "spec.controllerConfig.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution"
)
