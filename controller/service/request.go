package service

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/ingot-lb/ingot/controller/ipam"
)

// Prefixes of the annotations that Services carry; the first wins where both are given.
const (
	prefix           = "metallb.io/"
	deprecatedPrefix = "metallb.universe.tf/"
)

// Names of annotations after their prefix (spec.md section 4.1).
const (
	addressPool     = "address-pool"
	loadBalancerIPs = "loadBalancerIPs"
	allowSharedIP   = "allow-shared-ip"
)

// Annotations that the controller writes.
const (
	// allocatedFrom names the pool that the addresses are of.
	allocatedFrom = prefix + "ip-allocated-from-pool"
	// unknownPool names the pool that was asked for and did not exist when the Service got addresses of another:
	// should it come to exist later, the addresses stay.
	unknownPool = "ingot.io/unknown-address-pool"
)

// request is what a Service asks for.
type request struct {
	facts    ipam.Service
	families ipam.Families
	pool     string
	// addrs that it insists on, IPv4 first. addrsErr says what is wrong with them.
	addrs    []netip.Addr
	addrsErr error
}

// keyOf identifies a Service.
func keyOf(svc *corev1.Service) string { return svc.Namespace + "/" + svc.Name }

// newRequest reads the Service. The error, for cluster IPs that are of no use, is the cause of noclusterIPsIPFamily.
func newRequest(svc *corev1.Service) (request, error) {
	r := request{pool: annotation(svc, addressPool), facts: ipam.Service{
		Key:        keyOf(svc),
		Namespace:  svc.Namespace,
		Labels:     svc.Labels,
		SharingKey: annotation(svc, allowSharedIP),
	}}
	for _, p := range svc.Spec.Ports {
		protocol := cmp.Or(p.Protocol, corev1.ProtocolTCP)
		r.facts.Ports = append(r.facts.Ports, ipam.Port{Protocol: string(protocol), Number: uint16(p.Port)})
	}
	if svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		r.facts.BackendKey = labels.Set(svc.Spec.Selector).String()
	}
	r.addrs, r.addrsErr = wantedAddrs(svc)
	var err error
	r.families, err = familiesOf(svc)
	return r, err
}

// annotation returns the value under either prefix.
func annotation(svc *corev1.Service, name string) string {
	if v, ok := svc.Annotations[prefix+name]; ok {
		return v
	}
	return svc.Annotations[deprecatedPrefix+name]
}

// deprecatedAnnotation returns the first annotation under the old prefix.
func deprecatedAnnotation(svc *corev1.Service) (key string, ok bool) {
	for k := range svc.Annotations {
		if strings.HasPrefix(k, strings.TrimSuffix(deprecatedPrefix, "/")) && (!ok || k < key) {
			key, ok = k, true
		}
	}
	return key, ok
}

func clusterIPs(svc *corev1.Service) []string {
	if len(svc.Spec.ClusterIPs) > 0 {
		return svc.Spec.ClusterIPs
	}
	if svc.Spec.ClusterIP != "" {
		return []string{svc.Spec.ClusterIP}
	}
	return nil
}

// familiesOf is spec.md section 4.4: the family of a Service is that of its cluster IPs.
func familiesOf(svc *corev1.Service) (ipam.Families, error) {
	addrs, err := parseAddrs(clusterIPs(svc))
	if err != nil {
		return ipam.Families{}, err
	}
	if len(addrs) == 0 {
		return ipam.Families{}, nil
	}
	f := ipam.Families{First: ipam.FamilyOf(addrs[0]), Dual: len(addrs) == 2}
	if !f.Dual {
		return f, nil
	}
	f.First = ipam.IPv4
	if len(svc.Spec.IPFamilies) > 0 && svc.Spec.IPFamilies[0] == corev1.IPv6Protocol {
		f.First = ipam.IPv6
	}
	f.Either = policyOf(svc) == corev1.IPFamilyPolicyPreferDualStack
	return f, nil
}

