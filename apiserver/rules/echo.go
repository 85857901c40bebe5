package rules

import (
	"fmt"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// X10: addresses of IPv6 do not go to a peer whose BFD profile has echo mode. A pool, an advertisement, a peer and a
// profile together break it, and whichever of them is written last is refused. A profile that does not exist yet has
// no echo mode; when it comes, it is the last.

func echoes(p *metallb.BFDProfile) bool { return p.Spec.EchoMode != nil && *p.Spec.EchoMode }

const noEcho = "echo mode does not work with IPv6"

// reaches says whether the advertisement is for the peer and some node has both.
func reaches(ad *advertisement, p *peer, on *cluster) bool {
	if !ad.isFor(p) {
		return false
	}
	_, meet := share(ad.nodes, p.nodes, on)
	return meet
}

// firstOf6 finds a pool with IPv6 that an advertisement selects.
func (ix *index) firstOf6(ad *advertisement) *pool {
	for p := range ix.six.selected(&ad.poolSelection) {
		return p
	}
	return nil
}

// ipv6For finds an advertisement that brings IPv6 to a peer, and the pool that it is of.
func (ix *index) ipv6For(p *peer, on *cluster) (*advertisement, *pool) {
	for _, ad := range ix.advertisements {
		if !reaches(ad, p, on) {
			continue
		}
		if of := ix.firstOf6(ad); of != nil {
			return ad, of
		}
	}
	for _, of := range ix.legacy {
		if of.has6() && len(of.implied) > 0 && reaches(of.implied[0], p, on) {
			return of.implied[0], of
		}
	}
	return nil, nil
}

// checkEchoOfProfile applies X10 to a profile that gets echo mode.
func checkEchoOfProfile(ix *index, profile, old *metallb.BFDProfile, on *cluster, spec *field.Path) (errs field.ErrorList) {
	if !echoes(profile) || old != nil && echoes(old) || ix.six.len() == 0 && len(ix.legacy) == 0 {
		return nil
	}
	for _, p := range ix.peers {
		if len(errs) > maxErrors {
			break
		}
		if p.Spec.BFDProfile != profile.Name {
			continue
		}
		if ad, of := ix.ipv6For(p, on); ad != nil {
			errs = append(errs, field.Invalid(spec.Child("echoMode"), true, fmt.Sprintf(
				"%s: BGPPeer %q uses this profile, and %s to it", noEcho, p.Name, brings(ad, of))))
		}
	}
	return errs
}

// checkEchoOfPeer applies X10 to a peer that gets a profile, or other nodes.
func checkEchoOfPeer(ix *index, p *peer, old *metallb.BGPPeer, on *cluster, spec *field.Path) field.ErrorList {
	profile, ok := ix.profiles.find(p.Spec.BFDProfile)
	if !ok || !echoes(profile) || old != nil && old.Spec.BFDProfile == p.Spec.BFDProfile &&
		apiequality.Semantic.DeepEqual(old.Spec.NodeSelectors, p.Spec.NodeSelectors) {
		return nil
	}
	ad, of := ix.ipv6For(p, on)
	if ad == nil {
		return nil
	}
	return field.ErrorList{field.Invalid(spec.Child("bfdProfile"), p.Spec.BFDProfile, fmt.Sprintf(
		"%s: BFDProfile %q has echoMode true, and %s to this peer", noEcho, profile.Name, brings(ad, of)))}
}

// checkEchoOfAdvertisement applies X10 to an advertisement that gets other pools, peers or nodes.
func checkEchoOfAdvertisement(ix *index, ad *advertisement, old *metallb.BGPAdvertisement, on *cluster, spec *field.Path) (errs field.ErrorList) {
	if len(ix.echoing) == 0 || old != nil && sameReach(&old.Spec, &ad.Spec) {
		return nil
	}
	of := ix.firstOf6(ad)
	if of == nil {
		return nil
	}
	for _, p := range ix.echoing {
		if len(errs) > maxErrors {
			break
		}
		if reaches(ad, p, on) {
			errs = append(errs, atPoolsOf(ad, of, fmt.Sprintf("%s: would advertise %s to BGPPeer %q, whose BFDProfile %q has echoMode true",
				noEcho, sixOf(of), p.Name, p.Spec.BFDProfile), spec))
		}
	}
	return errs
}

// checkEchoOfPool applies X10 to a pool that gets IPv6, or other labels.
func checkEchoOfPool(ix *index, p *pool, old *metallb.IPAddressPool, on *cluster, spec *field.Path) (errs field.ErrorList) {
	if !p.has6() || len(ix.echoing) == 0 {
		return nil
	}
	had6 := old != nil && indexPool(old).has6()
	for _, ad := range ix.advertisements {
		if !ad.selects(p.IPAddressPool) || had6 && ad.selects(old) {
			continue
		}
		for _, to := range ix.echoing {
			if len(errs) > maxErrors {
				return errs
			}
			if !reaches(ad, to, on) {
				continue
			}
			why := fmt.Sprintf("%s: BGPAdvertisement %q would advertise it to BGPPeer %q, whose BFDProfile %q has echoMode true",
				noEcho, ad.Name, to.Name, to.Spec.BFDProfile)
			if had6 {
				errs = append(errs, atSelection(p, why, ad))
			} else {
				m := p.firstOf6()
				errs = append(errs, field.Invalid(spec.Child("addresses").Index(m.index), p.text(m), why))
			}
		}
	}
	return errs
}

// checkEchoOfAddressPool applies X10 to an AddressPool that comes to announce IPv6 by BGP.
func checkEchoOfAddressPool(ix *index, p *pool, old *metallb.AddressPool, on *cluster, spec *field.Path) (errs field.ErrorList) {
	if !p.has6() || len(p.implied) == 0 {
		return nil
	}
	if old != nil && old.Spec.Protocol == metallb.BGPProtocol && indexAddressPool(old).has6() {
		return nil
	}
	for _, to := range ix.echoing {
		if len(errs) > maxErrors {
			break
		}
		if reaches(p.implied[0], to, on) {
			m := p.firstOf6()
			errs = append(errs, field.Invalid(spec.Child("addresses").Index(m.index), p.text(m), fmt.Sprintf(
				"%s: would be advertised to BGPPeer %q, whose BFDProfile %q has echoMode true", noEcho, to.Name, to.Spec.BFDProfile)))
		}
	}
	return errs
}

// firstOf6 is the first item of IPv6.
func (p *pool) firstOf6() *member {
	return p.members[slices.IndexFunc(p.members, func(m *member) bool { return !m.Is4() })]
}

// sixOf names a pool and why it matters.
func sixOf(p *pool) string {
	m := p.firstOf6()
	return fmt.Sprintf("%s (spec.addresses[%d]: %s)", p, m.index, p.text(m))
}

// brings says how the IPv6 of a pool gets to a peer.
func brings(ad *advertisement, of *pool) string {
	if of.kind == addressPoolKind {
		return sixOf(of) + " is advertised"
	}
	return fmt.Sprintf("BGPAdvertisement %q advertises %s", ad.Name, sixOf(of))
}

// atPoolsOf reports what is wrong with an advertisement because it selects a pool.
func atPoolsOf(ad *advertisement, of *pool, why string, spec *field.Path) *field.Error {
	if i := slices.Index(ad.Spec.IPAddressPools, of.Name); i >= 0 {
		return field.Invalid(spec.Child("ipAddressPools").Index(i), of.Name, why)
	}
	for i := range ad.Spec.IPAddressPoolSelectors {
		s := &ad.Spec.IPAddressPoolSelectors[i]
		if matchAny(compile([]metav1.LabelSelector{*s}), of.Labels) {
			return field.Invalid(spec.Child("ipAddressPoolSelectors").Index(i), metav1.FormatLabelSelector(s), why)
		}
	}
	return field.Invalid(spec.Child("ipAddressPools"), []string{}, why+"; with neither ipAddressPools nor ipAddressPoolSelectors it advertises all pools")
}

// sameReach says whether two versions of an advertisement bring the same pools to the same peers.
func sameReach(a, b *metallb.BGPAdvertisementSpec) bool {
	return slices.Equal(a.IPAddressPools, b.IPAddressPools) && slices.Equal(a.Peers, b.Peers) &&
		apiequality.Semantic.DeepEqual(a.IPAddressPoolSelectors, b.IPAddressPoolSelectors) &&
		apiequality.Semantic.DeepEqual(a.NodeSelectors, b.NodeSelectors)
}
