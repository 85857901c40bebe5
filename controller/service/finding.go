package service

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/controller/ipam"
)

// Finding is one thing that is wrong with a Service: what the controller would say of it.
type Finding struct {
	// Reason is a word for it: that of the condition Allocated, and UnknownPool also where another pool will do.
	Reason string
	// Field of the Service that it is about, and the value that it has.
	Field, Value string
	// Sentence says what is wrong.
	Sentence string
	// Advice is set where nothing is wrong with the Service itself, so that it is no reason to refuse it.
	Advice bool
	// New is set where the object before did not have it.
	New bool

	// cause stays the same while numbers in the sentence change.
	cause string
	// ofServices is set where it depends on what other Services hold.
	ofServices bool
}

// String names field and value, and says what is wrong.
func (f Finding) String() string { return fmt.Sprintf("%s: %q: %s", f.Field, f.Value, f.Sentence) }

// findingOf is a failure of the controller's decision, at the field that it is about.
func findingOf(svc *corev1.Service, f failure) Finding {
	field, value := fieldOf(svc, f.err)
	var inUse *ipam.InUseError
	var port *ipam.PortError
	var quota *ipam.QuotaError
	var resting *ipam.RestingError
	var missing *missingPoolError
	var outside *ipam.OutsideError
	reason, sentence := reasonOf(f.err), f.err.Error()
	switch {
	case errors.As(f.err, &missing):
		reason = reasonUnknownPool
	case errors.As(f.err, &outside) && len(outside.Addrs) == 1:
		sentence += ": no address pool gives it away"
	case errors.As(f.err, &outside):
		sentence += ": no address pool gives both away"
	}
	return Finding{
		Reason: reason, Field: field, Value: value, Sentence: sentence, cause: ipam.Cause(f.err),
		ofServices: errors.Is(f.err, ipam.ErrExhausted) || errors.As(f.err, &inUse) || errors.As(f.err, &port) ||
			errors.As(f.err, &quota) || errors.As(f.err, &resting),
	}
}

// fieldOf is where a Service says what cannot be.
func fieldOf(svc *corev1.Service, err error) (field, value string) {
	var port *ipam.PortError
	var inUse *ipam.InUseError
	var quota *ipam.QuotaError
	var exhausted *ipam.ExhaustedError
	var missing *missingPoolError
	var unknown *ipam.UnknownPoolError
	var incompatible *ipam.IncompatibleError
	switch {
	case errors.As(err, &port):
		return "spec.ports", fmt.Sprintf("%s/%d", port.Port.Protocol, port.Port.Number)
	case errors.As(err, &inUse):
		if field, value = firstField(svc, allowSharedIP, loadBalancerIPs); field == typeField {
			return annotationField(prefix + allowSharedIP), "" // which it had, or the address were not its own
		}
		return field, value
	case errors.As(err, &quota):
		return "metadata.namespace", svc.Namespace
	case errors.As(err, &missing), errors.As(err, &unknown), errors.As(err, &incompatible):
		return firstField(svc, addressPool, loadBalancerIPs)
	case errors.As(err, &exhausted):
		for _, l := range exhausted.Lacks {
			if l.Quota != nil {
				return "metadata.namespace", svc.Namespace
			}
		}
		if lacksFamily(exhausted) {
			return "spec.ipFamilies", familyNames(svc)
		}
		return firstField(svc, addressPool)
	case svc.Annotations != nil || svc.Spec.LoadBalancerIP != "":
		return firstField(svc, loadBalancerIPs)
	}
	return firstField(svc)
}

// lacksFamily reports whether no pool in question has any address of a family that is wanted.
func lacksFamily(e *ipam.ExhaustedError) bool {
	return len(e.Lacks) > 0 && !slices.ContainsFunc(e.Lacks, func(l ipam.Lack) bool { return l.Total > 0 })
}

func familyNames(svc *corev1.Service) string {
	var all []string
	for _, f := range svc.Spec.IPFamilies {
		all = append(all, string(f))
	}
	return strings.Join(all, ",")
}

// firstField is the first of the fields in which a Service asks for something; its type where it does in none.
func firstField(svc *corev1.Service, names ...string) (field, value string) {
	for _, name := range names {
		for _, prefix := range []string{prefix, deprecatedPrefix} {
			if value, ok := svc.Annotations[prefix+name]; ok && value != "" {
				return annotationField(prefix + name), value
			}
		}
		if name == loadBalancerIPs && svc.Spec.LoadBalancerIP != "" {
			return "spec.loadBalancerIP", svc.Spec.LoadBalancerIP
		}
	}
	return typeField, string(svc.Spec.Type)
}

// typeField is where a Service asks for any address at all.
const typeField = "spec.type"

func annotationField(key string) string { return "metadata.annotations[" + key + "]" }

// contradictions are annotations that are given under both prefixes with different values.
func contradictions(svc *corev1.Service) (all []Finding) {
	for _, name := range []string{addressPool, loadBalancerIPs, allowSharedIP} {
		value, given := svc.Annotations[prefix+name]
		other, both := svc.Annotations[deprecatedPrefix+name]
		if !given || !both || value == other {
			continue
		}
		if name == loadBalancerIPs {
			mine, err := parseAddrs(strings.Split(value, ","))
			others, err2 := parseAddrs(strings.Split(other, ","))
			if err == nil && err2 == nil && sameSet(mine, others) {
				continue
			}
		}
		sentence := fmt.Sprintf("%s and %s contradict each other: %q and %q; the former decides", prefix+name, deprecatedPrefix+name, value, other)
		all = append(all, Finding{Reason: reasonContradiction, Field: annotationField(deprecatedPrefix + name), Value: other,
			Sentence: sentence, cause: sentence})
	}
	return all
}
