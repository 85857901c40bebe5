package metallb

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
)

// Selectable is implemented by the kinds of which field selectors may name more than metadata.name and
// metadata.namespace.
type Selectable interface {
	// SelectableFields are the values of those fields, by their path on the wire or a shorter name. The paths do not depend on the object.
	// What is not set is "".
	SelectableFields() fields.Set
}

// SelectableFields implements Selectable.
func (p *IPAddressPool) SelectableFields() fields.Set {
	return fields.Set{
		"spec.autoAssign":    flag(p.Spec.AutoAssign),
		"spec.avoidBuggyIPs": strconv.FormatBool(p.Spec.AvoidBuggyIPs),
	}
}

// SelectableFields implements Selectable.
func (p *AddressPool) SelectableFields() fields.Set {
	return fields.Set{
		"spec.protocol":   string(p.Spec.Protocol),
		"spec.autoAssign": flag(p.Spec.AutoAssign),
	}
}

// SelectableFields implements Selectable.
func (a *BGPAdvertisement) SelectableFields() fields.Set {
	return fields.Set{"spec.localPref": number(a.Spec.LocalPref)}
}

// SelectableFields implements Selectable. All of them may be named in either version.
func (p *BGPPeer) SelectableFields() fields.Set {
	return fields.Set{
		"spec.myASN":               number(p.Spec.MyASN),
		"spec.peerASN":             number(p.Spec.ASN),
		"spec.dynamicASN":          string(p.Spec.DynamicASN),
		"spec.peerAddress":         p.Spec.Address,
		"spec.interface":           p.Spec.Interface,
		"spec.sourceAddress":       p.Spec.SrcAddress,
		"spec.routerID":            p.Spec.RouterID,
		"spec.vrf":                 p.Spec.VRFName,
		"spec.bfdProfile":          p.Spec.BFDProfile,
		"spec.passwordSecret.name": p.Spec.PasswordSecret.Name,
	}
}

// SelectableFields implements Selectable.
func (p *BFDProfile) SelectableFields() fields.Set {
	return fields.Set{
		"spec.echoMode":    flag(p.Spec.EchoMode),
		"spec.passiveMode": flag(p.Spec.PassiveMode),
	}
}

// SelectableFields implements Selectable.
func (r *IPReservation) SelectableFields() fields.Set {
	return fields.Set{"spec.namespace": r.Spec.Namespace, "spec.service": r.Spec.Service}
}

// SelectableFields implements Selectable. Where several Services hold the address, those that name Services hold what is
// true of each, one a line (Any).
func (a *IPAllocation) SelectableFields() fields.Set {
	var namespaces, names, services []string
	for _, s := range a.Spec.Services {
		namespaces, names, services = append(namespaces, s.Namespace), append(names, s.Name), append(services, s.Namespace+"/"+s.Name)
	}
	return fields.Set{
		"spec.address":            a.Spec.Address,
		"spec.pool":               a.Spec.Pool,
		"spec.sharingKey":         a.Spec.SharingKey,
		"spec.services.namespace": strings.Join(namespaces, "\n"),
		"spec.services.name":      strings.Join(names, "\n"),
		"pool":                    a.Spec.Pool,
		"namespace":               strings.Join(namespaces, "\n"),
		"service":                 strings.Join(services, "\n"),
	}
}

// Any is a selector like the one given, for which a field that has several values, one a line, is equal to each of
// them.
func Any(selector fields.Selector) fields.Selector { return anyOf{selector} }

type anyOf struct{ fields.Selector }

// Matches implements fields.Selector.
func (s anyOf) Matches(values fields.Fields) bool {
	for _, r := range s.Requirements() {
		has := slices.Contains(strings.Split(values.Get(r.Field), "\n"), r.Value)
		if has != (r.Operator != selection.NotEquals) {
			return false
		}
	}
	return true
}

// Transform implements fields.Selector.
func (s anyOf) Transform(fn fields.TransformFunc) (fields.Selector, error) {
	t, err := s.Selector.Transform(fn)
	if err != nil {
		return nil, err
	}
	return anyOf{t}, nil
}

