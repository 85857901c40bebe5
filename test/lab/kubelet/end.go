package kubelet

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/test/lab/kubelet/logs"
	"github.com/ingot-lb/ingot/test/lab/netns"
)

const (
	forced     = time.Second      // the grace of a Pod whose object is gone
	lastWords  = 4096             // of a container's message, in bytes
	flushGrace = 30 * time.Second // for the last lines of a log, whose writers have all ended; far above what they take
)

// end ends a Pod that is deleted, gone, or has done its work. over is true once nothing is left to do for ever.
func (p *pod) end(ctx context.Context, object *corev1.Pod, gone bool) (next time.Time, over bool) {
	if p.removed && !gone {
		return time.Time{}, false
	}
	grace := forced
	if !gone {
		grace = 30 * time.Second
		if s := object.Spec.TerminationGracePeriodSeconds; s != nil {
			grace = time.Duration(*s) * time.Second
		}
		if s := object.DeletionGracePeriodSeconds; s != nil {
			grace = max(time.Duration(*s)*time.Second, forced)
		}
	}
	if p.stop(ctx, grace, "Stopping container %s") {
		if err := p.report(ctx); err != nil && !gone {
			p.k.log.Warn("pod status", "pod", p.key.String(), "error", err)
			return time.Now().Add(retry), false
		}
		return time.Time{}, false
	}
	if !gone {
		if err := p.report(ctx); err != nil {
			p.k.log.Warn("pod status", "pod", p.key.String(), "error", err)
			return time.Now().Add(retry), false
		}
	}
	if err := p.takeDown(); err != nil {
		p.k.log.Warn("taking a pod down", "pod", p.key.String(), "error", err)
		return time.Now().Add(retry), false
	}
	p.k.objects.Want(p.uid, nil)
	switch {
	case gone:
		p.k.forget(p)
		if err := os.RemoveAll(p.k.logs(object)); err != nil {
			p.k.log.Warn("removing a pod's logs", "pod", p.key.String(), "error", err)
		}
		return time.Time{}, true
	case object.DeletionTimestamp != nil:
		if err := p.remove(ctx); err != nil {
			p.k.log.Warn("pod deletion", "pod", p.key.String(), "error", err)
			return time.Now().Add(retry), false
		}
		p.removed = true
	}
	return time.Time{}, false
}

// remove takes the Pod's object away.
func (p *pod) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	now := int64(0)
	err := p.k.Client.CoreV1().Pods(p.key.Namespace).Delete(ctx, p.key.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &p.uid},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// stop has all containers of the Pod end, and says whether any is still there.
func (p *pod) stop(ctx context.Context, grace time.Duration, event string) (any bool) {
	object, _ := p.current()
	for _, containers := range [][]corev1.Container{object.Spec.InitContainers, object.Spec.Containers} {
		for n := range containers {
			p.mu.Lock()
			running := p.instance(containers[n].Name).running
			p.mu.Unlock()
			if running {
				any = true
				p.stopContainer(ctx, &containers[n], grace, strings.ReplaceAll(event, "%s", containers[n].Name))
			}
		}
	}
	return any
}

// stopContainer asks a container to end, after its preStop, and kills it once the grace is over. It does not wait. When it is
// called again, a shorter grace counts, and nothing else happens.
func (p *pod) stopContainer(ctx context.Context, c *corev1.Container, grace time.Duration, event string) {
	by := time.Now().Add(grace)
	p.mu.Lock()
	i := p.instance(c.Name)
	before, process := i.stopBy, i.process
	if !i.running || !before.IsZero() && !by.Before(before) {
		p.mu.Unlock()
		return
	}
	i.stopBy = by
	p.mu.Unlock()
	if before.IsZero() && event != "" {
		p.event(corev1.EventTypeNormal, c.Name, "Killing", "%s", event)
	}
	go func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-process.Done():
		case <-timer.C:
			if err := process.Signal(syscall.SIGKILL); err != nil {
				p.k.log.Warn("killing a container", "pod", p.key.String(), "container", c.Name, "error", err)
			}
		}
	}()
	if !before.IsZero() {
		return
	}
	go func() {
		if c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
			ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), by)
			defer cancel()
			if err := p.preStop(ctx, c); err != nil {
				p.event(corev1.EventTypeWarning, c.Name, "FailedPreStopHook", "PreStopHook failed: %v", err)
			}
		}
		// A paused process meets no signal but these two.
		if err := errors.Join(process.Signal(syscall.SIGTERM), process.Signal(syscall.SIGCONT)); err != nil {
			p.k.log.Warn("ending a container", "pod", p.key.String(), "container", c.Name, "error", err)
		}
	}()
}

// awaitEnd waits for the end of all containers, which somebody has seen to.
func (p *pod) awaitEnd() {
	p.mu.Lock()
	var all []*instance
	for _, i := range p.instances {
		if i.running {
			all = append(all, i)
		}
	}
	p.mu.Unlock()
	for _, i := range all {
		<-i.process.Done()
	}
	p.harvest()
}

// harvest takes note of the containers that have ended.
func (p *pod) harvest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, i := range p.instances {
		if !i.running || i.process.Alive() {
			continue
		}
		select {
		case <-i.log.Done():
		case <-time.After(flushGrace):
		}
		i.running, i.ready, i.started = false, false, false
		if i.unasked != nil {
			i.unasked()
			i.unasked = nil
		}
		status := i.process.Status()
		ended := &corev1.ContainerStateTerminated{
			ExitCode: int32(status.ExitStatus()), Reason: "Completed", FinishedAt: metav1.Now(), ContainerID: "lab://" + i.id,
			Message: p.words(i),
		}
		if status.Signaled() {
			ended.ExitCode = 128 + int32(status.Signal())
		}
		if ended.ExitCode != 0 {
			ended.Reason = "Error"
		}
		if i.state.Running != nil {
			ended.StartedAt = i.state.Running.StartedAt
		}
		i.state = corev1.ContainerState{Terminated: ended}
	}
}

// words are what a container left to say.
func (p *pod) words(i *instance) string {
	file, err := os.Open(i.message)
	if err != nil {
		return ""
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, lastWords))
	if err != nil {
		return ""
	}
	fallback := false
	for _, c := range p.object.Spec.Containers {
		fallback = fallback || c.Name == i.name && c.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError
	}
	if len(text) == 0 && fallback && i.process.Status().ExitStatus() != 0 {
		var out strings.Builder
		tail := int64(80)
		if logs.Read(context.Background(), i.logPath, logs.Options{Tail: &tail}, &out) == nil {
			text = []byte(out.String())
			text = text[max(0, len(text)-2048):]
		}
	}
	return string(text)
}

// graceOf is how long a container that is not alive may take to end.
func graceOf(object *corev1.Pod, c *corev1.Container) time.Duration {
	grace := int64(30)
	if s := object.Spec.TerminationGracePeriodSeconds; s != nil {
		grace = *s
	}
	if c.LivenessProbe != nil && c.LivenessProbe.TerminationGracePeriodSeconds != nil {
		grace = *c.LivenessProbe.TerminationGracePeriodSeconds
	}
	return max(time.Duration(grace)*time.Second, forced)
}

func (p *pod) sandboxNetwork() *netns.Namespace {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sandbox.Network
}
