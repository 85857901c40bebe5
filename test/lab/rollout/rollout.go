// Package rollout waits until workloads are as their manifests say, and tells what is not.
package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

const (
	period   = 100 * time.Millisecond
	logLines = 15 // of a container that is not ready
)

// Workload is a Deployment, a StatefulSet or a DaemonSet.
type Workload struct {
	Kind, Namespace, Name string
}

// String is what people call it.
func (w Workload) String() string { return w.Kind + " " + w.Namespace + "/" + w.Name }

// IsWorkload says whether objects of a kind are workloads.
func IsWorkload(kind string) bool {
	return slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet"}, kind)
}

// Await returns when all Pods of all workloads are ready and of the latest template. If ctx ends before, the error says what
// is missing, and what the Pods and their containers say.
func Await(ctx context.Context, client kubernetes.Interface, workloads []Workload) error {
	missing := map[Workload]error{}
	err := wait.PollUntilContextCancel(ctx, period, true, func(ctx context.Context) (bool, error) {
		now := map[Workload]error{}
		for _, w := range workloads {
			if err := Ready(ctx, client, w); err != nil {
				now[w] = err
			}
		}
		if ctx.Err() == nil || len(missing) == 0 { // an answer that was not waited for says nothing of what is missing
			missing = now
		}
		return len(now) == 0, nil
	})
	if err == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // which has ended, and with it the answers
	var all []error
	for _, w := range workloads {
		if missing[w] != nil {
			all = append(all, fmt.Errorf("%s: %w%s", w, missing[w], explain(ctx, client, w)))
		}
	}
	return fmt.Errorf("not ready in time:\n%w", errors.Join(all...))
}

// Ready returns nil if all Pods of a workload are ready and of the latest template.
func Ready(ctx context.Context, client kubernetes.Interface, w Workload) error {
	switch w.Kind {
	case "Deployment":
		o, err := client.AppsV1().Deployments(w.Namespace).Get(ctx, w.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return deployment(o)
	case "StatefulSet":
		o, err := client.AppsV1().StatefulSets(w.Namespace).Get(ctx, w.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return statefulSet(o)
	case "DaemonSet":
		o, err := client.AppsV1().DaemonSets(w.Namespace).Get(ctx, w.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return daemonSet(o)
	}
	return fmt.Errorf("kind %s has no Pods", w.Kind)
}

func deployment(o *appsv1.Deployment) error {
	s := o.Status
	return complete(o.Generation, s.ObservedGeneration, *o.Spec.Replicas, s.UpdatedReplicas, s.AvailableReplicas, s.Replicas)
}

func statefulSet(o *appsv1.StatefulSet) error {
	s := o.Status
	return complete(o.Generation, s.ObservedGeneration, *o.Spec.Replicas, s.UpdatedReplicas, s.AvailableReplicas, s.Replicas)
}

func daemonSet(o *appsv1.DaemonSet) error {
	s := o.Status
	return complete(o.Generation, s.ObservedGeneration, s.DesiredNumberScheduled, s.UpdatedNumberScheduled, s.NumberAvailable, s.CurrentNumberScheduled)
}

func complete(generation, observed int64, want, updated, available, all int32) error {
	switch {
	case observed < generation:
		return errors.New("its controller has not seen it yet")
	case available < want:
		return fmt.Errorf("%d of %d ready", available, want)
	case updated < want:
		return fmt.Errorf("%d of %d of the latest template", updated, want)
	case all > want:
		return fmt.Errorf("%d of an earlier template are still there", all-want)
	}
	return nil
}

// explain is what the Pods of a workload that are not ready have to say.
func explain(ctx context.Context, client kubernetes.Interface, w Workload) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	pods, err := client.CoreV1().Pods(w.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "\n  " + err.Error()
	}
	var b strings.Builder
	for _, pod := range pods.Items {
		// A Deployment's Pods are its ReplicaSets', which have its name and a hash.
		owner := metav1.GetControllerOf(&pod)
		if owner == nil || owner.Name != w.Name && (owner.Kind != "ReplicaSet" || owner.Name != w.Name+"-"+pod.Labels["pod-template-hash"]) {
			continue
		}
		describe(ctx, client, &pod, &b)
	}
	if b.Len() == 0 {
		return "\n  there are no Pods of it"
	}
	return b.String()
}

func describe(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod, b *strings.Builder) {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return
		}
	}
	fmt.Fprintf(b, "\n  Pod %s on node %q is %s", pod.Name, pod.Spec.NodeName, pod.Status.Phase)
	for _, c := range pod.Status.Conditions {
		if c.Status != corev1.ConditionTrue && c.Message != "" {
			fmt.Fprintf(b, "\n    %s: %s", c.Reason, c.Message)
		}
	}
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if c.Ready || c.State.Terminated != nil && c.State.Terminated.ExitCode == 0 {
			continue
		}
		fmt.Fprintf(b, "\n    container %s, started %d times: ", c.Name, c.RestartCount)
		switch {
		case c.State.Waiting != nil:
			fmt.Fprintf(b, "%s: %s", c.State.Waiting.Reason, c.State.Waiting.Message)
		case c.State.Terminated != nil:
			fmt.Fprintf(b, "%s: exit status %d %s", c.State.Terminated.Reason, c.State.Terminated.ExitCode, c.State.Terminated.Message)
		default:
			b.WriteString("runs, and is not ready")
		}
		lines := int64(logLines)
		log, err := client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: c.Name, TailLines: &lines}).Timeout(time.Second).DoRaw(ctx)
		if err != nil {
			log = []byte(err.Error())
		}
		for line := range strings.Lines(strings.TrimSpace(string(log))) {
			b.WriteString("\n      | " + strings.TrimSuffix(line, "\n"))
		}
	}
}
