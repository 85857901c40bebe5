// Package legacy says what an AddressPool means: which objects of today's kinds would do the same. The rules, the planner,
// the controller and the deprecation warning all go by it. It is pure.
package legacy

import (
	"fmt"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// Expansion is what an AddressPool stands for. Stored in its place, these objects would do what it does.
//
// They are no part of the configuration's lists, for they concern nobody else: no other advertisement selects the pool,
// and these advertisements select no other pool. They share memory with the AddressPool and must not be changed.
type Expansion struct {
	Pool *metallb.IPAddressPool
	// L2Advertisements is one with nothing but the pool's name, for protocol layer2.
	L2Advertisements []*metallb.L2Advertisement
	// BGPAdvertisements are, for protocol bgp, one for each of spec.bgpAdvertisements in that order, or one with nothing
	// but the pool's name where there is none.
	BGPAdvertisements []*metallb.BGPAdvertisement
}

// Expand works out what an AddressPool stands for. One whose protocol is unknown is announced by nothing.
func Expand(p *metallb.AddressPool) Expansion {
	e := Expansion{Pool: &metallb.IPAddressPool{
		ObjectMeta: p.ObjectMeta,
		Spec:       metallb.IPAddressPoolSpec{Addresses: p.Spec.Addresses, AutoAssign: p.Spec.AutoAssign},
	}}
	itself := []string{p.Name}
	switch p.Spec.Protocol {
	case metallb.Layer2Protocol:
		ad := &metallb.L2Advertisement{Spec: metallb.L2AdvertisementSpec{IPAddressPools: itself}}
		ad.Namespace, ad.Name = p.Namespace, p.Name
		e.L2Advertisements = append(e.L2Advertisements, ad)
	case metallb.BGPProtocol:
		listed := p.Spec.BGPAdvertisements
		if len(listed) == 0 {
			listed = []metallb.LegacyBGPAdvertisement{{}}
		}
		for i, l := range listed {
			ad := &metallb.BGPAdvertisement{Spec: metallb.BGPAdvertisementSpec{
				IPAddressPools: itself, AggregationLength: l.AggregationLength, AggregationLengthV6: l.AggregationLengthV6,
				LocalPref: l.LocalPref, Communities: l.Communities,
			}}
			ad.Namespace, ad.Name = p.Namespace, p.Name
			if len(listed) > 1 {
				ad.Name = fmt.Sprintf("%s-%d", p.Name, i+1)
			}
			e.BGPAdvertisements = append(e.BGPAdvertisements, ad)
		}
	}
	return e
}
