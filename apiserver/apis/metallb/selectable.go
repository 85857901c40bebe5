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
)

// Selectable is implemented by the kinds of which field selectors may name more than metadata.name and
// metadata.namespace.
type Selectable interface {
	// SelectableFields are the values of those fields, by their path on the wire. The paths do not depend on the object.
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
