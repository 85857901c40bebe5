package operator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/controller/operator/conditions"
	"github.com/ingot-lb/ingot/controller/operator/render"
	"github.com/ingot-lb/ingot/controller/operator/rollout"
)

func isWorkload(o *unstructured.Unstructured) bool {
	return o.GetKind() == "Deployment" || o.GetKind() == "DaemonSet"
}

// workloadOf reads a Deployment or DaemonSet; nil where there is none, of which only the image is empty.
func workloadOf(o *unstructured.Unstructured) (w conditions.Workload, image string) {
	if o == nil {
		return w, ""
	}
	if o.GetKind() == "DaemonSet" {
		var d appsv1.DaemonSet
		if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &d) != nil {
			return w, "" // the API has none that is not one
		}
		return conditions.Workload{Kind: "DaemonSet", Name: d.Name, Made: true, Seen: d.Status.ObservedGeneration >= d.Generation,
			Desired: d.Status.DesiredNumberScheduled, Updated: d.Status.UpdatedNumberScheduled, Ready: d.Status.NumberReady}, imageOf(d.Spec.Template, d.Name)
	}
	var d appsv1.Deployment
	if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &d) != nil {
		return w, ""
	}
	return ofDeployment(&d), imageOf(d.Spec.Template, d.Name)
}

// ofDeployment counts old Pods that are still there as Pods that are not replaced yet.
func ofDeployment(d *appsv1.Deployment) conditions.Workload {
	old := max(d.Status.Replicas-d.Status.UpdatedReplicas, 0)
	return conditions.Workload{Kind: "Deployment", Name: d.Name, Made: true, Seen: d.Status.ObservedGeneration >= d.Generation,
		Desired: ptr.Deref(d.Spec.Replicas, 1), Updated: max(min(d.Status.UpdatedReplicas, ptr.Deref(d.Spec.Replicas, 1))-old, 0), Ready: d.Status.ReadyReplicas}
}

func imageOf(template corev1.PodTemplateSpec, container string) string {
	for _, c := range template.Spec.Containers {
		if c.Name == container {
			return c.Image
		}
	}
	return ""
}

// stage is how far a workload is in running an image.
func (p progress) stage(live *unstructured.Unstructured, wanted string) rollout.Stage {
	w, image := workloadOf(live)
	if !w.Made {
		return rollout.Stage{Wanted: wanted}
	}
	return rollout.Stage{Exists: true, Image: image, Wanted: wanted, Lacks: w.Lacks(), Still: p.lacks(w.Name, w.Lacks())}
}

// lacks notes what a workload lacks now, and says for how long it has lacked just that.
func (p progress) lacks(name, what string) time.Duration {
	if last, noted := p[name]; !noted || last.what != what {
		p[name] = lack{what, time.Now()}
	}
	return p.still(name)
}

// still is for how long a workload has lacked what it lacks.
func (p progress) still(name string) time.Duration {
	if last := p[name]; last.what != "" {
		return time.Since(last.since)
	}
	return 0
}

// workload is what conditions say of one, with what its Pods wait for.
func (o *Operator) workload(ctx context.Context, object render.Object, live *unstructured.Unstructured, stalled bool) conditions.Workload {
	w, _ := workloadOf(live)
	w.Kind, w.Name, w.Stalled = object.GetKind(), object.GetName(), stalled
	if w.Lacks() != "" && w.Made {
		w.Waiting = append(refused(live), o.waiting(ctx, object.Component)...)
	}
	return w
}

// refused says why Pods of a workload are not made at all: of a Deployment, whose status has it.
func refused(live *unstructured.Unstructured) []string {
	var d appsv1.Deployment
	if live.GetKind() != "Deployment" || runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, &d) != nil {
		return nil
	}
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			return []string{c.Message}
		}
	}
	return nil
}

// waiting are the Pods of a component that are not ready. It is only told: without permission or answer nothing is.
func (o *Operator) waiting(ctx context.Context, component string) (all []string) {
	pods, err := o.Client.CoreV1().Pods(o.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=metallb,component=" + component})
	if err != nil {
		o.Log.Debug("Pods cannot be listed", "event", "podsUnknown", "component", component, "error", err)
		return nil
	}
	for i := range pods.Items {
		if why := waitsFor(&pods.Items[i]); why != "" {
			all = append(all, why)
		}
	}
	slices.Sort(all)
	return all
}

// waitsFor says why a Pod is not ready, and where; empty for one that is.
func waitsFor(pod *corev1.Pod) string {
	ready, why := false, string(pod.Status.Phase)
	for _, c := range pod.Status.Conditions {
		switch {
		case c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue:
			ready = true
		case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse:
			why = c.Message
		}
	}
	if ready && pod.DeletionTimestamp == nil {
		return ""
	}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		switch {
		case s.State.Waiting != nil:
			why = strings.TrimSuffix(fmt.Sprintf("container %s: %s: %s", s.Name, s.State.Waiting.Reason, s.State.Waiting.Message), ": ")
		case s.State.Running != nil && !s.Ready:
			why = fmt.Sprintf("container %s is not ready", s.Name)
		}
	}
	if pod.DeletionTimestamp != nil {
		why = "ends"
	}
	where := pod.Name
	if pod.Spec.NodeName != "" {
		where += " on " + pod.Spec.NodeName
	}
	return where + ": " + why
}

// apiserver is how far the apiserver is, where it is a Deployment beside the operator.
func (o *Operator) apiserver(ctx context.Context) (rollout.Stage, error) {
	d, err := o.Client.AppsV1().Deployments(o.Namespace).Get(ctx, "apiserver", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return rollout.Stage{}, nil
	}
	if err != nil {
		return rollout.Stage{}, fmt.Errorf("get Deployment apiserver: %w", err)
	}
	image := imageOf(d.Spec.Template, "apiserver")
	wanted := o.ApiserverImage
	if wanted == "" {
		wanted = image
	}
	lacks := ofDeployment(d).Lacks()
	return rollout.Stage{Exists: true, Image: image, Wanted: wanted, Lacks: lacks, Still: o.progress.lacks("apiserver", lacks)}, nil
}

// owners have what the operator makes outside of its namespace go with the ClusterRole by which it may make it, where somebody
// deletes the manifests, and the operator among them. Where the role has another name, nothing does.
func (o *Operator) owners(ctx context.Context) []metav1.OwnerReference {
	role, err := o.Client.RbacV1().ClusterRoles().Get(ctx, o.Namespace+":operator", metav1.GetOptions{})
	if err != nil {
		o.Log.Debug("what is outside of the namespace has no owner", "event", "noOwner", "error", err)
		return nil
	}
	return []metav1.OwnerReference{{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole", Name: role.Name, UID: role.UID}}
}

// speakerVersions are those of the speakers that are connected, by node.
func (o *Operator) speakerVersions(ctx context.Context) (map[string]string, error) {
	list, err := o.Dynamic.Resource(speakerStates).Namespace(o.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list SpeakerStates: %w", err)
	}
	versions := map[string]string{}
	for _, item := range list.Items {
		var s v1beta1.SpeakerState
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &s); err != nil {
			return nil, fmt.Errorf("reading SpeakerState %s: %w", item.GetName(), err)
		}
		if s.Status.State != "Unknown" && s.Status.Version != "" {
			versions[s.Status.Node] = s.Status.Version
		}
	}
	return versions, nil
}
