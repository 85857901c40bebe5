package rules

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/community"
)

// References that point at nothing are warnings and conditions, not errors, so that a directory can be applied in any
// order.

// Why a reference does not resolve, in words that conditions have as their reason.
const (
	PoolNotFound      = "PoolNotFound"
	PeerNotFound      = "PeerNotFound"
	ProfileNotFound   = "ProfileNotFound"
	CommunityNotFound = "CommunityNotFound"
	SecretNotFound    = "SecretNotFound"
	InvalidSecret     = "InvalidSecret"
)

// Unresolved is a reference that points at nothing, or at what cannot be used.
type Unresolved struct {
	// Field is its path, such as spec.peers[0].
	Field string
	// Reason is one of the words above.
	Reason string
	// Problem is a sentence that names what is missing.
	Problem string
	// final says that no other object coming into being mends it.
	final bool
}

// String shows the reference as field errors are shown.
func (u Unresolved) String() string { return u.Field + ": " + u.Problem }

// References knows what the objects of one configuration can refer to.
type References struct{ ix *index }

// Next knows what the objects of c can refer to. It shares with r, which may be nil, what is the same.
func (r *References) Next(c *metallb.Configuration) *References {
	if r == nil {
		r = &References{}
	}
	return &References{r.ix.next(c)}
}

// Unresolved lists the references of an object that do not resolve, in the order of its fields. secrets may be nil:
// then no Secret is known to be missing.
func (r *References) Unresolved(obj runtime.Object, secrets Secrets) []Unresolved {
	spec := field.NewPath("spec")
	switch obj := obj.(type) {
	case *metallb.L2Advertisement:
		return missingPools(r.ix, obj.Spec.IPAddressPools, spec.Child("ipAddressPools"))
	case *metallb.BGPAdvertisement:
		return slices.Concat(
			missingPools(r.ix, obj.Spec.IPAddressPools, spec.Child("ipAddressPools")),
			missingPeers(r.ix, obj.Spec.Peers, spec.Child("peers")),
			missingAliases(r.ix, obj.Spec.Communities, spec.Child("communities")))
	case *metallb.AddressPool:
		var found []Unresolved
		for i, ad := range obj.Spec.BGPAdvertisements {
			found = append(found, missingAliases(r.ix, ad.Communities, spec.Child("bgpAdvertisements").Index(i).Child("communities"))...)
		}
		return found
	case *metallb.BGPPeer:
		var found []Unresolved
		if name := obj.Spec.PasswordSecret.Name; name != "" && secrets != nil {
			if secret, known := secrets(name); known {
				if reason, problem := PasswordSecret(name, secret); reason != "" {
					found = append(found, Unresolved{spec.Child("passwordSecret", "name").String(), reason, problem, secret != nil})
				}
			}
		}
		if name := obj.Spec.BFDProfile; name != "" && !r.ix.profiles.has(name) {
			found = append(found, notThere(spec.Child("bfdProfile"), ProfileNotFound, "BFDProfile", name))
		}
		return found
	}
	return nil
}

func missingPools(ix *index, names []string, path *field.Path) (found []Unresolved) {
	for i, name := range names {
		switch {
		case ix.pools.has(name):
		case ix.legacy.has(name):
			found = append(found, Unresolved{path.Index(i).String(), PoolNotFound,
				fmt.Sprintf("%q is an AddressPool, which says itself how it is announced: no advertisement selects it", name), true})
		default:
			found = append(found, notThere(path.Index(i), PoolNotFound, "IPAddressPool", name))
		}
	}
	return found
}

func missingPeers(ix *index, names []string, path *field.Path) (found []Unresolved) {
	for i, name := range names {
		if !ix.peers.has(name) {
			found = append(found, notThere(path.Index(i), PeerNotFound, "BGPPeer", name))
		}
	}
	return found
}

func missingAliases(ix *index, communities []string, path *field.Path) (found []Unresolved) {
	for i, name := range communities {
		if _, known := community.WellKnown(name); !known && community.IsAlias(name) && len(ix.definitions(name)) == 0 {
			found = append(found, Unresolved{path.Index(i).String(), CommunityNotFound, fmt.Sprintf("no Community defines the alias %q", name), false})
		}
	}
	return found
}

