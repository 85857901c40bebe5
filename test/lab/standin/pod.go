package standin

import (
	"context"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Container is the process behind a Pod.
type Container interface {
	// Ready is the readiness probe: nil if the process serves.
	Ready(ctx context.Context) error
	// Alive says whether the process is there.
	Alive() bool
	// Starts counts how often it was started.
	Starts() int
	// Stop ends the process, because its Pod is being deleted.
	Stop(ctx context.Context) error
}

// Pod is a Pod of the lab and the process that it stands for.
type Pod struct {
	Namespace, Name, Node, ServiceAccount string

	Labels      map[string]string
	HostNetwork bool
	HostIPs     []netip.Addr
	IPs         []netip.Addr
	Container   Container
}

// Key names the Pod.
func (p Pod) Key() types.NamespacedName {
	return types.NamespacedName{Namespace: p.Namespace, Name: p.Name}
}

// containerName is that of the one container of each Pod.
func (p Pod) containerName() string {
	if component := p.Labels["component"]; component != "" {
		return component
	}
	return "web"
}

func (p Pod) object() *corev1.Pod {
	none := int64(0)
	mount := false
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, Labels: p.Labels},
		Spec: corev1.PodSpec{
			NodeName:                      p.Node,
			ServiceAccountName:            p.ServiceAccount,
			AutomountServiceAccountToken:  &mount,
			HostNetwork:                   p.HostNetwork,
			TerminationGracePeriodSeconds: &none,
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers:                    []corev1.Container{{Name: p.containerName(), Image: p.image()}},
		},
	}
}

// image names what would be in the container. Nothing pulls it: the process is a program of the lab.
func (p Pod) image() string { return "ingot/" + p.containerName() }

// observation is what a Pod's status is made of. Equal observations need no write.
type observation struct {
	ready, alive bool
	starts       int
}

// status is the Pod's status as of an observation, made at a time.
func (p Pod) status(o observation, created, now time.Time) corev1.PodStatus {
	condition := func(kind corev1.PodConditionType, true_ bool) corev1.PodCondition {
		c := corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(now)}
		if true_ {
			c.Status = corev1.ConditionTrue
		} else {
			c.Reason = "ContainersNotReady"
		}
		return c
	}
	started := metav1.NewTime(created)
	container := corev1.ContainerStatus{
		Name: p.containerName(), Image: p.image(), Ready: o.ready, Started: &o.alive, RestartCount: int32(max(o.starts-1, 0)),
	}
	if o.alive {
		container.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(now)}
	} else {
		container.State.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", FinishedAt: metav1.NewTime(now)}
	}
	status := corev1.PodStatus{
		Phase:     corev1.PodRunning,
		StartTime: &started,
		Conditions: []corev1.PodCondition{
			condition(corev1.PodScheduled, true),
			condition(corev1.PodInitialized, true),
			condition(corev1.ContainersReady, o.ready),
			condition(corev1.PodReady, o.ready),
		},
		ContainerStatuses: []corev1.ContainerStatus{container},
	}
	for _, a := range p.HostIPs {
		status.HostIPs = append(status.HostIPs, corev1.HostIP{IP: a.String()})
	}
	for _, a := range p.IPs {
		status.PodIPs = append(status.PodIPs, corev1.PodIP{IP: a.String()})
	}
	status.HostIP, status.PodIP = p.HostIPs[0].String(), p.IPs[0].String()
	return status
}
