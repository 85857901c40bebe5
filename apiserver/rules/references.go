package rules

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/community"
)

// References that point at nothing are warnings, not errors, so that a directory can be applied in any order.

func l2AdvertisementWarnings(c *metallb.Configuration, adv *metallb.L2Advertisement, spec *field.Path) []string {
	return missingPools(c, adv.Spec.IPAddressPools, spec.Child("ipAddressPools"))
}

func bgpAdvertisementWarnings(c *metallb.Configuration, adv *metallb.BGPAdvertisement, spec *field.Path) []string {
	warnings := missingPools(c, adv.Spec.IPAddressPools, spec.Child("ipAddressPools"))
	known := map[string]bool{}
	for _, p := range c.BGPPeers {
		known[p.Name] = true
	}
	warnings = append(warnings, missing(known, "BGPPeer", adv.Spec.Peers, spec.Child("peers"))...)
	for i, c := range adv.Spec.Communities {
		if community.IsAlias(c) { // Communities are not part of the configuration, so no alias is defined.
			warnings = append(warnings, fmt.Sprintf("%s: no Community defines the alias %q (yet)", spec.Child("communities").Index(i), c))
		}
	}
	return warnings
}

func peerWarnings(peer, old *metallb.BGPPeer, spec *field.Path) []string {
	var warnings []string
	if profile := peer.Spec.BFDProfile; profile != "" { // Nor are BFDProfiles.
		warnings = append(warnings, fmt.Sprintf("%s: BFDProfile %q does not exist (yet)", spec.Child("bfdProfile"), profile))
	}
	if secret := peer.Spec.PasswordSecret; secret.Name == "" && secret.Namespace != "" {
		warnings = append(warnings, spec.Child("passwordSecret", "name").String()+": names no Secret, so the session has no password")
	}
	if peer.Spec.DisableMP && (old == nil || !old.Spec.DisableMP) {
		warnings = append(warnings, spec.Child("disableMP").String()+": deprecated and without effect, use dualStackAddressFamily")
	}
	return warnings
}

func missingPools(c *metallb.Configuration, names []string, path *field.Path) []string {
	known := map[string]bool{}
	for _, p := range c.IPAddressPools {
		known[p.Name] = true
	}
	return missing(known, "IPAddressPool", names, path)
}

func missing(known map[string]bool, kind string, names []string, path *field.Path) []string {
	var warnings []string
	for i, name := range names {
		if !known[name] {
			warnings = append(warnings, fmt.Sprintf("%s: %s %q does not exist (yet)", path.Index(i), kind, name))
		}
	}
	return warnings
}