func notThere(path *field.Path, reason, kind, name string) Unresolved {
	return Unresolved{path.String(), reason, fmt.Sprintf("%s %q does not exist", kind, name), false}
}

// referenceWarnings says which references do not resolve, and what follows from that.
func (ix *index) referenceWarnings(obj runtime.Object, secrets Secrets) (warnings []string) {
	for _, u := range (&References{ix}).Unresolved(obj, secrets) {
		if len(warnings) > maxWarnings {
			break
		}
		text := u.String()
		if !u.final {
			text += " (yet)"
		}
		switch u.Reason {
		case SecretNotFound, InvalidSecret:
			text += ": until then the peer has no session"
		case ProfileNotFound:
			text += ": until then the session runs without BFD"
		case CommunityNotFound:
			text += ": until then its routes are not sent"
		}
		warnings = append(warnings, text)
	}
	return warnings
}

// selectorWarnings says which selectors of pools select none.
func selectorWarnings(ix *index, selectors []metav1.LabelSelector, path *field.Path) []string {
	var warnings []string
	for i := range selectors {
		if one := newPoolSelection(nil, selectors[i:i+1]); len(warnings) <= maxWarnings && !ix.pools.any(&one) {
			warnings = append(warnings, fmt.Sprintf("%s: %q selects no IPAddressPool (yet)", path.Index(i), metav1.FormatLabelSelector(&selectors[i])))
		}
	}
	return warnings
}

// peerWarnings says what of a peer has no effect.
func peerWarnings(peer, old *metallb.BGPPeer, spec *field.Path) []string {
	var warnings []string
	switch secret := peer.Spec.PasswordSecret; {
	case secret.Namespace == "":
	case secret.Name == "":
		warnings = append(warnings, spec.Child("passwordSecret", "name").String()+": names no Secret, so the session has no password")
	case secret.Namespace != peer.Namespace:
		warnings = append(warnings, fmt.Sprintf("%s: %q has no effect: the Secret is that of namespace %q",
			spec.Child("passwordSecret", "namespace"), secret.Namespace, peer.Namespace))
	}
	if noHoldTime(peer) && (old == nil || !noHoldTime(old)) {
		warnings = append(warnings, spec.Child("holdTime").String()+": a hold time of 0 cannot be sent: 65535s is, so that the peer's own hold time is in force; a peer that wants none, too, gets no session")
	}
	if peer.Spec.DisableMP && (old == nil || !old.Spec.DisableMP) {
		warnings = append(warnings, spec.Child("disableMP").String()+": deprecated and without effect, use dualStackAddressFamily")
	}
	return warnings
}

// noHoldTime says whether the peer shall have no hold timer. BGP knows whole seconds.
func noHoldTime(peer *metallb.BGPPeer) bool {
	if peer.Spec.HoldTime == nil {
		return false
	}
	hold, err := peer.Spec.HoldTime.Parse()
	return err == nil && hold >= 0 && hold < time.Second
}

// Advertised is the names of the IPAddressPools that some advertisement selects.
func (r *References) Advertised() map[string]bool {
	found := map[string]bool{}
	add := func(names []string, selectors []metav1.LabelSelector) {
		one := newPoolSelection(names, selectors)
		if len(found) == r.ix.pools.len() {
			return
		}
		for p := range r.ix.pools.selected(&one) {
			found[p.Name] = true
		}
	}
	for _, a := range r.ix.config.L2Advertisements {
		add(a.Spec.IPAddressPools, a.Spec.IPAddressPoolSelectors)
	}
	for _, a := range r.ix.config.BGPAdvertisements {
		add(a.Spec.IPAddressPools, a.Spec.IPAddressPoolSelectors)
	}
	return found
}

// SelectsPools says whether an advertisement of those fields selects any IPAddressPool.
func (r *References) SelectsPools(names []string, selectors []metav1.LabelSelector) bool {
	one := newPoolSelection(names, selectors)
	return r.ix.pools.any(&one)
}

// SelectsNodes says whether node selectors select any of the Nodes. Selectors are taken to, while no Node is known.
func SelectsNodes(selectors []metav1.LabelSelector, nodes []Node) bool {
	if len(selectors) == 0 || len(nodes) == 0 {
		return true
	}
	compiled := compile(selectors)
	return slices.ContainsFunc(nodes, func(n Node) bool { return matchAny(compiled, n.Labels) })
}
