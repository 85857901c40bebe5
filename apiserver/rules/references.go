package rules

import (
	"fmt"
	"slices"

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
	defined := aliases(c)
	for i, name := range adv.Spec.Communities {
		if community.IsAlias(name) && !defined[name] {
			warnings = append(warnings, fmt.Sprintf("%s: no Community defines the alias %q (yet)", spec.Child("communities").Index(i), name))
		}
	}
	return warnings
}

func peerWarnings(c *metallb.Configuration, peer, old *metallb.BGPPeer, spec *field.Path) []string {
	var warnings []string
	if profile := peer.Spec.BFDProfile; profile != "" {
		exists := func(p *metallb.BFDProfile) bool { return p.Name == profile }
		if !slices.ContainsFunc(c.BFDProfiles, exists) {
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

func missingPools(c *metallb.Configuration, names []string, path *field.Path) []string {
	if len(names) == 0 {
		return nil
	}
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