func policyOf(svc *corev1.Service) corev1.IPFamilyPolicy {
	if svc.Spec.IPFamilyPolicy == nil {
		return corev1.IPFamilyPolicySingleStack
	}
	return *svc.Spec.IPFamilyPolicy
}

// wantedAddrs are the addresses that the Service insists on.
func wantedAddrs(svc *corev1.Service) ([]netip.Addr, error) {
	list := annotation(svc, loadBalancerIPs)
	switch {
	case list != "" && svc.Spec.LoadBalancerIP != "":
		return nil, because(reasonContradiction, "service can not have both %s and svc.Spec.LoadBalancerIP", prefix+loadBalancerIPs)
	case list != "":
		addrs, err := parseAddrs(strings.Split(list, ","))
		if errors.Is(err, errNoAddress) {
			return nil, fmt.Errorf("invalid %s: %q: %w", prefix+loadBalancerIPs, list, err)
		}
		return addrs, err
	case svc.Spec.LoadBalancerIP != "":
		addrs, err := parseAddrs([]string{svc.Spec.LoadBalancerIP})
		if err != nil {
			return nil, fmt.Errorf("invalid spec.loadBalancerIP %q", svc.Spec.LoadBalancerIP)
		}
		return addrs, nil
	}
	return nil, nil
}

// errNoAddress says that a text is not an IP address.
var errNoAddress = errors.New("invalid IP address")

// parseAddrs reads at most one address of each family and returns IPv4 first. Of addresses that do not go together it
// speaks in MetalLB's words.
func parseAddrs(texts []string) ([]netip.Addr, error) {
	var addrs []netip.Addr
	for _, text := range texts {
		addr, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil || addr.Zone() != "" {
			return nil, fmt.Errorf("%w %q", errNoAddress, text)
		}
		addrs = append(addrs, addr.Unmap())
	}
	if len(addrs) > 2 {
		return nil, fmt.Errorf("IPFamilyForAddresses: invalid ips length %d %s", len(addrs), ipam.Quoted(addrs))
	}
	if len(addrs) == 2 && ipam.FamilyOf(addrs[0]) == ipam.FamilyOf(addrs[1]) {
		return nil, fmt.Errorf("IPFamilyForAddresses: same address family %s", ipam.Quoted(addrs))
	}
	slices.SortFunc(addrs, func(a, b netip.Addr) int { return cmp.Compare(ipam.FamilyOf(a), ipam.FamilyOf(b)) })
	return addrs, nil
}

// ingressAddrs are the addresses of the Service's status. Entries that are host names are somebody else's.
func ingressAddrs(svc *corev1.Service) []netip.Addr {
	var addrs []netip.Addr
	for _, in := range svc.Status.LoadBalancer.Ingress {
		if addr, err := netip.ParseAddr(in.IP); err == nil {
			addrs = append(addrs, addr.Unmap())
		}
	}
	return addrs
}

// serves reports whether addrs are of the families that f asks for.
func serves(f ipam.Families, addrs []netip.Addr) bool {
	var has [2]bool
	for _, addr := range addrs {
		has[ipam.FamilyOf(addr)] = true
	}
	if f.Either {
		return has[ipam.IPv4] || has[ipam.IPv6]
	}
	return has[f.First] && has[ipam.IPv6-f.First] == f.Dual
}

// exactly reports whether addrs are what a Service of families f must ask for if it asks for addresses at all.
func exactly(f ipam.Families, addrs []netip.Addr) bool {
	f.Either = false
	return serves(f, addrs)
}

// sameSet reports whether both lists hold the same addresses.
func sameSet(a, b []netip.Addr) bool {
	if len(a) != len(b) {
		return false
	}
	return !slices.ContainsFunc(a, func(x netip.Addr) bool { return !slices.Contains(b, x) })
}

// firstOfEach is the first address of each family.
func firstOfEach(addrs []netip.Addr) (first []netip.Addr) {
	var have [2]bool
	for _, addr := range addrs {
		if f := ipam.FamilyOf(addr); !have[f] {
			have[f] = true
			first = append(first, addr)
		}
	}
	return first
}
