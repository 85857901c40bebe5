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
	return missingPools(ix, adv.Spec.IPAddressPools, spec.Child("ipAddressPools"))
}

func bgpAdvertisementWarnings(ix *index, adv *metallb.BGPAdvertisement, spec *field.Path) []string {
	return slices.Concat(
		missingPools(ix, adv.Spec.IPAddressPools, spec.Child("ipAddressPools")),
		missing(ix.peers, "BGPPeer", adv.Spec.Peers, spec.Child("peers")),
		missingAliases(ix, adv.Spec.Communities, spec.Child("communities")))
}

func addressPoolWarnings(ix *index, p *metallb.AddressPool, spec *field.Path) (warnings []string) {
	list := spec.Child("bgpAdvertisements")
	for i, ad := range p.Spec.BGPAdvertisements {
		if len(warnings) > maxWarnings {
			break
		}
		warnings = append(warnings, missingAliases(ix, ad.Communities, list.Index(i).Child("communities"))...)
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
	switch secret := peer.Spec.PasswordSecret; {
	case secret.Namespace == "":
	case secret.Name == "":
		warnings = append(warnings, spec.Child("passwordSecret", "name").String()+": names no Secret, so the session has no password")
	case secret.Namespace != peer.Namespace:
		warnings = append(warnings, fmt.Sprintf("%s: %q has no effect: the Secret is that of namespace %q",
			spec.Child("passwordSecret", "namespace"), secret.Namespace, peer.Namespace))
	}
	if peer.Spec.DisableMP && (old == nil || !old.Spec.DisableMP) {
		warnings = append(warnings, spec.Child("disableMP").String()+": deprecated and without effect, use dualStackAddressFamily")
	}
	return warnings
}

// missingPools warns of names by which no pool is selected.
func missingPools(ix *index, names []string, path *field.Path) (warnings []string) {
	for i, name := range names {
		switch {
		case ix.pools.has(name) || len(warnings) > maxWarnings:
		case ix.legacy.has(name):
			warnings = append(warnings, fmt.Sprintf("%s: %q is an AddressPool, which says itself how it is announced: no advertisement selects it", path.Index(i), name))
		default:
			warnings = append(warnings, notThere(path.Index(i), "IPAddressPool", name))
		}
	}
	return warnings
}

func missingAliases(ix *index, communities []string, path *field.Path) (warnings []string) {
	for i, name := range communities {
		if community.IsAlias(name) && len(ix.definitions(name)) == 0 && len(warnings) <= maxWarnings {
			warnings = append(warnings, fmt.Sprintf("%s: no Community defines the alias %q (yet)", path.Index(i), name))
		}
	}
	return warnings
}

// missing warns of names that nothing in known has.
func missing(known interface{ has(name string) bool }, kind string, names []string, path *field.Path) []string {
	var warnings []string
	for i, name := range names {
		if !known.has(name) && len(warnings) <= maxWarnings {
			warnings = append(warnings, notThere(path.Index(i), kind, name))
		}
	}
	return warnings
}

func notThere(path *field.Path, kind, name string) string {
	return fmt.Sprintf("%s: %s %q does not exist (yet)", path, kind, name)
}
