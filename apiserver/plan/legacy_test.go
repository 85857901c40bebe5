package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

func (f *fixture) legacyPool(name string, protocol metallb.AddressPoolProtocol, addresses []string, ads ...metallb.LegacyBGPAdvertisement) *metallb.AddressPool {
	p := &metallb.AddressPool{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: metallb.AddressPoolSpec{Protocol: protocol, Addresses: addresses, BGPAdvertisements: ads}}
	f.Config.AddressPools = append(f.Config.AddressPools, p)
	return p
}

// TestAddressPoolsPlanAsWhatTheyStandFor turns random AddressPools into IPAddressPools with an advertisement of their own
// each, by hand, in random clusters with other advertisements. Both plans must be the same.
func TestAddressPoolsPlanAsWhatTheyStandFor(t *testing.T) {
	var routes, answers int
	for seed := range uint64(rounds) {
		f, r := world(seed)
		// No explicit advertisement means the pools below: without pools of its own, one would mean all.
		f.Config.BGPAdvertisements = slices.DeleteFunc(f.Config.BGPAdvertisements, func(a *metallb.BGPAdvertisement) bool {
			return len(a.Spec.IPAddressPools)+len(a.Spec.IPAddressPoolSelectors) == 0
		})
		f.Config.L2Advertisements = slices.DeleteFunc(f.Config.L2Advertisements, func(a *metallb.L2Advertisement) bool {
			return len(a.Spec.IPAddressPools)+len(a.Spec.IPAddressPoolSelectors) == 0
		})
		f.community("aliases", "known", "64999:1")
		byHand := *f.Config
		byHand.IPAddressPools = slices.Clone(byHand.IPAddressPools)
		byHand.L2Advertisements, byHand.BGPAdvertisements = slices.Clone(byHand.L2Advertisements), slices.Clone(byHand.BGPAdvertisements)
		for i := range 1 + r.IntN(3) {
			name := fmt.Sprintf("legacy-%d", i)
			addresses := []string{fmt.Sprintf("10.1.%d.0/24", i), fmt.Sprintf("2001:db8:1:%d::/64", i)}
			byHand.IPAddressPools = append(byHand.IPAddressPools,
				&metallb.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metallb.IPAddressPoolSpec{Addresses: addresses}})
			if r.IntN(3) == 0 {
				f.legacyPool(name, metallb.Layer2Protocol, addresses)
				byHand.L2Advertisements = append(byHand.L2Advertisements, &metallb.L2Advertisement{
					ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metallb.L2AdvertisementSpec{IPAddressPools: []string{name}}})
			} else {
				listed := randomLegacyAds(r)
				f.legacyPool(name, metallb.BGPProtocol, addresses, listed...)
				if len(listed) == 0 {
					listed = []metallb.LegacyBGPAdvertisement{{AggregationLength: new(int32(32)), AggregationLengthV6: new(int32(128))}}
				}
				for j, l := range listed {
					byHand.BGPAdvertisements = append(byHand.BGPAdvertisements, &metallb.BGPAdvertisement{
						ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", name, j)},
						Spec: metallb.BGPAdvertisementSpec{IPAddressPools: []string{name}, AggregationLength: l.AggregationLength,
							AggregationLengthV6: l.AggregationLengthV6, LocalPref: l.LocalPref, Communities: l.Communities}})
				}
			}
			for j := range 3 {
				s := f.service(fmt.Sprintf("of-%s-%d", name, j), fmt.Sprintf("10.1.%d.%d", i, r.IntN(4)), fmt.Sprintf("2001:db8:1:%d::%d", i, r.IntN(4)))
				if r.IntN(3) == 0 {
					s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
				}
				f.disturbEndpoints(r, s.Name)
			}
		}
		got := Plan(f.Input)
		f.Config = &byHand
		want := Plan(f.Input)
		if diff := cmp.Diff(want.Nodes, got.Nodes, protocmp.Transform()); diff != "" {
			t.Fatalf("seed %d: nodes (-want +got):\n%s", seed, diff)
		}
		if diff := cmp.Diff(want.Decisions, got.Decisions); diff != "" {
			t.Fatalf("seed %d: decisions (-want +got):\n%s", seed, diff)
		}
		if diff := cmp.Diff(gist(want.Withheld), gist(got.Withheld)); diff != "" {
			t.Fatalf("seed %d: withheld (-want +got):\n%s", seed, diff)
		}
		for _, n := range got.Nodes {
			for _, lane := range n.Items {
				for _, item := range lane {
					if item.GetBgpRoute() != nil {
						routes++
					} else if item.GetLayer2Address() != nil {
						answers++
					}
				}
			}
		}
	}
	if routes < rounds || answers < rounds {
		t.Errorf("only %d routes and %d layer-2 addresses were planned", routes, answers)
	}
}

