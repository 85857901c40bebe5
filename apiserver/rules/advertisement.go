package rules

import (
	"math"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// Aggregation lengths that are a route for each address, the default.
const (
	hostRouteV4 = 32
	hostRouteV6 = 128
)

// checkBGPAdvertisement applies A1 to A8 and the ranges of the schema.
func checkBGPAdvertisement(adv *metallb.BGPAdvertisement, spec *field.Path) field.ErrorList {
	s := &adv.Spec
	v4, v6 := int32(hostRouteV4), int32(hostRouteV6)
	if s.AggregationLength != nil {
		v4 = *s.AggregationLength
	}
	if s.AggregationLengthV6 != nil {
		v6 = *s.AggregationLengthV6
	}
	errs := between(v4, 1, hostRouteV4, "aggregation length", spec.Child("aggregationLength"))
	errs = append(errs, between(v6, 0, hostRouteV6, "aggregation length", spec.Child("aggregationLengthV6"))...)
	if len(s.ServiceSelectors) > 0 {
		const exclusive = "serviceSelectors and aggregationLength are mutually exclusive: routes of single Services cannot be rolled up"
		if v4 != hostRouteV4 {
			errs = append(errs, field.Invalid(spec.Child("aggregationLength"), v4, exclusive))
		}
		if v6 != hostRouteV6 {
			errs = append(errs, field.Invalid(spec.Child("aggregationLengthV6"), v6, exclusive))
		}
	}
	errs = append(errs, between(s.LocalPref, 0, math.MaxUint32, "local preference", spec.Child("localPref"))...)
	if s.MED != nil {
		errs = append(errs, between(*s.MED, 0, math.MaxUint32, "MED", spec.Child("med"))...)
	}
	errs = append(errs, between(s.ASPathPrepend, 0, metallb.MaxASPathPrepend, "AS path prepend", spec.Child("asPathPrepend"))...)
	errs = append(errs, checkCommunities(s.Communities, spec.Child("communities"))...)
	errs = append(errs, unique(s.IPAddressPools, "of ipAddressPools", spec.Child("ipAddressPools"))...)
	errs = append(errs, checkSelectors(s.IPAddressPoolSelectors, spec, "ipAddressPoolSelectors")...)
	errs = append(errs, checkSelectors(s.NodeSelectors, spec, "nodeSelectors")...)
	errs = append(errs, unique(s.Peers, "of peers", spec.Child("peers"))...)
	errs = append(errs, checkSelectors(s.ServiceSelectors, spec, "serviceSelectors")...)
	return errs
}

// maxInterfaces is how many interfaces an advertisement may name. Each of its addresses carries the list to the nodes.
const maxInterfaces = 256

// checkL2Advertisement applies A3 and L1 to L5.
func checkL2Advertisement(adv *metallb.L2Advertisement, spec *field.Path) field.ErrorList {
	s := &adv.Spec
	errs := unique(s.IPAddressPools, "of ipAddressPools", spec.Child("ipAddressPools"))
	errs = append(errs, checkSelectors(s.IPAddressPoolSelectors, spec, "ipAddressPoolSelectors")...)
	errs = append(errs, checkSelectors(s.NodeSelectors, spec, "nodeSelectors")...)
	errs = append(errs, checkSelectors(s.ServiceSelectors, spec, "serviceSelectors")...)
	if n := len(s.Interfaces); n > maxInterfaces {
		return append(errs, field.TooMany(spec.Child("interfaces"), n, maxInterfaces))
	}
	for i, name := range s.Interfaces {
		errs = append(errs, checkDevice(name, "interface", spec.Child("interfaces").Index(i))...)
	}
	for i := range s.PreferredNodeSelectors {
		p, at := &s.PreferredNodeSelectors[i], spec.Child("preferredNodeSelectors").Index(i)
		errs = append(errs, between(p.Weight, 1, 100, "weight", at.Child("weight"))...)
		errs = append(errs, checkSelector(&p.Preference, at.Child("preference"))...)
	}
	errs = append(errs, checkRefresh(s.RefreshInterval, spec.Child("refreshInterval"))...)
	return append(errs, checkProbeAddresses(s.ProbeAddresses, spec.Child("probeAddresses"))...)
}
