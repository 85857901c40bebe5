package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// sharingAnnotations let a Service share its address (spec.md section 4.7).
var sharingAnnotations = [...]string{"metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip"}

// service is a Service of ours that has addresses, as the two protocols see it.
type service struct {
	*corev1.Service
	name types.NamespacedName
	// addrs are its addresses in the order of its status, without repetition, and refs what items say of each.
	addrs []netip.Addr
	refs  []*ingotv1.ServiceRef
	// pool is the one that all addresses lie in; nil when the Service must not be announced.
	pool *pool
	// local is externalTrafficPolicy Local, endpoints the nodes that then may announce.
	local     bool
	endpoints bitset
	// reachable says that a usable endpoint exists anywhere.
	reachable bool
}

// ours reports whether a Service is for us to announce (spec.md section 4.8).
func ours(s *corev1.Service, class string) bool {
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer || len(s.Status.LoadBalancer.Ingress) == 0 {
		return false
	}
	return OfClass(s, class)
}

// OfClass reports whether a Service is of a loadBalancerClass; empty: of none.
func OfClass(s *corev1.Service, class string) bool {
	if s.Spec.LoadBalancerClass == nil {
		return class == ""
	}
	return *s.Spec.LoadBalancerClass == class
}

// newServices keeps the Services that are ours, sorted by name, and says why some of them cannot be announced.
func newServices(in Input, pools *poolIndex, nodes *nodeList, note func(Withheld)) []*service {
	var list []*service
	for _, s := range in.Services {
		if ours(s, in.LoadBalancerClass) {
			list = append(list, &service{Service: s, name: types.NamespacedName{Namespace: s.Namespace, Name: s.Name}})
		}
	}
	slices.SortFunc(list, func(a, b *service) int {
		return cmp.Or(cmp.Compare(a.name.Namespace, b.name.Namespace), cmp.Compare(a.name.Name, b.name.Name))
	})
	for _, s := range list {
		s.local = s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
		s.locate(pools, in.Ledger, list, note)
		if s.pool != nil {
			s.findEndpoints(in.EndpointSlices[s.name], nodes)
		}
	}
	return list
}

// locate reads the addresses, leaves out those that the ledger does not have, and finds their pool (spec.md section 5.5).
func (s *service) locate(pools *poolIndex, allocated *Ledger, others []*service, note func(Withheld)) {
	valid := true
	for _, ingress := range s.Status.LoadBalancer.Ingress {
		a, err := netip.ParseAddr(ingress.IP)
		if err != nil || a.Zone() != "" {
			valid = false
			s.withhold(note, "", netip.Addr{}, ReasonInvalidIP, "status.loadBalancer.ingress has %q, which is not an IP address", cmp.Or(ingress.IP, ingress.Hostname))
			continue
		}
		if a = a.Unmap(); slices.Contains(s.addrs, a) {
			continue
		}
		if why := allocated.objection(Shown{s.name, a}, others); why != "" {
			s.withhold(note, "", a, ReasonNotAllocated, "%s", why)
			continue
		}
		s.addrs = append(s.addrs, a)
		ref := &ingotv1.ServiceRef{Namespace: s.Namespace, Name: s.Name, Address: a.String()}
		if s.local {
			ref.HealthCheckNodePort = uint32(max(s.Spec.HealthCheckNodePort, 0))
		}
		s.refs = append(s.refs, ref)
	}
	if !valid || len(s.addrs) == 0 {
		return
	}
	found := pools.find(s.addrs[0])
	for _, a := range s.addrs {
		switch p := pools.find(a); {
		case p == nil:
			s.withhold(note, "", a, ReasonIPNotAllowed, "%s is in no address pool", a)
			return
		case p != found:
			s.withhold(note, "", a, ReasonIPNotAllowed, "%s is in %s and %s in %s; one Service's addresses must be of one pool", s.addrs[0], found, a, p)
			return
		}
	}
	s.pool = found
}

// findEndpoints notes where usable endpoints are; those not on a known node count for Cluster.
func (s *service) findEndpoints(endpointSlices []*discoveryv1.EndpointSlice, nodes *nodeList) {
	if s.local {
		s.endpoints = newBitset(len(nodes.list))
	}
	for _, slice := range endpointSlices {
		for i := range slice.Endpoints {
			endpoint := &slice.Endpoints[i]
			if len(endpoint.Addresses) == 0 || !usable(endpoint.Conditions) {
				continue
			}
			s.reachable = true
			if !s.local {
				return
			}
			if endpoint.NodeName == nil {
				continue
			}
			if n, ok := nodes.index[*endpoint.NodeName]; ok {
				s.endpoints.add(n)
			}
		}
	}
}

// usable is MetalLB's notion: ready unless said otherwise, or still serving while it terminates.
func usable(c discoveryv1.EndpointConditions) bool {
	return c.Ready == nil || *c.Ready || (c.Serving != nil && *c.Serving)
}

// shares reports whether the Service carries the sharing annotation under either name.
func (s *service) shares() bool {
	for _, key := range sharingAnnotations {
		if _, ok := s.Annotations[key]; ok {
			return true
		}
	}
	return false
}

// older orders by age, then by name, for the cases in which only one of two Services can have its way.
func (s *service) older(o *service) bool {
	if !s.CreationTimestamp.Time.Equal(o.CreationTimestamp.Time) {
		return s.CreationTimestamp.Time.Before(o.CreationTimestamp.Time)
	}
	return strings.Compare(s.name.String(), o.name.String()) < 0
}

func (s *service) withhold(note func(Withheld), protocol Protocol, a netip.Addr, reason Reason, format string, args ...any) {
	note(Withheld{
		Kind: KindService, Name: s.name, Address: a, Protocol: protocol,
		Reason: reason, Message: fmt.Sprintf(format, args...),
	})
}
