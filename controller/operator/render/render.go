// Package render makes the objects of an installation out of a MetalLB object and the manifests that are shipped, which it
// has from package deploy: so that what the operator makes is what `kubectl apply` of them makes, changed as the object
// says. It asks nobody and changes nothing.
package render

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/webhooks/registration"
)

// The label and its value that everything has which the operator makes.
const (
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedBy      = "metallb-operator"
)

// The components, which are the names of their workloads, too.
const (
	Speaker    = "speaker"
	Controller = "controller"
	Webhooks   = "webhooks"
)

// Components are all of them, in the order in which a new version of them is rolled out.
var Components = []string{Speaker, Controller, Webhooks}

// Settings are what the operator is told by its own Deployment: what is no matter of the MetalLB object.
type Settings struct {
	// Namespace is the system namespace.
	Namespace string
	// Images are those of the components.
	Images map[string]string
	// MetricsPort is where all components serve metrics and probes.
	MetricsPort int32
	// NetworkPolicies are made, unless the cluster is to go without.
	NetworkPolicies bool
	// Enforce has webhooks refuse what otherwise is a warning.
	Enforce bool
}

// Object is one object to be there.
type Object struct {
	*unstructured.Unstructured
	// Component that it belongs to.
	Component string
}

// Objects are what shall be there, in the order of Components, each with its workload last: what a Pod needs is there before it.
// An error is a mistake of ours, in the manifests or here.
func Objects(spec *v1beta1.MetalLBSpec, s Settings) ([]Object, error) {
	shipped, err := manifests()
	if err != nil {
		return nil, err
	}
	var all []Object
	for _, component := range Components {
		image := s.Images[component]
		if image == "" {
			return nil, fmt.Errorf("no image of %s is set", component)
		}
		for _, o := range shipped[component] {
			o := o.DeepCopy()
			if o.GetKind() == "NetworkPolicy" && !s.NetworkPolicies {
				continue
			}
			if err := customize(o, component, spec, s); err != nil {
				return nil, fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err)
			}
			o.Object = relocate(o.Object, s.Namespace).(map[string]any)
			labels := o.GetLabels()
			labels[ManagedByLabel] = ManagedBy
			o.SetLabels(labels)
			all = append(all, Object{o, component})
		}
	}
	return all, nil
}

// customize changes one shipped object as is said.
func customize(o *unstructured.Unstructured, component string, spec *v1beta1.MetalLBSpec, s Settings) error {
	switch o.GetKind() {
	case "DaemonSet", "Deployment":
	case "ValidatingWebhookConfiguration":
		return ofClass(o, spec.LoadBalancerClass)
	default:
		return nil
	}
	w, err := newWorkload(o)
	if err != nil {
		return err
	}
	for _, c := range w.containers {
		c["image"] = s.Images[component]
	}
	if s.MetricsPort != defaultMetricsPort {
		w.serveMetrics(s.MetricsPort)
	}
	switch component {
	case Speaker:
		w.selectNodes(spec.NodeSelector)
		if err := w.tolerate(spec.SpeakerTolerations); err != nil {
			return err
		}
		if err := w.configure(spec.SpeakerConfig); err != nil {
			return err
		}
	case Controller:
		w.class(spec.LoadBalancerClass)
		w.selectNodes(spec.ControllerNodeSelector)
		if err := w.tolerate(spec.ControllerTolerations); err != nil {
			return err
		}
		if err := w.configure(spec.ControllerConfig); err != nil {
			return err
		}
	case Webhooks: // they run where the controller may, with its priority; the rest is about the controller's Pods alone
		w.class(spec.LoadBalancerClass)
		if s.Enforce {
			w.argument("--enforce")
		}
		w.selectNodes(spec.ControllerNodeSelector)
		if err := w.tolerate(spec.ControllerTolerations); err != nil {
			return err
		}
		if c := spec.ControllerConfig; c != nil {
			w.classes(c)
		}
	}
	return w.store()
}

