package dispatch

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// HostNodes are the Nodes of the host cluster as this replica knows them. They are shared and must not be changed.
func (h *Hub) HostNodes() []*corev1.Node { return h.cluster.Nodes() }

// HostNodeNames are their names.
func (h *Hub) HostNodeNames() []string {
	nodes := h.cluster.Nodes()
	names := make([]string, 0, len(nodes))
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	return names
}

// HasHostNode says whether a Node is among them.
func (h *Hub) HasHostNode(name string) bool { return h.cluster.HasNode(name) }

// Lineage is the store's.
func (h *Hub) Lineage() string { return h.store.Lineage() }

// HostServices are the Services of the host cluster, likewise.
func (h *Hub) HostServices() []*corev1.Service { return h.cluster.Services() }

// hostService is one of them.
func (h *Hub) hostService(name types.NamespacedName) (*corev1.Service, bool) {
	return h.cluster.Service(name)
}

// HostSecret is the Secret of that name in the system namespace, nil where there is none; known is false until all have
// been read.
func (h *Hub) HostSecret(name string) (secret *corev1.Secret, known bool) {
	return h.cluster.Secret(name)
}

// WaitForHostNodes returns when all Nodes have been read, while Run runs, or with ctx's error when that ends.
func (h *Hub) WaitForHostNodes(ctx context.Context) error { return h.cluster.WaitForNodes(ctx) }
