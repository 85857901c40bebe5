package server

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	corelisters "k8s.io/client-go/listers/core/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/dispatch"
	"github.com/ingot-lb/ingot/apiserver/rules"
	"github.com/ingot-lb/ingot/apiserver/store"
)

// lawOf makes the judge's word the store's law. Its warnings are for users and are given by the registry.
func lawOf(judge *rules.Judge) store.CheckFunc {
	return func(c *metallb.Configuration, resource string, old, new runtime.Object) field.ErrorList {
		errs, _ := judge.Check(c, rules.Change{Resource: resource, Old: old, New: new})
		return errs
	}
}

// hostFacts tells the rules what they must know of the host cluster. Until its parts are there, nothing is known.
type hostFacts struct {
	namespace  string
	hub        atomic.Pointer[dispatch.Hub]
	namespaces atomic.Pointer[corelisters.NamespaceLister]
	nodes      atomic.Pointer[nodeFacts]
}

var _ rules.Host = (*hostFacts)(nil)

// Nodes implements rules.Host. Nodes change often by what the rules do not see, their heartbeats.
func (h *hostFacts) Nodes() []rules.Node {
	hub := h.hub.Load()
	if hub == nil {
		return nil
	}
	known := hub.HostNodes()
	last := h.nodes.Load()
	if last == nil || !last.still(known) {
		last = newNodeFacts(known)
		h.nodes.Store(last)
	}
	return last.nodes
}

// nodeFacts are what the rules see of Nodes, sorted by name.
type nodeFacts struct {
	nodes  []rules.Node
	byName map[string]nodeFact
}

// nodeFact is what the rules see of one Node, before it is read.
type nodeFact struct {
	labels    map[string]string
	addresses []corev1.NodeAddress
}

func newNodeFacts(known []*corev1.Node) *nodeFacts {
	made := &nodeFacts{make([]rules.Node, 0, len(known)), make(map[string]nodeFact, len(known))}
	for _, n := range known {
		made.nodes = append(made.nodes, ruledNode(n))
		made.byName[n.Name] = nodeFact{n.Labels, n.Status.Addresses}
	}
	slices.SortFunc(made.nodes, func(a, b rules.Node) int { return cmp.Compare(a.Name, b.Name) })
	return made
}

// still says whether the Nodes that are known now are, to the rules, the same.
func (f *nodeFacts) still(known []*corev1.Node) bool {
	if len(known) != len(f.nodes) {
		return false
	}
	for _, n := range known {
		if fact, ok := f.byName[n.Name]; !ok || !maps.Equal(fact.labels, n.Labels) || !slices.Equal(fact.addresses, n.Status.Addresses) {
			return false
		}
	}
	return true
}

// ruledNode is a Node as the rules see it.
func ruledNode(n *corev1.Node) rules.Node {
	node := rules.Node{Name: n.Name, Labels: n.Labels}
	for _, a := range n.Status.Addresses {
		if a.Type != corev1.NodeInternalIP && a.Type != corev1.NodeExternalIP {
			continue
		}
		if address, err := netip.ParseAddr(a.Address); err == nil {
			node.Addresses = append(node.Addresses, address)
		}
	}
	return node
}

// Secret implements rules.Host.
func (h *hostFacts) Secret(name string) (secret *corev1.Secret, known bool) {
	hub := h.hub.Load()
	if hub == nil {
		return nil, false
	}
	return hub.HostSecret(name)
}

// Holders implements rules.Host.
func (h *hostFacts) Holders() []rules.Holder {
	hub := h.hub.Load()
	if hub == nil {
		return nil
	}
	var holders []rules.Holder
	for _, s := range hub.HostServices() {
		var addresses []netip.Addr
		for _, ingress := range s.Status.LoadBalancer.Ingress {
			if a, err := netip.ParseAddr(ingress.IP); err == nil {
				addresses = append(addresses, a)
			}
		}
		if len(addresses) > 0 {
			holders = append(holders, rules.Holder{Name: s.Namespace + "/" + s.Name, Addresses: addresses})
		}
	}
	return holders
}

// Terminating implements rules.Host. A namespace that cannot be found is not known to be terminating.
func (h *hostFacts) Terminating() bool {
	lister := h.namespaces.Load()
	if lister == nil {
		return false
	}
	ns, err := (*lister).Get(h.namespace)
	return err == nil && (ns.DeletionTimestamp != nil || ns.Status.Phase == corev1.NamespaceTerminating)
}
