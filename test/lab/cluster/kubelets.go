package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/ingot-lb/ingot/test/lab/control"
	"github.com/ingot-lb/ingot/test/lab/kubelet"
	"github.com/ingot-lb/ingot/test/lab/part"
)

// nodeKubelet is the kubelet of one node, as a part that can be stopped: containers outlive it, and its node is not heard of.
type nodeKubelet struct {
	name part.Name
	log  *slog.Logger
	make func() *kubelet.Kubelet

	mu      sync.Mutex
	base    context.Context // of the lab
	kubelet *kubelet.Kubelet
	stop    context.CancelFunc // nil while it does not run
	ended   chan struct{}
	reason  string
}

// run starts it for the first time. It ends with ctx.
func (n *nodeKubelet) run(ctx context.Context) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.base, n.kubelet = ctx, n.make()
	n.launch()
}

func (n *nodeKubelet) launch() {
	ctx, stop := context.WithCancel(n.base)
	ended := make(chan struct{})
	n.stop, n.ended, n.reason = stop, ended, ""
	go func() {
		defer close(ended)
		err := n.kubelet.Run(ctx)
		if err == nil {
			return
		}
		n.log.Error("a kubelet ended", "kubelet", n.name.String(), "error", err)
		n.mu.Lock()
		defer n.mu.Unlock()
		n.stop, n.reason = nil, err.Error()
		stop()
	}()
}

// containers are those of the node's Pods, none before it runs.
func (n *nodeKubelet) containers() []kubelet.Container {
	n.mu.Lock()
	k := n.kubelet
	n.mu.Unlock()
	if k == nil {
		return nil
	}
	return k.Containers()
}

// close ends all containers.
func (n *nodeKubelet) close(ctx context.Context) error {
	n.mu.Lock()
	k, ended, stop := n.kubelet, n.ended, n.stop
	n.mu.Unlock()
	if k == nil {
		return nil
	}
	if stop != nil {
		stop()
	}
	<-ended
	return k.Close(ctx)
}

func (n *nodeKubelet) Name() part.Name { return n.name }

func (n *nodeKubelet) Kill(ctx context.Context) error { return n.Stop(ctx) }

func (n *nodeKubelet) Stop(context.Context) error {
	n.mu.Lock()
	stop, ended := n.stop, n.ended
	n.stop, n.reason = nil, "stopped"
	n.mu.Unlock()
	if stop == nil {
		return fmt.Errorf("%s does not run", n.name)
	}
	stop()
	<-ended
	return nil
}

func (n *nodeKubelet) Start(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stop != nil {
		return fmt.Errorf("%s runs already", n.name)
	}
	n.launch()
	return nil
}

// Pause is not possible: all kubelets are one process.
func (n *nodeKubelet) Pause(context.Context) error {
	return fmt.Errorf("%s cannot be paused: it is a part of the lab's own process; stop it", n.name)
}

// Resume is never of use, as there is no Pause.
func (n *nodeKubelet) Resume(context.Context) error {
	return errors.New("a kubelet is never paused")
}

func (n *nodeKubelet) report(context.Context, map[int]int) control.Part {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := control.Part{Name: n.name.String(), Place: n.name.Instance, State: control.Running, Health: "ok"}
	if n.stop == nil {
		r.State, r.Health = control.Dead, n.reason
	}
	return r
}
