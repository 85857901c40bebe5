package kubelet

import (
	"context"
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

// Containers are those of all Pods on the node, in no order.
func (k *Kubelet) Containers() []Container { return nil }

// Signal sends a signal to the first process of a container. It is an error if that does not run.
func (k *Kubelet) Signal(pod types.NamespacedName, container string, signal syscall.Signal) error {
	return nil
}

// Kill ends a container by a signal, SIGKILL or SIGTERM, and returns when it is gone. It is started again unless it is held.
func (k *Kubelet) Kill(ctx context.Context, pod types.NamespacedName, container string, signal syscall.Signal) error {
	return nil
}

// Hold keeps a container from being started, until Release or the end of its Pod. What runs goes on.
func (k *Kubelet) Hold(pod types.NamespacedName, container string) error { return nil }

// Release undoes Hold, and forgets the back-off: the container is started at once.
func (k *Kubelet) Release(pod types.NamespacedName, container string) error { return nil }