// DeepCopySelector implements fields.Selector.
func (s anyOf) DeepCopySelector() fields.Selector { return anyOf{s.Selector.DeepCopySelector()} }

// SelectableFields implements Selectable.
func (s *BGPSessionState) SelectableFields() fields.Set {
	return fields.Set{
		"status.node":      s.Status.Node,
		"status.peer":      s.Status.Peer,
		"status.vrf":       s.Status.VRF,
		"status.bgpPeer":   s.Status.BGPPeer,
		"status.bgpStatus": s.Status.BGPStatus,
		"status.bfdStatus": s.Status.BFDStatus,
	}
}

// SelectableFields implements Selectable. A status of several peers is selected by each of them (Any).
func (s *ServiceBGPStatus) SelectableFields() fields.Set {
	return fields.Set{
		"status.node":             s.Status.Node,
		"status.serviceName":      s.Status.ServiceName,
		"status.serviceNamespace": s.Status.ServiceNamespace,
		"status.state":            s.Status.State,
		"status.peers":            strings.Join(s.Status.Peers, "\n"),
	}
}

// SelectableFields implements Selectable. A status of several addresses or interfaces is selected by each of them (Any).
func (s *ServiceL2Status) SelectableFields() fields.Set {
	var interfaces, addresses []string
	for _, i := range s.Status.Interfaces {
		interfaces = append(interfaces, i.Name)
	}
	for _, a := range s.Status.Addresses {
		addresses = append(addresses, a.Address)
	}
	return fields.Set{
		"status.node":              s.Status.Node,
		"status.serviceName":       s.Status.ServiceName,
		"status.serviceNamespace":  s.Status.ServiceNamespace,
		"status.state":             s.Status.State,
		"status.interfaces.name":   strings.Join(interfaces, "\n"),
		"status.addresses.address": strings.Join(addresses, "\n"),
	}
}

// SelectableFields implements Selectable. A state with several faults is selected by the reason of each (Any).
func (s *SpeakerState) SelectableFields() fields.Set {
	var faults []string
	for _, f := range s.Status.Faults {
		faults = append(faults, f.Reason)
	}
	return fields.Set{
		"status.node":          s.Status.Node,
		"status.state":         s.Status.State,
		"status.version":       s.Status.Version,
		"status.faults.reason": strings.Join(faults, "\n"),
	}
}

func flag(b *bool) string {
	if b == nil {
		return ""
	}
	return strconv.FormatBool(*b)
}

// number is what the wire has: 0 is not set.
func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// AddFieldLabels declares what field selectors may name, for all kinds of the group and in every version of the scheme.
// A selector with another field is the client's mistake, and the answer lists those that there are.
func AddFieldLabels(scheme *runtime.Scheme) error {
	for gvk := range scheme.AllKnownTypes() {
		if gvk.Group != GroupName || gvk.Version == runtime.APIVersionInternal {
			continue
		}
		internal, err := scheme.New(SchemeGroupVersion.WithKind(gvk.Kind))
		if runtime.IsNotRegisteredError(err) { // such as ListOptions
			continue
		} else if err != nil {
			return fmt.Errorf("%s: %w", gvk, err)
		}
		if err := scheme.AddFieldLabelConversionFunc(gvk, fieldLabels(gvk, internal)); err != nil {
			return fmt.Errorf("field labels of %s: %w", gvk, err)
		}
	}
	return nil
}

func fieldLabels(gvk schema.GroupVersionKind, example runtime.Object) runtime.FieldLabelConversionFunc {
	known := []string{"metadata.name", "metadata.namespace"}
	if s, ok := example.(Selectable); ok {
		known = append(known, slices.Sorted(maps.Keys(s.SelectableFields()))...)
	}
	return func(label, value string) (string, string, error) {
		if !slices.Contains(known, label) {
			return "", "", fmt.Errorf("%q is not a field that %s can be selected by: those are %s", label, gvk.Kind, strings.Join(known, ", "))
		}
		return label, value, nil
	}
}
