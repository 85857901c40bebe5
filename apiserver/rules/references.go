package rules

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/community"
)

// References that point at nothing are warnings, not errors, so that a directory can be applied in any order.

func l2AdvertisementWarnings(ix *index, adv *metallb.L2Advertisement, spec *field.Path) []string {
	return missing(ix.pools.byName, "IPAddressPool", adv.Spec.IPAddressPools, spec.Child("ipAddressPools"))
}

func bgpAdvertisementWarnings(ix *index, adv *metallb.BGPAdvertisement, spec *field.Path) []string {
	warnings := slices.Concat(
		missing(ix.pools.byName, "IPAddressPool", adv.Spec.IPAddressPools, spec.Child("ipAddressPools")),
		missing(ix.peers, "BGPPeer", adv.Spec.Peers, spec.Child("peers")))
	for i, name := range adv.Spec.Communities {
		if community.IsAlias(name) && len(ix.definitions(name)) == 0 && len(warnings) < maxWarnings {
			warnings = append(warnings, fmt.Sprintf("%s: no Community defines the alias %q (yet)", spec.Child("communities").Index(i), name))
		}
	}
	return warnings
}

func peerWarnings(ix *index, peer, old *metallb.BGPPeer, spec *field.Path) []string {
	var warnings []string
	if profile := peer.Spec.BFDProfile; profile != "" {
		if !ix.profiles.has(profile) {
			warnings = append(warnings, fmt.Sprintf("%s: BFDProfile %q does not exist (yet)", spec.Child("bfdProfile"), profile))
		}
		if old == nil || old.Spec.BFDProfile != profile {
			warnings = append(warnings, fmt.Sprintf("%s: %s", spec.Child("bfdProfile"), bfdIsNotImplemented))
		}
	}
	if secret := peer.Spec.PasswordSecret; secret.Name == "" && secret.Namespace != "" {
		warnings = append(warnings, spec.Child("passwordSecret", "name").String()+": names no Secret, so the session has no password")
	}
	if peer.Spec.DisableMP && (old == nil || !old.Spec.DisableMP) {
		warnings = append(warnings, spec.Child("disableMP").String()+": deprecated and without effect, use dualStackAddressFamily")
	}
	return warnings
}

// missing warns of names that nothing in known has.
func missing[E object](known byName[E], kind string, names []string, path *field.Path) []string {
	var warnings []string
	for i, name := range names {
		if !known.has(name) && len(warnings) < maxWarnings {
			warnings = append(warnings, fmt.Sprintf("%s: %s %q does not exist (yet)", path.Index(i), kind, name))
		}
	}
	return warnings
}
