package server

import (
	"net/netip"
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
}

var _ rules.Host = (*hostFacts)(nil)

// Nodes implements rules.Host.
func (h *hostFacts) Nodes() []rules.Node {
	hub := h.hub.Load()
	if hub == nil {
		return nil
	}
	known := hub.HostNodes()
	nodes := make([]rules.Node, 0, len(known))
	for _, n := range known {
		nodes = append(nodes, rules.Node{Name: n.Name, Labels: n.Labels})
	}
	return nodes
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
