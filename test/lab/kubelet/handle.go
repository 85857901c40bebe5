package kubelet

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"k8s.io/apimachinery/pkg/types"
)

// Container is a container of a Pod as it is at one moment.
type Container struct {
	Pod     types.NamespacedName
	UID     types.UID
	Name    string
	PID     int    // of its first process; 0: it does not run
	Paused  bool   // by SIGSTOP
	Ready   bool   // by its probes
	Held    bool   // it is not started again until Release
	Starts  int    // how often it was started
	Reason  string // why it does not run
	LogPath string // of its last start, in the CRI's format, see package logs; empty before the first one
}

// Containers are those of all Pods on the node, in no order; init containers are not among them.
func (k *Kubelet) Containers() []Container {
	var all []Container
	for _, p := range k.all() {
		p.mu.Lock()
		for _, c := range p.object.Spec.Containers {
			all = append(all, p.instance(c.Name).describe(p))
		}
		p.mu.Unlock()
	}
	return all
}

// describe is the container for others. pod.mu must be held.
func (i *instance) describe(p *pod) Container {
	c := Container{
		Pod: p.key, UID: p.uid, Name: i.name, Ready: i.running && i.ready, Held: i.held, Starts: i.starts, LogPath: i.logPath,
	}
	switch {
	case i.running && i.process.Alive():
		c.PID, c.Paused = i.process.PID(), i.process.Paused()
	case i.state.Waiting != nil:
		c.Reason = i.state.Waiting.Reason
		if i.state.Waiting.Message != "" {
			c.Reason += ": " + i.state.Waiting.Message
		}
	case i.process != nil:
		c.Reason = i.process.Exit()
	case i.state.Terminated != nil:
		c.Reason = i.state.Terminated.Message
	}
	return c
}

// find is the Pod of that name that is not on its way out, or else one that is, and its container.
func (k *Kubelet) find(key types.NamespacedName, container string) (*pod, *instance, error) {
	var found *pod
	for _, p := range k.all() {
		p.mu.Lock()
		if p.key == key && (found == nil || !p.gone && p.object.DeletionTimestamp == nil) {
			found = p
		}
		p.mu.Unlock()
	}
	if found == nil {
		return nil, nil, fmt.Errorf("pod %s is not on node %s", key, k.NodeName)
	}
	found.mu.Lock()
	defer found.mu.Unlock()
	for _, c := range append(found.object.Spec.InitContainers, found.object.Spec.Containers...) {
		if c.Name == container {
			return found, found.instance(container), nil
		}
	}
	return nil, nil, fmt.Errorf("container %s is not valid for pod %s", container, key.Name)
}

var errNotRunning = errors.New("the container does not run")

// Signal sends a signal to the first process of a container. It is an error if that does not run.
func (k *Kubelet) Signal(key types.NamespacedName, container string, signal syscall.Signal) error {
	p, i, err := k.find(key, container)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !i.running || !i.process.Alive() {
		return fmt.Errorf("%s of pod %s: %w", container, key, errNotRunning)
	}
	return i.process.Signal(signal)
}

// Kill ends a container by a signal, SIGKILL or SIGTERM, and returns when it is gone. It is started again unless it is held.
func (k *Kubelet) Kill(ctx context.Context, key types.NamespacedName, container string, signal syscall.Signal) error {
	p, i, err := k.find(key, container)
	if err != nil {
		return err
	}
	p.mu.Lock()
	running, process := i.running, i.process
	p.mu.Unlock()
	if !running || !process.Alive() {
		return fmt.Errorf("%s of pod %s: %w", container, key, errNotRunning)
	}
	// A paused process meets no signal but these two.
	if err := errors.Join(process.Signal(signal), process.Signal(syscall.SIGCONT)); err != nil {
		return err
	}
	select {
	case <-process.Done():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s of pod %s still runs: %w", container, key, ctx.Err())
	}
}

// Hold keeps a container from being started, until Release or the end of its Pod. What runs goes on.
func (k *Kubelet) Hold(key types.NamespacedName, container string) error {
	return k.hold(key, container, true)
}

// Release undoes Hold, and forgets the back-off: the container is started at once.
func (k *Kubelet) Release(key types.NamespacedName, container string) error {
	return k.hold(key, container, false)
}

func (k *Kubelet) hold(key types.NamespacedName, container string, held bool) error {
	p, i, err := k.find(key, container)
	if err != nil {
		return err
	}
	p.mu.Lock()
	i.held = held
	p.mu.Unlock()
	if !held {
		p.backoff.DeleteEntry(container)
		p.kick()
	}
	return nil
}
