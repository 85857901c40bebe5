package kubelet

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// picture is what a Pod's status is made of.
type picture struct {
	pod        *corev1.Pod
	init, main []corev1.ContainerStatus // in the manifest's order
	networked  bool                     // it has a network
	started    time.Time                // when this kubelet first saw it
	host, ips  []netip.Addr
	failed     string // the reason if it has failed as a whole
	message    string
}

// phaseOf is the Pod's phase by what became of its containers.
func phaseOf(policy corev1.RestartPolicy, init, main []corev1.ContainerStatus) corev1.PodPhase {
	for _, c := range init {
		switch t := c.State.Terminated; {
		case t != nil && t.ExitCode == 0:
		case t != nil && policy == corev1.RestartPolicyNever:
			return corev1.PodFailed
		default:
			return corev1.PodPending
		}
	}
	running, waiting, stopped, succeeded := 0, 0, 0, 0
	for _, c := range main {
		switch {
		case c.State.Running != nil:
			running++
		case c.State.Terminated != nil:
			stopped++
			if c.State.Terminated.ExitCode == 0 {
				succeeded++
			}
		case c.LastTerminationState.Terminated != nil:
			stopped++
		default:
			waiting++
		}
	}
	switch {
	case waiting > 0:
		return corev1.PodPending
	case running > 0 || policy == corev1.RestartPolicyAlways:
		return corev1.PodRunning
	case stopped == succeeded:
		return corev1.PodSucceeded
	case policy == corev1.RestartPolicyNever:
		return corev1.PodFailed
	}
	return corev1.PodRunning
}

// status is the Pod's, made at a time, from the one before, of which it keeps what others wrote.
func (p picture) status(before corev1.PodStatus, now time.Time) corev1.PodStatus {
	s := *before.DeepCopy()
	s.ObservedGeneration = p.pod.Generation
	s.Phase = phaseOf(p.pod.Spec.RestartPolicy, p.init, p.main)
	if s.Phase == corev1.PodPending && before.Phase == corev1.PodRunning {
		s.Phase = corev1.PodRunning // never back
	}
	s.Reason, s.Message = p.failed, p.message
	if p.failed != "" {
		s.Phase = corev1.PodFailed
	}
	if before.Phase == corev1.PodFailed || before.Phase == corev1.PodSucceeded {
		s.Phase = before.Phase
	}
	s.InitContainerStatuses, s.ContainerStatuses = p.init, p.main
	if s.StartTime == nil {
		s.StartTime = &metav1.Time{Time: p.started.Truncate(time.Second)}
	}
	s.HostIPs, s.PodIPs = nil, nil
	for _, a := range p.host {
		s.HostIPs = append(s.HostIPs, corev1.HostIP{IP: a.String()})
	}
	for _, a := range p.ips {
		s.PodIPs = append(s.PodIPs, corev1.PodIP{IP: a.String()})
	}
	s.HostIP, s.PodIP = first(p.host), first(p.ips)

	over := s.Phase == corev1.PodSucceeded || s.Phase == corev1.PodFailed
	set := func(kind corev1.PodConditionType, ok bool, reason, message string) {
		p.condition(&s, now, kind, ok, reason, message)
	}
	set(corev1.PodReadyToStartContainers, p.networked, "", "")
	var incomplete []string
	for _, c := range p.init {
		if c.State.Terminated == nil || c.State.Terminated.ExitCode != 0 {
			incomplete = append(incomplete, c.Name)
		}
	}
	switch {
	case s.Phase == corev1.PodSucceeded:
		set(corev1.PodInitialized, true, "PodCompleted", "")
	case len(incomplete) > 0:
		set(corev1.PodInitialized, false, "ContainersNotInitialized", "containers with incomplete status: ["+strings.Join(incomplete, " ")+"]")
	default:
		set(corev1.PodInitialized, true, "", "")
	}
	var unready []string
	for _, c := range p.main {
		if !c.Ready {
			unready = append(unready, c.Name)
		}
	}
	reason, message := "", ""
	switch {
	case s.Phase == corev1.PodSucceeded:
		reason = "PodCompleted"
	case s.Phase == corev1.PodFailed:
		reason = "PodFailed"
	case len(unready) > 0:
		reason, message = "ContainersNotReady", "containers with unready status: ["+strings.Join(unready, " ")+"]"
	}
	ready := !over && len(unready) == 0
	set(corev1.ContainersReady, ready, reason, message)
	for _, gate := range p.pod.Spec.ReadinessGates {
		i := slices.IndexFunc(s.Conditions, func(c corev1.PodCondition) bool { return c.Type == gate.ConditionType })
		if ready && (i < 0 || s.Conditions[i].Status != corev1.ConditionTrue) {
			ready, reason, message = false, "ReadinessGatesNotReady", "the status of pod readiness gate \""+string(gate.ConditionType)+"\" is not \"True\""
		}
	}
	set(corev1.PodReady, ready, reason, message)
	return s
}

// condition sets one; its time is when its status last changed.
func (p picture) condition(s *corev1.PodStatus, now time.Time, kind corev1.PodConditionType, ok bool, reason, message string) {
	next := corev1.PodCondition{
		Type: kind, Status: corev1.ConditionFalse, Reason: reason, Message: message, ObservedGeneration: p.pod.Generation,
		LastTransitionTime: metav1.NewTime(now.Truncate(time.Second)),
	}
	if ok {
		next.Status = corev1.ConditionTrue
	}
	i := slices.IndexFunc(s.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind })
	if i < 0 {
		s.Conditions = append(s.Conditions, next)
		return
	}
	if s.Conditions[i].Status == next.Status {
		next.LastTransitionTime = s.Conditions[i].LastTransitionTime
	}
	s.Conditions[i] = next
}

func first(addresses []netip.Addr) string {
	if len(addresses) == 0 {
		return ""
	}
	return addresses[0].String()
}
