package dispatch

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/ingot-lb/ingot/apiserver/plan"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// maxReasons bounds the reasons kept of one node. Those beyond it are forgotten: a speaker that was away for so many
// deletions may hold back the full state, and ask for an operator's word.
const maxReasons = 20000

// removals remembers why items left the plans of nodes while this process watched.
type removals struct {
	mu     sync.Mutex
	byNode map[string]map[string]string
}

func newRemovals() *removals { return &removals{byNode: map[string]map[string]string{}} }

// reason is why an item left a node's plan.
func (r *removals) reason(node, id string) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	reason, ok := r.byNode[node][id]
	return reason, ok
}

// note compares what a node had in a lane with what it shall have, and asks why for each item that left.
func (r *removals) note(node string, before, after map[string]*ingotv1.Item, why func(node string, item *ingotv1.Item) string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	reasons := r.byNode[node]
	if len(reasons) > 0 {
		for id := range after {
			delete(reasons, id)
		}
	}
	for id, item := range before {
		if _, stays := after[id]; stays {
			continue
		}
		if reasons == nil {
			reasons = map[string]string{}
			r.byNode[node] = reasons
		}
		if len(reasons) < maxReasons {
			reasons[id] = why(node, item)
		}
	}
}

// forget drops the reasons of nodes that are not planned for.
func (r *removals) forget(planned map[string]*plan.NodePlan) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for node := range r.byNode {
		if planned[node] == nil {
			delete(r.byNode, node)
		}
	}
}

// reasons puts into words why an item left the plan that out replaces: one of MetalLB's words, by which users search
// the speakers' logs (spec.md section 5.5), and after a colon a sentence.
type reasons struct {
	out     *plan.Output
	class   string // of the Services
	service func(types.NamespacedName) (*corev1.Service, bool)
	// configured says whether there is a BGPPeer of that name.
	configured func(peer string) bool
	withheld   map[types.NamespacedName][]plan.Withheld
}

func newReasons(out *plan.Output, class string, service func(types.NamespacedName) (*corev1.Service, bool), configured func(peer string) bool) *reasons {
	r := &reasons{out: out, class: class, service: service, configured: configured, withheld: map[types.NamespacedName][]plan.Withheld{}}
	for _, w := range out.Withheld {
		r.withheld[w.Name] = append(r.withheld[w.Name], w)
	}
	return r
}

func (r *reasons) why(node string, item *ingotv1.Item) string {
	if session := item.GetBgpSession(); session != nil {
		return r.whySession(node, session)
	}
	if segment := item.GetLayer2Segment(); segment != nil {
		return fmt.Sprintf("notNeeded: no layer-2 address that the node may own is reached over %s", segment.GetInterface())
	}
	var gone, left []string
	for _, ref := range plan.ServiceRefs(item) {
		name := types.NamespacedName{Namespace: ref.GetNamespace(), Name: ref.GetName()}
		service, ok := r.service(name)
		if !ok {
			gone = append(gone, name.String())
			continue
		}
		left = append(left, r.whyService(node, service, ref.GetAddress(), item))
	}
	switch {
	case len(left) > 0:
		return left[0]
	case len(gone) > 0:
		return fmt.Sprintf("serviceDeleted: service %s deleted", strings.Join(gone, ", "))
	}
	return unexplained
}

func (r *reasons) whySession(node string, session *ingotv1.BgpSession) string {
	for name, all := range r.withheld {
		if name.Name != session.GetPeer() {
			continue
		}
		for _, w := range all {
			if w.Kind == plan.KindBGPPeer && (w.Node == "" || w.Node == node) {
				return fmt.Sprintf("%s: BGPPeer %s: %s", w.Reason, session.GetPeer(), w.Message)
			}
		}
	}
	if r.configured(session.GetPeer()) {
		return fmt.Sprintf("filteredByNodeSelector: BGPPeer %s is no longer for this node", session.GetPeer())
	}
	return fmt.Sprintf("removedFromConfig: BGPPeer %s deleted", session.GetPeer())
}

func (r *reasons) whyService(node string, service *corev1.Service, address string, item *ingotv1.Item) string {
	name := types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
	ingress := service.Status.LoadBalancer.Ingress
	switch {
	case service.Spec.Type != corev1.ServiceTypeLoadBalancer:
		return fmt.Sprintf("notLoadBalancer: service %s is of type %s", name, service.Spec.Type)
	case !plan.OfClass(service, r.class):
		return fmt.Sprintf("notOurClass: service %s is of the load balancer class %q", name, ptr.Deref(service.Spec.LoadBalancerClass, ""))
	case len(ingress) == 0:
		return fmt.Sprintf("noIPAllocated: service %s has no address", name)
	case !slices.ContainsFunc(ingress, func(in corev1.LoadBalancerIngress) bool { return in.IP == address }):
		return fmt.Sprintf("loadBalancerIPChanged: service %s no longer has %s", name, address)
	}
	protocol := plan.ProtocolOf(item)
	if l2 := item.GetLayer2Address(); l2 != nil {
		if addr, ok := plan.Layer2Address(item.GetId()); ok {
			if d, ok := r.out.Decisions[addr]; ok && d.Owner != node {
				if l2.GetRole() == ingotv1.Layer2Address_ROLE_STANDBY {
					return fmt.Sprintf("%s: service %s: other nodes stand by for %s: %s", plan.ReasonNotOwner, name, addr, r.out.WhyNot(addr, node))
				}
				return fmt.Sprintf("%s: service %s: %s is now owned by node %s: %s", plan.ReasonNotOwner, name, addr, d.Owner, d.Reason)
			}
		}
	}
	for _, w := range r.withheld[name] {
		if w.Kind == plan.KindService && (w.Node == "" || w.Node == node) && (w.Protocol == "" || w.Protocol == protocol) {
			return fmt.Sprintf("%s: service %s: %s", w.Reason, name, w.Message)
		}
	}
	for _, w := range r.withheld[types.NamespacedName{Name: node}] {
		if w.Kind == plan.KindNode {
			return fmt.Sprintf("%s: %s", w.Reason, w.Message)
		}
	}
	if service.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		return fmt.Sprintf("%s: service %s has no usable endpoint on this node, or is no longer for it", plan.ReasonNoLocalEndpoints, name)
	}
	return fmt.Sprintf("%s: service %s is no longer announced from this node", plan.ReasonNotOwner, name)
}
