// Package dns is the cluster's DNS of a lab: the names of Services and of the Pods behind headless ones, as Kubernetes'
// specification of DNS-based service discovery has them. It knows no other names, and nobody to ask for them.
package dns

import (
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Domain is what all names of the cluster end in.
const Domain = "cluster.local."

// ttl of every answer, in seconds: Pods change their addresses.
const ttl = 5

// Source is where a zone has its Services from.
type Source interface {
	// Service returns a Service, or nil.
	Service(namespace, name string) *corev1.Service
	// Slices returns the EndpointSlices of a Service.
	Slices(namespace, service string) []*discoveryv1.EndpointSlice
	// Services returns all Services.
	Services() []*corev1.Service
	// HasNamespace says whether there is anything in a namespace.
	HasNamespace(name string) bool
}

// Answer is what there is to say of a name.
type Answer struct {
	Code      dnsmessage.RCode
	Addresses []netip.Addr // of the family that was asked for
	Pointers  []string     // fully qualified names
}

// Lookup answers a question. What is not in the cluster is not refused with a name error, which would say that the name does
// not exist: nobody was asked.
func Lookup(s Source, name string, kind dnsmessage.Type) Answer {
	name = strings.ToLower(name)
	if address, ok := reverse(name); ok {
		return pointers(s, address, kind)
	}
	labels, inside := strings.CutSuffix("."+name, "."+Domain)
	labels = strings.Trim(labels, ".")
	if !inside {
		return Answer{Code: dnsmessage.RCodeServerFailure}
	}
	addresses, exists := find(s, labels)
	if !exists {
		return Answer{Code: dnsmessage.RCodeNameError}
	}
	wants6 := kind == dnsmessage.TypeAAAA
	if kind != dnsmessage.TypeA && !wants6 {
		return Answer{}
	}
	return Answer{Addresses: slices.DeleteFunc(addresses, func(a netip.Addr) bool { return a.Is6() != wants6 })}
}

// find is what a name below the domain stands for: SERVICE.NAMESPACE.svc or HOST.SERVICE.NAMESPACE.svc. Names that others are
// below exist, too.
func find(s Source, name string) (addresses []netip.Addr, exists bool) {
	labels := strings.Split(name, ".")
	slices.Reverse(labels)
	if labels[0] != "svc" || len(labels) > 4 {
		return nil, name == ""
	}
	switch len(labels) {
	case 1:
		return nil, true
	case 2:
		return nil, s.HasNamespace(labels[1])
	}
	service := s.Service(labels[1], labels[2])
	if service == nil || service.Spec.Type == corev1.ServiceTypeExternalName {
		return nil, false
	}
	headless := service.Spec.ClusterIP == corev1.ClusterIPNone
	if len(labels) == 4 {
		if !headless {
			return nil, false
		}
		addresses = endpoints(s, service, labels[3])
		return addresses, len(addresses) > 0
	}
	if headless {
		return endpoints(s, service, ""), true
	}
	for _, ip := range service.Spec.ClusterIPs {
		if address, err := netip.ParseAddr(ip); err == nil {
			addresses = append(addresses, address)
		}
	}
	return addresses, true
}

// endpoints are the addresses of those behind a headless Service that are ready, or, where it publishes them, of all; with a
// hostname, of the one that has it.
func endpoints(s Source, service *corev1.Service, hostname string) (addresses []netip.Addr) {
	for _, slice := range s.Slices(service.Namespace, service.Name) {
		for _, e := range slice.Endpoints {
			ready := e.Conditions.Ready == nil || *e.Conditions.Ready
			if !ready && !service.Spec.PublishNotReadyAddresses {
				continue
			}
			if hostname != "" && (e.Hostname == nil || *e.Hostname != hostname) {
				continue
			}
			for _, ip := range e.Addresses {
				if address, err := netip.ParseAddr(ip); err == nil && !slices.Contains(addresses, address) {
					addresses = append(addresses, address)
				}
			}
		}
	}
	return addresses
}

// pointers are the Services that have an address.
func pointers(s Source, address netip.Addr, kind dnsmessage.Type) Answer {
	var names []string
	for _, service := range s.Services() {
		if slices.Contains(service.Spec.ClusterIPs, address.String()) {
			names = append(names, service.Name+"."+service.Namespace+".svc."+Domain)
		}
	}
	switch {
	case len(names) == 0:
		return Answer{Code: dnsmessage.RCodeNameError}
	case kind != dnsmessage.TypePTR:
		return Answer{}
	}
	return Answer{Pointers: names}
}

// reverse reads the name that an address is looked up by (RFC 1035 section 3.5, RFC 3596 section 2.5).
func reverse(name string) (netip.Addr, bool) {
	if digits, ok := strings.CutSuffix(name, ".in-addr.arpa."); ok {
		parts := strings.Split(digits, ".")
		slices.Reverse(parts)
		address, err := netip.ParseAddr(strings.Join(parts, "."))
		return address, err == nil && address.Is4()
	}
	digits, ok := strings.CutSuffix(name, ".ip6.arpa.")
	nibbles := strings.Split(digits, ".")
	if !ok || len(nibbles) != 32 {
		return netip.Addr{}, false
	}
	slices.Reverse(nibbles)
	var text strings.Builder
	for i, nibble := range nibbles {
		if i > 0 && i%4 == 0 {
			text.WriteByte(':')
		}
		text.WriteString(nibble)
	}
	address, err := netip.ParseAddr(text.String())
	return address, err == nil
}
