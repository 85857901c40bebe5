package openapi_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1alpha1"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta2"
	"github.com/ingot-lb/ingot/apiserver/apis/openapi"
)

// models builds the schemas as the aggregated server does.
func models(t *testing.T) map[string]*spec.Schema {
	t.Helper()
	schemas, err := builder3.BuildOpenAPIDefinitionsForResources(&common.OpenAPIV3Config{
		GetDefinitions:    openapi.Definitions,
		GetDefinitionName: openapinamer.NewDefinitionNamer(install.Scheme).GetDefinitionName,
	},
		v1beta1.IPAddressPool{}.OpenAPIModelName(), v1beta1.L2Advertisement{}.OpenAPIModelName(),
		v1beta1.BGPAdvertisement{}.OpenAPIModelName(), v1beta2.BGPPeer{}.OpenAPIModelName(),
		v1beta1.BGPPeer{}.OpenAPIModelName(), v1beta1.BFDProfile{}.OpenAPIModelName(), v1beta1.Community{}.OpenAPIModelName(),
		v1beta1.IPReservation{}.OpenAPIModelName(),
		v1beta1.IPAllocation{}.OpenAPIModelName(), v1beta1.IPAllocationClaim{}.OpenAPIModelName(),
		v1beta1.MetalLB{}.OpenAPIModelName(), v1beta1.ConfigurationState{}.OpenAPIModelName(),
		v1beta1.BGPSessionState{}.OpenAPIModelName(), v1beta1.BFDSessionState{}.OpenAPIModelName(), v1beta1.ServiceBGPStatus{}.OpenAPIModelName(),
		v1beta1.ServiceL2Status{}.OpenAPIModelName(), v1beta1.SpeakerState{}.OpenAPIModelName(),
		v1beta1.AddressPool{}.OpenAPIModelName(), v1alpha1.AddressPool{}.OpenAPIModelName())
	if err != nil {
		t.Fatal(err)
	}
	return schemas
}

// goisms are words that mean something to those who read the source only.
var goisms = regexp.MustCompile(`\b(nil|struct|slice|uint\d*|int\d+|pointer|omitempty|TODO|FIXME|XXX)\b|\[\]string|\+optional|\+k8s:`)

// counters are numbers that no user writes.
var counters = regexp.MustCompile(`Status\.|\.observedGeneration$|\.BGPPrefixes\.|Counters\.|\.BGPSessionError\.|\.SpeakerLayer2\.|\.SpeakerOrders\.|\.L2Address\.`)