// randomLegacyAds may contradict each other; the plan deals with it as with BGPAdvertisements that do.
func randomLegacyAds(r *rand.Rand) []metallb.LegacyBGPAdvertisement {
	var ads []metallb.LegacyBGPAdvertisement
	for range r.IntN(3) {
		ad := metallb.LegacyBGPAdvertisement{AggregationLength: new(int32(32 - 8*r.IntN(2))), AggregationLengthV6: new(int32(128 - 64*r.IntN(2))),
			LocalPref: int64(r.IntN(2) * 100)}
		ad.Communities = [][]string{nil, {"65000:1"}, {"65000:2", "large:1:2:3"}, {"known"}, {"unknown"}}[r.IntN(5)]
		ads = append(ads, ad)
	}
	return ads
}

// gist is what is withheld but for the names of the objects that say how, and for words.
func gist(all []Withheld) map[Withheld]bool {
	gist := map[Withheld]bool{}
	for _, w := range all {
		w.Message = ""
		if w.Kind == KindBGPAdvertisement || w.Kind == KindAddressPool {
			w.Kind, w.Name.Name = "", ""
		}
		gist[w] = true
	}
	return gist
}

// TestAddressPoolAnnouncesItself: advertisements of others, also such as mean all pools, leave it alone, and its own
// leave other pools alone.
func TestAddressPoolAnnouncesItself(t *testing.T) {
	f := newFixture("a")
	f.peer("tor", "172.20.0.1")
	old := f.legacyPool("old", metallb.Layer2Protocol, []string{"10.0.0.0/24"})
	old.Labels = map[string]string{"zone": "x"}
	f.pool("now", "10.1.0.0/24")
	f.bgp("all")
	f.bgp("by-name", func(s *metallb.BGPAdvertisementSpec) { s.IPAddressPools = []string{"old"} })
	f.bgp("by-label", func(s *metallb.BGPAdvertisementSpec) {
		s.IPAddressPoolSelectors = []metav1.LabelSelector{selector("zone", "x")}
	})
	f.service("of-old", "10.0.0.1")
	f.service("of-now", "10.1.0.1")
	plan := Plan(f.Input)
	var got []string
	for _, lane := range plan.Nodes["a"].Items {
		for id := range lane {
			got = append(got, id)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"bgp-guard", "bgp-route/10.1.0.1/32", "bgp-session/tor", "layer2/10.0.0.1"}, got); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
}

// TestAddressPoolWithUnknownAliasIsSaid: as with a BGPAdvertisement, the rest of it is announced.
func TestAddressPoolWithUnknownAliasIsSaid(t *testing.T) {
	f := newFixture("a")
	f.peer("tor", "172.20.0.1")
	f.legacyPool("old", metallb.BGPProtocol, []string{"10.0.0.0/24"},
		metallb.LegacyBGPAdvertisement{Communities: []string{"nobody"}}, metallb.LegacyBGPAdvertisement{AggregationLength: new(int32(24))})
	f.service("web", "10.0.0.1")
	plan := Plan(f.Input)
	want := []Withheld{{Kind: KindAddressPool, Protocol: BGP, Reason: ReasonInvalidCommunity,
		Message: `spec.bgpAdvertisements[0]: its routes are not sent: community "nobody": neither a value nor the name of a known alias`}}
	want[0].Name.Name = "old"
	if diff := cmp.Diff(want, plan.Withheld, cmp.Comparer(func(a, b Withheld) bool { return a == b })); diff != "" {
		t.Errorf("withheld (-want +got):\n%s", diff)
	}
	if plan.Nodes["a"].Items[ingotv1.Lane_LANE_ROUTING]["bgp-route/10.0.0.0/24"] == nil {
		t.Error("the other advertisement is not announced either")
	}
}
