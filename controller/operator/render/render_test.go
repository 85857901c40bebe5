package render

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
)

var settings = Settings{
	Namespace: "metallb-system", MetricsPort: 7472, NetworkPolicies: true,
	Images: map[string]string{Speaker: "r.example/speaker:v1", Controller: "r.example/controller:v1", Webhooks: "r.example/webhooks:v1"},
}

// rendered are the objects as YAML, by kind and name.
func rendered(t *testing.T, spec v1beta1.MetalLBSpec, s Settings) map[string]string {
	t.Helper()
	all, err := Objects(&spec, s)
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]string{}
	for _, o := range all {
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		written[o.GetKind()+" "+o.GetName()] = string(text)
	}
	return written
}

// TestNothingSaidIsWhatIsShipped but for the images and the label.
func TestNothingSaidIsWhatIsShipped(t *testing.T) {
	shipped, err := manifests()
	if err != nil {
		t.Fatal(err)
	}
	all, err := Objects(&v1beta1.MetalLBSpec{}, settings)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range all {
		name := o.GetKind() + " " + o.GetName()
		names = append(names, name)
		i := slices.IndexFunc(shipped[o.Component], func(s *unstructured.Unstructured) bool { return s.GetKind()+" "+s.GetName() == name })
		want := shipped[o.Component][i].DeepCopy()
		labels := want.GetLabels()
		labels[ManagedByLabel] = ManagedBy
		want.SetLabels(labels)
		if w, err := newWorkload(want); err == nil {
			for _, c := range w.containers {
				c["image"] = settings.Images[o.Component]
			}
			if err := w.store(); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want.Object, o.Object); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	want := []string{
		"DaemonSet speaker",
		"NetworkPolicy controller", "PodDisruptionBudget controller", "Deployment controller",
		"NetworkPolicy webhooks", "Service webhooks", "PodDisruptionBudget webhooks", "ValidatingWebhookConfiguration ingot-webhooks", "Deployment webhooks",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
}

// lines are the lines of text that the other does not have, in order, without indentation.
func lines(text, other string) (more []string) {
	counts := map[string]int{}
	for line := range strings.Lines(other) {
		counts[line]++
	}
	for line := range strings.Lines(text) {
		if counts[line]--; counts[line] < 0 {
			more = append(more, strings.TrimSpace(line))
		}
	}
	return more
}

// TestEachFieldChanges what it is about, and nothing else.
func TestEachFieldChanges(t *testing.T) {
	type spec = v1beta1.MetalLBSpec
	pods := &v1beta1.PodConfig{
		PriorityClassName: "high", RuntimeClassName: "other", Annotations: map[string]string{"example.com/a.b": "c"},
		Affinity:  &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 7}}}},
		Resources: &corev1.ResourceRequirements{Limits: corev1.ResourceList{"memory": resource.MustParse("99Mi")}},
	}
	affinity := []string{"affinity:", "nodeAffinity:", "preferredDuringSchedulingIgnoredDuringExecution:", "- preference: {}", "weight: 7"}
	whole := func(annotations ...string) []string {
		return slices.Concat(annotations, affinity, []string{"limits:", "memory: 99Mi", "priorityClassName: high", "runtimeClassName: other"})
	}
	annotations := []string{"annotations:", "example.com/a.b: c"}
	s := settings
	for _, c := range []struct {
		name string
		spec spec
		set  func(*Settings)
		// more is what objects have that they have not without, less the reverse.
		more, less map[string][]string
	}{
		{name: "nodeSelector", spec: spec{NodeSelector: map[string]string{"rack": "a", "kubernetes.io/os": "plan9"}}, more: map[string][]string{
			"DaemonSet speaker": {"rack: a"}}},
		{name: "speakerTolerations", spec: spec{SpeakerTolerations: []corev1.Toleration{{Key: "Example", Operator: "Exists", Effect: "NoExecute"}}}, more: map[string][]string{
			"DaemonSet speaker": {"- effect: NoExecute", "key: Example", "operator: Exists"}}},
		{name: "controllerNodeSelector", spec: spec{ControllerNodeSelector: map[string]string{"rack": "a"}}, more: map[string][]string{
			"Deployment controller": {"rack: a"}, "Deployment webhooks": {"rack: a"}}},
		{name: "controllerTolerations", spec: spec{ControllerTolerations: []corev1.Toleration{{Key: "a", Value: "b"}}}, more: map[string][]string{
			"Deployment controller": {"tolerations:", "- key: a", "value: b"}, "Deployment webhooks": {"tolerations:", "- key: a", "value: b"}}},
		{name: "logLevel takes effect without new Pods", spec: spec{LogLevel: v1beta1.LogDebug}},
		{name: "loadBalancerClass", spec: spec{LoadBalancerClass: "example.com/a"}, more: map[string][]string{
			"Deployment controller": {"- --lb-class=example.com/a"}, "Deployment webhooks": {"- --lb-class=example.com/a"},
			"ValidatingWebhookConfiguration ingot-webhooks": {`- expression: has(object.spec.loadBalancerClass) && object.spec.loadBalancerClass`, `== "example.com/a"`}},
			less: map[string][]string{"ValidatingWebhookConfiguration ingot-webhooks": {`- expression: '!has(object.spec.loadBalancerClass)'`}}},
		{name: "speakerConfig", spec: spec{SpeakerConfig: pods}, more: map[string][]string{"DaemonSet speaker": whole(annotations...)},
			less: map[string][]string{"DaemonSet speaker": {"cpu: 50m", "memory: 48Mi", "requests:", "priorityClassName: system-node-critical"}}},
		{name: "controllerConfig", spec: spec{ControllerConfig: pods}, more: map[string][]string{
			"Deployment controller": whole(annotations...), "Deployment webhooks": {"priorityClassName: high", "runtimeClassName: other"}},
			less: map[string][]string{"Deployment controller": {"requests:", "cpu: 50m", "memory: 64Mi", "priorityClassName: system-cluster-critical"},
				"Deployment webhooks": {"priorityClassName: system-cluster-critical"}}},
		{name: "what has no effect", spec: spec{Image: "a", BGPBackend: v1beta1.BGPFRRK8s, FRRK8sConfig: &v1beta1.FRRK8sConfig{AlwaysBlock: []string{"10.0.0.0/8"}}}},
		{name: "ENFORCE", set: func(s *Settings) { s.Enforce = true }, more: map[string][]string{"Deployment webhooks": {"- --enforce"}}},
		{name: "METRICS_PORT", set: func(s *Settings) { s.MetricsPort = 9120 }, more: map[string][]string{
			"DaemonSet speaker": {"- --metrics-address=:9120", "- containerPort: 9120"}, "Deployment controller": {"- --metrics-address=:9120", "- containerPort: 9120"},
			"Deployment webhooks": {"- --metrics-address=:9120", "- containerPort: 9120"}}, less: map[string][]string{
			"DaemonSet speaker": {"- containerPort: 7472"}, "Deployment controller": {"- containerPort: 7472"}, "Deployment webhooks": {"- containerPort: 7472"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			with := s
			if c.set != nil {
				c.set(&with)
			}
			before, after := rendered(t, spec{}, s), rendered(t, c.spec, with)
			more, less := map[string][]string{}, map[string][]string{}
			for name := range after {
				if l := lines(after[name], before[name]); l != nil {
					more[name] = l
				}
				if l := lines(before[name], after[name]); l != nil {
					less[name] = l
				}
			}
			if c.more == nil {
				c.more = map[string][]string{}
			}
			if c.less == nil {
				c.less = map[string][]string{}
			}
			if diff := cmp.Diff(c.more, more); diff != "" {
				t.Errorf("added (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.less, less); diff != "" {
				t.Errorf("removed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNetworkPoliciesCanBeDoneWithout(t *testing.T) {
	without := settings
	without.NetworkPolicies = false
	got := rendered(t, v1beta1.MetalLBSpec{}, without)
	want := rendered(t, v1beta1.MetalLBSpec{}, settings)
	maps.DeleteFunc(want, func(name, _ string) bool { return strings.HasPrefix(name, "NetworkPolicy ") })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestAnotherNamespace is where everything then is, and what everything then names.
func TestAnotherNamespace(t *testing.T) {
	elsewhere := settings
	elsewhere.Namespace = "lb"
	for name, text := range rendered(t, v1beta1.MetalLBSpec{}, elsewhere) {
		if strings.Contains(text, shippedNamespace) {
			t.Errorf("%s still names the other:\n%s", name, text)
		}
		if !strings.Contains(name, "ingot-webhooks") && !strings.Contains(text, "\n  namespace: lb\n") {
			t.Errorf("%s is not there:\n%s", name, text)
		}
	}
}

func TestAnImageIsNeeded(t *testing.T) {
	without := settings
	without.Images = map[string]string{Speaker: "a", Controller: "b"}
	if _, err := Objects(&v1beta1.MetalLBSpec{}, without); err == nil || err.Error() != "no image of webhooks is set" {
		t.Errorf("got %v", err)
	}
}
