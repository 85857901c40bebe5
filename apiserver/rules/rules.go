// Package rules says what a valid configuration is. It is pure: no clock, no client, no state but what Judge
// remembers to be fast. The storage layer calls it inside the guarded write, where its word is law; strategies call
// it earlier, on a configuration that may be old, for dry-run and for friendly errors.
//
// Rules are numbered as in MetalLB's validation: P for pools, A and L for advertisements, B for peers, X for rules
// that span objects. Those of the kinds and fields that are ours have no number.
package rules

import (
	"fmt"
	"net/netip"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// Change is one write to the configuration, and what of the host cluster decides about it. Objects are of the
// internal types.
type Change struct {
	// Resource is the plural of the kind, such as "ipaddresspools".
	Resource string
	// Old is the object as it is stored; nil on create.
	Old runtime.Object
	// New is the object as it would be stored; nil on delete.
	New runtime.Object

	// Nodes are those of the cluster. Where none is known, any two objects are taken to share one.
	Nodes []Node
	// Secrets are those of the system namespace, for warnings; nil while none is known.
	Secrets Secrets
	// Holders are the Services that hold addresses, for warnings when what they use is deleted.
	Holders []Holder
	// Terminating says that the system namespace is being deleted, which protected objects do not stop.
	Terminating bool
}

// Node is what the rules must know of a Node.
type Node struct {
	Name   string
	Labels map[string]string
	// Addresses are its own: internal and external.
	Addresses []netip.Addr
}

// Holder is a Service that holds addresses.
type Holder struct {
	// Name is namespace and name, joined by a slash.
	Name      string
	Addresses []netip.Addr
}

// Check reports what is wrong with the configuration that c would become if ch were applied, and what the user
// should know about a change that is right. c is valid, holds ch.Old and is not changed; nil means empty. It is the
// one place where rules live.
//
// A change is judged by what it changes: an object whose spec and labels stay may always be written. What the host
// cluster has made wrong since, such as Nodes whose labels brought two peers together, is not this write's fault.
func Check(c *metallb.Configuration, ch Change) (errs field.ErrorList, warnings []string) {
	return (*index)(nil).next(c).check(ch, newCluster(ch.Nodes))
}

func (ix *index) check(ch Change, on *cluster) (field.ErrorList, []string) {
	errs, warnings := ix.judge(ch, on)
	return bounded(errs), boundedWarnings(warnings)
}

func (ix *index) judge(ch Change, on *cluster) (errs field.ErrorList, warnings []string) {
	if deletes(ch) {
		return checkDeletion(ix, ch)
	}
	spec := field.NewPath("spec")
	switch obj := ch.New.(type) {
	case *metallb.IPAddressPool:
		old, _ := ch.Old.(*metallb.IPAddressPool)
		return checkPool(ix, obj, old, on, spec)
	case *metallb.AddressPool:
		old, _ := ch.Old.(*metallb.AddressPool)
		errs = checkAddressPool(ix, obj, old, on, spec)
		if len(errs) == 0 && (old == nil || !slices.Equal(old.Spec.Addresses, obj.Spec.Addresses)) {
			warnings = nodeAddressWarnings(indexAddressPool(obj), on.nodes)
		}
		return errs, append(warnings, ix.referenceWarnings(obj, ch.Secrets)...)
	case *metallb.L2Advertisement:
		old, _ := ch.Old.(*metallb.L2Advertisement)
		if old == nil || !apiequality.Semantic.DeepEqual(old.Spec, obj.Spec) {
			errs = checkL2Advertisement(obj, spec)
			if len(errs) == 0 {
				errs = checkProbesBesidePools(ix, obj, spec)
			}
			if len(errs) == 0 {
				warnings = probeWarnings(obj, on.nodes, spec)
			}
		}
		warnings = append(warnings, ix.referenceWarnings(obj, ch.Secrets)...)
		return errs, append(warnings, selectorWarnings(ix, obj.Spec.IPAddressPoolSelectors, spec.Child("ipAddressPoolSelectors"))...)
	case *metallb.BGPAdvertisement:
		old, _ := ch.Old.(*metallb.BGPAdvertisement)
		if old == nil || !apiequality.Semantic.DeepEqual(old.Spec, obj.Spec) {
			errs = checkBGPAdvertisement(obj, spec)
			if len(errs) == 0 {
				ad := indexAdvertisement(obj)
				errs = checkBesidePools(ix, ad, old, on, spec)
				errs = append(errs, checkEchoOfAdvertisement(ix, ad, old, on, spec)...)
			}
		}
		warnings = append(ix.referenceWarnings(obj, ch.Secrets), prependWarnings(ix, obj, spec)...)
		return errs, append(warnings, selectorWarnings(ix, obj.Spec.IPAddressPoolSelectors, spec.Child("ipAddressPoolSelectors"))...)
	case *metallb.BGPPeer:
		old, _ := ch.Old.(*metallb.BGPPeer)
		if old == nil || !apiequality.Semantic.DeepEqual(old.Spec, obj.Spec) {
			errs = checkPeer(obj, old, spec)
			if len(errs) == 0 {
				p := indexPeer(obj)
				errs = checkMeetings(ix, p, old, on, spec)
				errs = append(errs, checkEchoOfPeer(ix, p, old, on, spec)...)
			}
		}
		return errs, append(ix.referenceWarnings(obj, ch.Secrets), peerWarnings(obj, old, spec)...)
	case *metallb.BFDProfile:
		old, _ := ch.Old.(*metallb.BFDProfile)
		errs = checkBFDProfile(obj, spec)
		if len(errs) == 0 {
			errs = checkEchoOfProfile(ix, obj, old, on, spec)
		}
		return errs, nil
	case *metallb.Community:
		old, _ := ch.Old.(*metallb.Community)
		errs, warnings = checkAliases(ix, obj, spec)
		return errs, append(warnings, withdrawnAliases(ix, obj, old)...)
	case *metallb.IPReservation:
		old, _ := ch.Old.(*metallb.IPReservation)
		if old == nil || !apiequality.Semantic.DeepEqual(old.Spec, obj.Spec) {
			return checkReservation(ix, obj, ch.Holders, spec)
		}
		return nil, nil
	case *metallb.MetalLB:
		old, _ := ch.Old.(*metallb.MetalLB)
		if old == nil || !apiequality.Semantic.DeepEqual(old.Spec, obj.Spec) {
			errs = checkMetalLB(obj, spec)
		}
		return errs, metalLBWarnings(obj, spec)
	}
	return field.ErrorList{field.InternalError(nil, fmt.Errorf("no rules for %s of type %T", ch.Resource, ch.New))}, nil
}

// deletes says whether the change removes the object, at once or when its finalizers have gone.
func deletes(ch Change) bool {
	if ch.New == nil {
		return true
	}
	after, _ := ch.New.(metav1.Object)
	before, _ := ch.Old.(metav1.Object)
	return before != nil && after != nil && before.GetDeletionTimestamp() == nil && after.GetDeletionTimestamp() != nil
}
