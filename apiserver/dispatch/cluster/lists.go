package cluster

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
)

// Nodes are those known now. They are shared and must not be changed.
func (c *Cluster) Nodes() []*corev1.Node {
	nodes, err := c.nodes.List(labels.Everything())
	if err != nil { // a lister reads memory; it has no way to fail
		return nil
	}
	return nodes
}

// Services are those known now, likewise.
func (c *Cluster) Services() []*corev1.Service {
	services, err := c.services.List(labels.Everything())
	if err != nil {
		return nil
	}
	return services
}

// Secret is the Secret of that name in the system namespace, nil where there is none. It is shared and must not be
// changed. known is false until all have been read.
func (c *Cluster) Secret(name string) (secret *corev1.Secret, known bool) {
	if slices.Contains(c.Missing(), "secrets") {
		return nil, false
	}
	secret, err := c.secrets.Get(name)
	if err != nil { // a lister reads memory: it does not exist
		return nil, true
	}
	return secret, true
}

// WaitForNodes returns when all Nodes have been read, while Run runs, or with ctx's error when that ends.
func (c *Cluster) WaitForNodes(ctx context.Context) error {
	for _, w := range c.watched {
		if w.resource == "nodes" && !cache.WaitForCacheSync(ctx.Done(), w.informer.HasSynced) {
			return ctx.Err()
		}
	}
	return nil
}

// OnNode has changed called with the name of each Node that comes to be, or is no more. It must not block, and be set
// before Run.
func (c *Cluster) OnNode(changed func(name string)) error {
	tell := func(obj any) {
		if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		if node, ok := obj.(*corev1.Node); ok {
			changed(node.Name)
		}
	}
	for _, w := range c.watched {
		if w.resource == "nodes" {
			if _, err := w.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: tell, DeleteFunc: tell}); err != nil {
				return fmt.Errorf("watch nodes: %w", err)
			}
		}
	}
	return nil
}

// HasNode says whether the Node is known.
func (c *Cluster) HasNode(name string) bool {
	_, err := c.nodes.Get(name)
	return err == nil
}
