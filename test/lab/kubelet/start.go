package kubelet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/test/lab/kubelet/container"
	"github.com/ingot-lb/ingot/test/lab/kubelet/logs"
)

// ensure has a container run if it should. It returns when to look again.
func (p *pod) ensure(ctx context.Context, object *corev1.Pod, c *corev1.Container) (next time.Time) {
	p.mu.Lock()
	i := p.instance(c.Name)
	running, starts, held, healthy, ended := i.running, i.starts, i.held, i.healthy, i.last
	changed := i.image != c.Image
	if i.state.Terminated != nil {
		ended = i.state
	}
	p.mu.Unlock()
	switch {
	case running && changed:
		p.stopContainer(ctx, c, graceOf(object, c), fmt.Sprintf("Container %s definition changed, will be restarted", c.Name))
		return time.Time{}
	case running && healthy, held:
		return time.Time{}
	case running:
		p.stopContainer(ctx, c, graceOf(object, c), fmt.Sprintf("Container %s failed liveness probe, will be restarted", c.Name))
		return time.Time{}
	}
	if t := ended.Terminated; starts > 0 && t != nil {
		switch object.Spec.RestartPolicy {
		case corev1.RestartPolicyNever:
			return time.Time{}
		case corev1.RestartPolicyOnFailure:
			if t.ExitCode == 0 {
				return time.Time{}
			}
		}
		if p.backoff.IsInBackOffSince(c.Name, t.FinishedAt.Time) {
			return p.crashLoop(object, c, t.FinishedAt.Time)
		}
		p.backoff.Next(c.Name, t.FinishedAt.Time)
	}
	return p.start(object, c)
}

// crashLoop has a container wait that ended too often.
func (p *pod) crashLoop(object *corev1.Pod, c *corev1.Container, since time.Time) time.Time {
	delay := p.backoff.Get(c.Name)
	message := fmt.Sprintf("back-off %s restarting failed container=%s pod=%s", delay, c.Name, describe(object))
	p.mu.Lock()
	i := p.instance(c.Name)
	if i.state.Terminated != nil {
		i.last = i.state
	}
	told := i.state.Waiting != nil && i.state.Waiting.Message == message
	i.state = waiting("CrashLoopBackOff", message)
	p.mu.Unlock()
	if !told {
		p.event(corev1.EventTypeWarning, c.Name, "BackOff", "Back-off restarting failed container %s in pod %s", c.Name, describe(object))
	}
	return since.Add(delay)
}

// wait has a container that cannot be started wait for a reason, and says when it is tried again.
func (p *pod) wait(c *corev1.Container, reason, message string) time.Time {
	p.mu.Lock()
	i := p.instance(c.Name)
	if i.state.Terminated != nil {
		i.last = i.state
	}
	i.state = waiting(reason, message)
	p.mu.Unlock()
	p.complain(c.Name, "Failed", "Error: "+message)
	return p.later(c.Name)
}

// start starts a container.
func (p *pod) start(object *corev1.Pod, c *corev1.Container) time.Time {
	i, ok := p.k.Image(c.Image)
	if !ok {
		return p.noImage(c)
	}
	spec, err := p.spec(object, c, i)
	if err != nil {
		return p.wait(c, "CreateContainerConfigError", err.Error())
	}
	p.retries.DeleteEntry(c.Name)
	delete(p.told, c.Name+"/Failed")
	p.event(corev1.EventTypeNormal, c.Name, "Pulled", "Container image %q already present on machine", c.Image)
	p.mu.Lock()
	instance := p.instance(c.Name)
	attempt := instance.starts
	p.mu.Unlock()
	path := filepath.Join(p.k.logs(object), c.Name, fmt.Sprintf("%d.log", attempt))
	log, err := logs.Create(path)
	if err != nil {
		return p.wait(c, "CreateContainerError", err.Error())
	}
	p.event(corev1.EventTypeNormal, c.Name, "Created", "Container created")
	began := time.Now()
	started, err := p.k.runtime.Start(*spec, p.sandboxNetwork(), container.Streams{Output: log.Stdout, Errors: log.Stderr})
	err = errors.Join(err, log.CloseStreams())

	p.mu.Lock()
	if instance.state.Terminated != nil {
		instance.last = instance.state
	}
	old := instance.before
	instance.starts, instance.id, instance.image, instance.imageID = attempt+1, newID(), c.Image, c.Image+"@lab"
	instance.before, instance.logPath, instance.log = instance.logPath, path, log
	instance.stopBy, instance.as, instance.process = time.Time{}, spec.Process, started
	instance.message = filepath.Join(p.dir(), c.Name+".message")
	if err == nil {
		instance.running = true
		instance.state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(began)}}
		instance.healthy, instance.started, instance.ready = true, c.StartupProbe == nil, c.StartupProbe == nil && c.ReadinessProbe == nil
	} else {
		instance.state = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 128, Reason: "StartError", Message: err.Error(), StartedAt: metav1.NewTime(began), FinishedAt: metav1.Now(),
			ContainerID: "lab://" + instance.id,
		}}
	}
	p.mu.Unlock()
	if old != "" {
		_ = os.Remove(old) // kubelets keep the logs of two starts
	}
	if err != nil {
		p.event(corev1.EventTypeWarning, c.Name, "Failed", "Error: failed to start container %q: %v", c.Name, err)
		p.kick()
		return time.Time{}
	}
	p.event(corev1.EventTypeNormal, c.Name, "Started", "Container started")
	go func() {
		<-started.Done()
		p.kick()
	}()
	p.ask(object, c)
	return time.Time{}
}

// noImage is what a kubelet says of an image that no registry has.
func (p *pod) noImage(c *corev1.Container) time.Time {
	p.mu.Lock()
	tried := p.instance(c.Name).state.Waiting
	p.mu.Unlock()
	if tried == nil || tried.Reason != "ErrImagePull" {
		return p.wait(c, "ErrImagePull", fmt.Sprintf("failed to pull and unpack image %q: the lab has no such image", c.Image))
	}
	return p.wait(c, "ImagePullBackOff", fmt.Sprintf("Back-off pulling image %q", c.Image))
}

// newID is the identity of one start of a container.
func newID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}