// ofClass has the kube-apiserver ask about Services of the class, in the words in which webhooks keeps it.
func ofClass(o *unstructured.Unstructured, class string) error {
	hooks, _, err := unstructured.NestedSlice(o.Object, "webhooks")
	if err != nil {
		return err
	}
	for _, hook := range hooks {
		conditions, _, err := unstructured.NestedSlice(hook.(map[string]any), "matchConditions")
		if err != nil {
			return err
		}
		for _, c := range conditions {
			if c := c.(map[string]any); c["name"] == registration.OfOurClass {
				c["expression"] = registration.ClassCondition(class)
			}
		}
		hook.(map[string]any)["matchConditions"] = conditions
	}
	return unstructured.SetNestedSlice(o.Object, hooks, "webhooks")
}

// workload is a Deployment or DaemonSet being changed: the parts that are, as they are written.
type workload struct {
	object     *unstructured.Unstructured
	pod        map[string]any
	containers []map[string]any
	main       map[string]any // the container that has the component's name
}

func newWorkload(o *unstructured.Unstructured) (*workload, error) {
	pod, found, err := unstructured.NestedMap(o.Object, "spec", "template", "spec")
	if err != nil || !found {
		return nil, fmt.Errorf("it has no Pod template (%w)", err)
	}
	w := &workload{object: o, pod: pod}
	list, _ := pod["containers"].([]any)
	for _, c := range list {
		container, ok := c.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("container %v is not an object", c)
		}
		w.containers = append(w.containers, container)
		if container["name"] == o.GetName() {
			w.main = container
		}
	}
	if w.main == nil {
		return nil, fmt.Errorf("it has no container %s", o.GetName())
	}
	return w, nil
}

func (w *workload) store() error {
	return unstructured.SetNestedMap(w.object.Object, w.pod, "spec", "template", "spec")
}

func (w *workload) argument(arg string) {
	args, _ := w.main["args"].([]any)
	w.main["args"] = append(slices.Clone(args), arg)
}

func (w *workload) class(class string) {
	if class != "" {
		w.argument("--lb-class=" + class)
	}
}

// defaultMetricsPort is that of the programs and the manifests.
const defaultMetricsPort = 7472

func (w *workload) serveMetrics(port int32) {
	w.argument(fmt.Sprintf("--metrics-address=:%d", port))
	ports, _ := w.main["ports"].([]any)
	for _, p := range ports {
		if p := p.(map[string]any); p["name"] == "monitoring" {
			p["containerPort"] = int64(port)
		}
	}
}

// selectNodes adds labels that nodes must have. Those of the manifest go before.
func (w *workload) selectNodes(labels map[string]string) {
	selector := map[string]any{}
	for key, value := range labels {
		selector[key] = value
	}
	shipped, _ := w.pod["nodeSelector"].(map[string]any)
	maps.Copy(selector, shipped)
	w.pod["nodeSelector"] = selector
}

func (w *workload) tolerate(tolerations []corev1.Toleration) error {
	list, _ := w.pod["tolerations"].([]any)
	for i := range tolerations {
		t, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&tolerations[i])
		if err != nil {
			return fmt.Errorf("tolerations: %w", err)
		}
		list = append(list, t)
	}
	if len(list) > 0 {
		w.pod["tolerations"] = list
	}
	return nil
}

// classes sets those of the Pods.
func (w *workload) classes(c *v1beta1.PodConfig) {
	if c.PriorityClassName != "" {
		w.pod["priorityClassName"] = c.PriorityClassName
	}
	if c.RuntimeClassName != "" {
		w.pod["runtimeClassName"] = c.RuntimeClassName
	}
}

// configure does all that a PodConfig says. Resources take the place of those of the manifest, as with MetalLB.
func (w *workload) configure(c *v1beta1.PodConfig) error {
	if c == nil {
		return nil
	}
	w.classes(c)
	if c.Affinity != nil {
		affinity, err := runtime.DefaultUnstructuredConverter.ToUnstructured(c.Affinity)
		if err != nil {
			return fmt.Errorf("affinity: %w", err)
		}
		w.pod["affinity"] = affinity
	}
	if c.Resources != nil {
		resources, err := runtime.DefaultUnstructuredConverter.ToUnstructured(c.Resources)
		if err != nil {
			return fmt.Errorf("resources: %w", err)
		}
		w.main["resources"] = resources
	}
	for key, value := range c.Annotations {
		if err := unstructured.SetNestedField(w.object.Object, value, "spec", "template", "metadata", "annotations", key); err != nil {
			return fmt.Errorf("annotations: %w", err)
		}
	}
	return nil
}
