package kubelet

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/ingot-lb/ingot/test/lab/kubelet/objects"
)

const (
	writeTimeout = 10 * time.Second
	retry        = time.Second // of what the API did not take

	// acquaintance is how long the kube-apiserver may take to see that a Pod, and so its Secrets, are this node's business.
	acquaintance = 2 * time.Second
)

// sync does what is to be done for the Pod now. It returns when to look again if nothing happens before, and whether the Pod is over.
func (p *pod) sync(ctx context.Context) (next time.Time, over bool) {
	p.harvest()
	object, gone := p.current()
	done := object.Status.Phase == corev1.PodSucceeded || object.Status.Phase == corev1.PodFailed
	if gone || object.DeletionTimestamp != nil || done {
		return p.end(ctx, object, gone)
	}
	p.k.objects.Want(p.uid, objects.Of(object))
	next = p.bring(ctx, object)
	if err := p.report(ctx); err != nil {
		p.k.log.Warn("pod status", "pod", p.key.String(), "error", err)
		next = sooner(next, time.Now().Add(retry))
	}
	return sooner(next, p.renew), false
}

// bring brings the Pod up, as far as can be done now.
func (p *pod) bring(ctx context.Context, object *corev1.Pod) (next time.Time) {
	if err := unsupported(object); err != nil {
		p.complain("", "Failed", err.Error())
		p.waitAll(object, "CreateContainerConfigError", err.Error())
		return time.Time{}
	}
	made, renew, err := p.volumes.Setup(ctx, object)
	p.renew = renew
	switch {
	case apierrors.IsForbidden(err) && p.made == nil && time.Since(p.began) < acquaintance:
		return time.Now().Add(acquaintance / 20)
	case err != nil:
		p.complain("", "FailedMount", err.Error())
		next = p.later("volumes")
		// What is there already stays, as it was.
		if p.made == nil {
			return next
		}
	default:
		p.made = made
		delete(p.told, "/FailedMount")
		p.retries.DeleteEntry("volumes")
	}
	if err := p.network(ctx, object); err != nil {
		p.complain("", "FailedCreatePodSandBox", "Failed to create pod sandbox: "+err.Error())
		return sooner(next, p.later("network"))
	}
	object, _ = p.current() // it has addresses now
	for i := range object.Spec.InitContainers {
		c := &object.Spec.InitContainers[i]
		if p.succeeded(c.Name) {
			continue
		}
		p.waitAll(object, "PodInitializing", "")
		return sooner(next, p.ensure(ctx, object, c))
	}
	for i := range object.Spec.Containers {
		next = sooner(next, p.ensure(ctx, object, &object.Spec.Containers[i]))
	}
	return next
}

// network gives the Pod its network, once.
func (p *pod) network(ctx context.Context, object *corev1.Pod) error {
	p.mu.Lock()
	have := p.sandbox != nil
	p.mu.Unlock()
	if have {
		return nil
	}
	sandbox := &Sandbox{Network: p.k.Network, Addresses: p.k.Addresses}
	if !object.Spec.HostNetwork {
		var err error
		if sandbox, err = p.k.Sandbox(ctx, object); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sandbox = sandbox
	p.retries.DeleteEntry("network")
	return nil
}

// later is when what failed is tried again.
func (p *pod) later(what string) time.Time {
	now := time.Now()
	p.retries.Next(what, now)
	return now.Add(p.retries.Get(what))
}

// complain tells of what is wrong, once until it is something else or told is cleared of it.
func (p *pod) complain(container, reason, message string) {
	if about := container + "/" + reason; p.told[about] != message {
		p.told[about] = message
		p.event(corev1.EventTypeWarning, container, reason, "%s", message)
	}
}

// waitAll has all containers that never ran wait for a reason.
func (p *pod) waitAll(object *corev1.Pod, reason, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range object.Spec.Containers {
		if i := p.instance(c.Name); i.starts == 0 {
			i.state = waiting(reason, message)
		}
	}
}

// succeeded says whether an init container has done its work.
func (p *pod) succeeded(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.instance(name)
	return !i.running && i.state.Terminated != nil && i.state.Terminated.ExitCode == 0
}

// picture is the Pod as it is now.
func (p *pod) picture() picture {
	p.mu.Lock()
	defer p.mu.Unlock()
	pictured := picture{
		pod: p.object, networked: p.sandbox != nil, started: p.began, host: p.k.Addresses, ips: p.k.addressesOf(p.sandbox),
	}
	for _, c := range p.object.Spec.InitContainers {
		s := p.instance(c.Name).status(&c)
		s.Ready = s.State.Terminated != nil && s.State.Terminated.ExitCode == 0
		pictured.init = append(pictured.init, s)
	}
	for _, c := range p.object.Spec.Containers {
		pictured.main = append(pictured.main, p.instance(c.Name).status(&c))
	}
	return pictured
}

// report writes the Pod's status, if it is another than the API has.
func (p *pod) report(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	pictured := p.picture()
	if equality.Semantic.DeepEqual(pictured.status(pictured.pod.Status, time.Now()), pictured.pod.Status) {
		return nil
	}
	pods := p.k.Client.CoreV1().Pods(p.key.Namespace)
	have, err := pods.Get(ctx, p.key.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && have.UID != p.uid {
		return nil // the watch will say so, too
	}
	if err != nil {
		return err
	}
	before, err := json.Marshal(map[string]any{"status": have.Status})
	if err != nil {
		return err
	}
	after, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": p.uid}, "status": pictured.status(have.Status, time.Now()),
	})
	if err != nil {
		return err
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, &corev1.Pod{})
	if err != nil {
		return err
	}
	_, err = pods.Patch(ctx, p.key.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // another Pod of that name
	}
	return err
}

// status is the container's.
func (i *instance) status(c *corev1.Container) corev1.ContainerStatus {
	s := corev1.ContainerStatus{
		Name: c.Name, Image: c.Image, ImageID: i.imageID, State: *i.state.DeepCopy(), LastTerminationState: *i.last.DeepCopy(),
		Ready: i.running && i.ready, RestartCount: int32(max(i.starts-1, 0)), AllocatedResources: c.Resources.Requests,
		Resources: c.Resources.DeepCopy(),
	}
	started := i.running && i.started
	s.Started = &started
	if i.id != "" {
		s.ContainerID = "lab://" + i.id
	}
	return s
}

// sooner is the first of two times, of which either may be none.
func sooner(a, b time.Time) time.Time {
	times := slices.DeleteFunc([]time.Time{a, b}, time.Time.IsZero)
	if len(times) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(times, time.Time.Compare)
}
