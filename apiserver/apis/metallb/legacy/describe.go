package legacy

import (
	"fmt"
	"strings"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// mostDescribed is how many advertisements Describe spells out.
const mostDescribed = 8

// Describe names the objects that do what an AddressPool does, with the spec of each advertisement as YAML, in one line
// for people who replace it.
func Describe(p *metallb.AddressPool) string {
	e := Expand(p)
	objects := []string{fmt.Sprintf("IPAddressPool %q", e.Pool.Name)}
	for _, ad := range e.L2Advertisements {
		objects = append(objects, fmt.Sprintf("L2Advertisement %q {%s}", ad.Name, pools(ad.Spec.IPAddressPools)))
	}
	for i, ad := range e.BGPAdvertisements {
		if i == mostDescribed {
			objects = append(objects, fmt.Sprintf("%d more BGPAdvertisements", len(e.BGPAdvertisements)-i))
			break
		}
		objects = append(objects, fmt.Sprintf("BGPAdvertisement %q {%s}", ad.Name, strings.Join(fields(&ad.Spec), ", ")))
	}
	last := len(objects) - 1
	if last == 0 {
		return objects[0]
	}
	return strings.Join(objects[:last], ", ") + " and " + objects[last]
}

// fields are those that are set.
func fields(s *metallb.BGPAdvertisementSpec) []string {
	set := []string{pools(s.IPAddressPools)}
	if s.AggregationLength != nil {
		set = append(set, fmt.Sprintf("aggregationLength: %d", *s.AggregationLength))
	}
	if s.AggregationLengthV6 != nil {
		set = append(set, fmt.Sprintf("aggregationLengthV6: %d", *s.AggregationLengthV6))
	}
	if s.LocalPref != 0 {
		set = append(set, fmt.Sprintf("localPref: %d", s.LocalPref))
	}
	if len(s.Communities) > 0 {
		set = append(set, fmt.Sprintf("communities: [%s]", strings.Join(s.Communities, ", ")))
	}
	return set
}

func pools(names []string) string {
	return fmt.Sprintf("ipAddressPools: [%s]", strings.Join(names, ", "))
}