// TestEveryFieldIsExplained: kubectl explain has something to say of each, in words that do not come from Go, and what it
// says agrees with the default and the range of the schema, for explain does not show those.
func TestEveryFieldIsExplained(t *testing.T) {
	checked := 0
	for name, schema := range models(t) {
		if !strings.HasPrefix(name, "io.metallb.") {
			continue
		}
		if len(schema.Description) < 10 {
			t.Errorf("%s has no description", name)
		}
		for field, property := range schema.Properties {
			checked++
			path, text := strings.TrimPrefix(name, "io.metallb.")+"."+field, property.Description
			if len(text) < 10 || goisms.MatchString(text) {
				t.Errorf("%s: %q does not explain it", path, text)
			}
			if strings.Contains(name, ".Community") && field == "name" {
				continue
			}
			if d := property.Default; d != nil && property.Type != nil {
				if want := fmt.Sprintf("efaults to %v", d); !strings.Contains(text, want) {
					t.Errorf("%s: %q does not say that it d%s", path, text, want)
				}
				if slices.Contains(schema.Required, field) {
					t.Errorf("%s is required, and yet has the default %v", path, d)
				}
			}
			if property.Maximum != nil && !strings.Contains(text, strconv.FormatInt(int64(*property.Maximum), 10)) {
				t.Errorf("%s: %q does not say that %.0f is the maximum", path, text, *property.Maximum)
			}
			if property.Type.Contains("integer") && property.Minimum == nil && !counters.MatchString(path) && field != "priority" {
				t.Errorf("%s: the schema has no least value", path)
			}
			for _, value := range property.Enum {
				if !strings.Contains(text, fmt.Sprint(value)) {
					t.Errorf("%s: %q does not say what %v means", path, text, value)
				}
			}
			if property.Type.Contains("array") && property.Extensions["x-kubernetes-list-type"] == nil && field != "items" {
				t.Errorf("%s has no list type", path)
			}
			if property.Items != nil && property.Items.Schema.Default != nil {
				t.Errorf("%s: its items have a default", path)
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d fields were found", checked)
	}
}

// TestOwnershipOfFields: server-side apply owns lists and references as a whole, as with MetalLB's CRDs, and owns no
// status that nobody wrote.
func TestOwnershipOfFields(t *testing.T) {
	converter, err := managedfields.NewTypeConverter(models(t), false)
	if err != nil {
		t.Fatal(err)
	}
	selectors := []metav1.LabelSelector{{MatchLabels: map[string]string{"a": "b"}}}
	tests := []struct {
		obj  runtime.Object
		want *fieldpath.Set
	}{
		{&v1beta1.IPAddressPool{
			TypeMeta: metav1.TypeMeta{APIVersion: "metallb.io/v1beta1", Kind: "IPAddressPool"},
			Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"10.0.0.0/24"},
				AllocateTo: &v1beta1.ServiceAllocation{Namespaces: []string{"a"}, ServiceSelectors: selectors}}},
			fieldpath.NewSet(
				fieldpath.MakePathOrDie("apiVersion"), fieldpath.MakePathOrDie("kind"), fieldpath.MakePathOrDie("metadata"),
				fieldpath.MakePathOrDie("spec", "addresses"), fieldpath.MakePathOrDie("spec", "avoidBuggyIPs"),
				fieldpath.MakePathOrDie("spec", "serviceAllocation", "namespaces"),
				fieldpath.MakePathOrDie("spec", "serviceAllocation", "serviceSelectors"))},
		{&v1beta2.BGPPeer{
			TypeMeta: metav1.TypeMeta{APIVersion: "metallb.io/v1beta2", Kind: "BGPPeer"},
			Spec:     v1beta2.BGPPeerSpec{MyASN: 1, NodeSelectors: selectors, PasswordSecret: v1beta2.SecretReference{Name: "a"}}},
			fieldpath.NewSet(
				fieldpath.MakePathOrDie("apiVersion"), fieldpath.MakePathOrDie("kind"), fieldpath.MakePathOrDie("metadata"),
				fieldpath.MakePathOrDie("spec", "myASN"), fieldpath.MakePathOrDie("spec", "nodeSelectors"),
				fieldpath.MakePathOrDie("spec", "passwordSecret"), fieldpath.MakePathOrDie("spec", "ebgpMultiHop"),
				fieldpath.MakePathOrDie("spec", "dualStackAddressFamily"), fieldpath.MakePathOrDie("spec", "disableMP"))},
		{&v1beta1.Community{
			TypeMeta: metav1.TypeMeta{APIVersion: "metallb.io/v1beta1", Kind: "Community"},
			Spec:     v1beta1.CommunitySpec{Communities: []v1beta1.CommunityAlias{{Name: "a", Value: "1:1"}}}},
			fieldpath.NewSet(
				fieldpath.MakePathOrDie("apiVersion"), fieldpath.MakePathOrDie("kind"), fieldpath.MakePathOrDie("metadata"),
				fieldpath.MakePathOrDie("spec", "communities"))},
		{&v1beta1.MetalLB{
			TypeMeta: metav1.TypeMeta{APIVersion: "metallb.io/v1beta1", Kind: "MetalLB"},
			Spec: v1beta1.MetalLBSpec{LogLevel: "debug", NodeSelector: map[string]string{"a": "b"},
				SpeakerTolerations: []corev1.Toleration{{Operator: "Exists"}}},
			Status: v1beta1.MetalLBStatus{Conditions: []metav1.Condition{{Type: "Available", Status: "True"}}}},
			fieldpath.NewSet(
				fieldpath.MakePathOrDie("apiVersion"), fieldpath.MakePathOrDie("kind"), fieldpath.MakePathOrDie("metadata"),
				fieldpath.MakePathOrDie("spec", "logLevel"), fieldpath.MakePathOrDie("spec", "nodeSelector", "a"),
				fieldpath.MakePathOrDie("spec", "speakerTolerations"), ofCondition(), ofCondition("type"), ofCondition("status"),
				ofCondition("reason"), ofCondition("message"), ofCondition("lastTransitionTime"))},
		{&v1alpha1.AddressPool{
			TypeMeta: metav1.TypeMeta{APIVersion: "metallb.io/v1alpha1", Kind: "AddressPool"},
			Spec: v1alpha1.AddressPoolSpec{Protocol: "bgp", Addresses: []string{"10.0.0.0/24"},
				BGPAdvertisements: []v1alpha1.LegacyBGPAdvertisement{{LocalPref: 1}}}},
			fieldpath.NewSet(
				fieldpath.MakePathOrDie("apiVersion"), fieldpath.MakePathOrDie("kind"), fieldpath.MakePathOrDie("metadata"),
				fieldpath.MakePathOrDie("spec", "protocol"), fieldpath.MakePathOrDie("spec", "addresses"),
				fieldpath.MakePathOrDie("spec", "bgpAdvertisements"))},
	}
	for _, tt := range tests {
		typed, err := converter.ObjectToTyped(tt.obj)
		if err != nil {
			t.Fatalf("%T: %v", tt.obj, err)
		}
		got, err := typed.ToFieldSet()
		if err != nil {
			t.Fatalf("%T: %v", tt.obj, err)
		}
		if !got.Equals(tt.want) {
			t.Errorf("%T owns\n%v\nwant\n%v", tt.obj, got, tt.want)
		}
	}
}

// ofCondition is the path of a field of the condition Available, or of the condition itself.
func ofCondition(field ...any) fieldpath.Path {
	return fieldpath.MakePathOrDie(append([]any{"status", "conditions", fieldpath.KeyByFields("type", "Available")}, field...)...)
}
