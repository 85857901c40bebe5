package legacy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "metallb-system", Name: name}
}

func addressPool(spec metallb.AddressPoolSpec) *metallb.AddressPool {
	return &metallb.AddressPool{ObjectMeta: named("doc-example"), Spec: spec}
}

// custom is the OpenShift documentation's custom advertisement, with defaults filled in.
var custom = metallb.AddressPoolSpec{
	Protocol: metallb.BGPProtocol, Addresses: []string{"203.0.113.200/30", "fc00:f853:ccd:e799::/124"}, AutoAssign: new(true),
	BGPAdvertisements: []metallb.LegacyBGPAdvertisement{
		{Communities: []string{"65535:65282"}, AggregationLength: new(int32(32)), AggregationLengthV6: new(int32(128)), LocalPref: 100},
		{Communities: []string{"8000:800"}, AggregationLength: new(int32(30)), AggregationLengthV6: new(int32(124))},
	},
}

// TestExpansion compares with objects written by hand.
func TestExpansion(t *testing.T) {
	itself := []string{"doc-example"}
	layer2 := metallb.AddressPoolSpec{Protocol: metallb.Layer2Protocol, Addresses: []string{"203.0.113.1-203.0.113.10"}, AutoAssign: new(false)}
	tests := []struct {
		name string
		spec metallb.AddressPoolSpec
		want Expansion
	}{
		{"layer2", layer2, Expansion{
			Pool: &metallb.IPAddressPool{ObjectMeta: named("doc-example"),
				Spec: metallb.IPAddressPoolSpec{Addresses: []string{"203.0.113.1-203.0.113.10"}, AutoAssign: new(false)}},
			L2Advertisements: []*metallb.L2Advertisement{{ObjectMeta: named("doc-example"),
				Spec: metallb.L2AdvertisementSpec{IPAddressPools: itself}}},
		}},
		{"bgp without a list", metallb.AddressPoolSpec{Protocol: metallb.BGPProtocol, Addresses: []string{"203.0.113.200/30"}}, Expansion{
			Pool: &metallb.IPAddressPool{ObjectMeta: named("doc-example"),
				Spec: metallb.IPAddressPoolSpec{Addresses: []string{"203.0.113.200/30"}}},
			BGPAdvertisements: []*metallb.BGPAdvertisement{{ObjectMeta: named("doc-example"),
				Spec: metallb.BGPAdvertisementSpec{IPAddressPools: itself}}},
		}},
		{"bgp with a list", custom, Expansion{
			Pool: &metallb.IPAddressPool{ObjectMeta: named("doc-example"),
				Spec: metallb.IPAddressPoolSpec{Addresses: custom.Addresses, AutoAssign: new(true)}},
			BGPAdvertisements: []*metallb.BGPAdvertisement{
				{ObjectMeta: named("doc-example-1"), Spec: metallb.BGPAdvertisementSpec{IPAddressPools: itself, Communities: []string{"65535:65282"},
					AggregationLength: new(int32(32)), AggregationLengthV6: new(int32(128)), LocalPref: 100}},
				{ObjectMeta: named("doc-example-2"), Spec: metallb.BGPAdvertisementSpec{IPAddressPools: itself, Communities: []string{"8000:800"},
					AggregationLength: new(int32(30)), AggregationLengthV6: new(int32(124))}},
			},
		}},
		{"unknown protocol", metallb.AddressPoolSpec{Protocol: "ospf", Addresses: []string{"203.0.113.200/30"}}, Expansion{
			Pool: &metallb.IPAddressPool{ObjectMeta: named("doc-example"),
				Spec: metallb.IPAddressPoolSpec{Addresses: []string{"203.0.113.200/30"}}},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Expand(addressPool(tt.spec))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	tests := []struct {
		spec metallb.AddressPoolSpec
		want string
	}{
		{metallb.AddressPoolSpec{Protocol: metallb.Layer2Protocol},
			`IPAddressPool "doc-example" and L2Advertisement "doc-example" {ipAddressPools: [doc-example]}`},
		{metallb.AddressPoolSpec{Protocol: metallb.BGPProtocol},
			`IPAddressPool "doc-example" and BGPAdvertisement "doc-example" {ipAddressPools: [doc-example]}`},
		{custom, `IPAddressPool "doc-example", ` +
			`BGPAdvertisement "doc-example-1" {ipAddressPools: [doc-example], aggregationLength: 32, aggregationLengthV6: 128, localPref: 100, communities: [65535:65282]} and ` +
			`BGPAdvertisement "doc-example-2" {ipAddressPools: [doc-example], aggregationLength: 30, aggregationLengthV6: 124, communities: [8000:800]}`},
		{metallb.AddressPoolSpec{}, `IPAddressPool "doc-example"`},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, Describe(addressPool(tt.spec))); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.spec, diff)
		}
	}
}

// TestDescriptionIsBounded: it goes into a header of the answer.
func TestDescriptionIsBounded(t *testing.T) {
	spec := metallb.AddressPoolSpec{Protocol: metallb.BGPProtocol}
	for i := range 1000 {
		spec.BGPAdvertisements = append(spec.BGPAdvertisements, metallb.LegacyBGPAdvertisement{Communities: []string{fmt.Sprintf("1:%d", i)}})
	}
	said := Describe(addressPool(spec))
	if !strings.HasSuffix(said, " and 992 more BGPAdvertisements") || len(said) > 2000 {
		t.Errorf("%d bytes: %s", len(said), said)
	}
}
