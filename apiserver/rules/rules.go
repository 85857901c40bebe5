// Package rules says what a valid configuration is. It is pure: no clock, no client, no state. The storage layer
// calls it inside the guarded write, where its word is law; strategies call it earlier, on a configuration that may
// be old, for dry-run and for friendly errors.
//
// Rules are numbered as in MetalLB's validation: P for pools, A and L for advertisements, B for peers, X for rules
// that span objects.
package rules

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// Change is one write to the configuration. Objects are of the internal types.
type Change struct {
	// Resource is the plural of the kind, such as "ipaddresspools".
	Resource string
	// Old is the object as it is stored; nil on create.
	Old runtime.Object
	// New is the object as it would be stored; nil on delete.
	New runtime.Object
}

// Check reports what is wrong with the configuration that c would become if ch were applied, and what the user
// should know about a change that is right. c is valid, holds ch.Old and is not changed; nil means empty. It is the
// one place where rules live.
func Check(c *metallb.Configuration, ch Change) (errs field.ErrorList, warnings []string) {
	if c == nil {
		c = &metallb.Configuration{}
	}
	spec := field.NewPath("spec")
	switch obj := ch.New.(type) {
	case nil:
		return checkDelete(c, ch.Old), nil
	case *metallb.IPAddressPool:
		return checkPool(c, obj, spec), nil
	case *metallb.L2Advertisement:
		return checkL2Advertisement(obj, spec), l2AdvertisementWarnings(c, obj, spec)
	case *metallb.BGPAdvertisement:
		return checkBGPAdvertisement(obj, spec), bgpAdvertisementWarnings(c, obj, spec)
	case *metallb.BGPPeer:
		old, _ := ch.Old.(*metallb.BGPPeer)
		return checkPeer(obj, old, spec), peerWarnings(c, obj, old, spec)
	case *metallb.BFDProfile:
		old, _ := ch.Old.(*metallb.BFDProfile)
		if isDeletion(obj, old) {
			return checkUnused(c, obj), nil
		}
		return checkBFDProfile(obj, spec), bfdProfileWarnings(old)
	case *metallb.Community:
		old, _ := ch.Old.(*metallb.Community)
		errs, warnings = checkAliases(c, obj, spec)
		return errs, append(warnings, withdrawnAliases(c, obj, old)...)
	}
	return field.ErrorList{field.InternalError(nil, fmt.Errorf("no rules for %s of type %T", ch.Resource, ch.New))}, nil
}

// checkDelete lets any object be deleted but a BFDProfile in use: what refers to others becomes a reference to nothing.
func checkDelete(c *metallb.Configuration, old runtime.Object) field.ErrorList {
	if p, ok := old.(*metallb.BFDProfile); ok {
		return checkUnused(c, p)
	}
	return nil
}
