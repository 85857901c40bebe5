package install

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// TestStored shows what a minimal object of each kind becomes in etcd: its version, and the defaults that MetalLB's
// CRD schemas materialise.
func TestStored(t *testing.T) {
	tests := []struct{ in, want string }{
		{
			`{"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPool","metadata":{"name":"a"},"spec":{"addresses":["10.0.0.0/24"]}}`,
			`{"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPool","metadata":{"name":"a"},
			  "spec":{"addresses":["10.0.0.0/24"],"autoAssign":true,"avoidBuggyIPs":false}}`,
		},
		{
			`{"apiVersion":"metallb.io/v1beta1","kind":"L2Advertisement","metadata":{"name":"a"}}`,
			`{"apiVersion":"metallb.io/v1beta1","kind":"L2Advertisement","metadata":{"name":"a"},"spec":{}}`,
		},
		{
			`{"apiVersion":"metallb.io/v1beta1","kind":"BGPAdvertisement","metadata":{"name":"a"}}`,
			`{"apiVersion":"metallb.io/v1beta1","kind":"BGPAdvertisement","metadata":{"name":"a"},
			  "spec":{"aggregationLength":32,"aggregationLengthV6":128}}`,
		},
		{
			`{"apiVersion":"metallb.io/v1beta2","kind":"BGPPeer","metadata":{"name":"a"},
			  "spec":{"myASN":64512,"peerASN":64513,"peerAddress":"10.0.0.1"}}`,
			`{"apiVersion":"metallb.io/v1beta2","kind":"BGPPeer","metadata":{"name":"a"},
			  "spec":{"myASN":64512,"peerASN":64513,"peerAddress":"10.0.0.1","peerPort":179,
			  "ebgpMultiHop":false,"dualStackAddressFamily":false,"disableMP":false}}`,
		},
		{ // what is unset stays unset
			`{"apiVersion":"metallb.io/v1beta1","kind":"BFDProfile","metadata":{"name":"a"},"spec":{"minimumTtl":0}}`,
			`{"apiVersion":"metallb.io/v1beta1","kind":"BFDProfile","metadata":{"name":"a"},"spec":{"minimumTtl":0}}`,
		},
		{
			`{"apiVersion":"metallb.io/v1beta1","kind":"Community","metadata":{"name":"a"},"spec":{"communities":[{"name":"x","value":"1:2"}]}}`,
			`{"apiVersion":"metallb.io/v1beta1","kind":"Community","metadata":{"name":"a"},"spec":{"communities":[{"name":"x","value":"1:2"}]}}`,
		},
		{
			`{"apiVersion":"metallb.io/v1beta1","kind":"IPReservation","metadata":{"name":"a"},"spec":{"addresses":["10.0.0.1"]}}`,
			`{"apiVersion":"metallb.io/v1beta1","kind":"IPReservation","metadata":{"name":"a"},"spec":{"addresses":["10.0.0.1"]}}`,
		},
		{ // so do the fields of pools that are ours
			`{"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPool","metadata":{"name":"a"},"spec":{"addresses":["10.0.0.0/24"],
			  "serviceAllocation":{"cooldown":"0s"},"quota":{"perNamespace":0,"namespaces":[{"name":"b","limit":0}]}}}`,
			`{"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPool","metadata":{"name":"a"},
			  "spec":{"addresses":["10.0.0.0/24"],"autoAssign":true,"avoidBuggyIPs":false,
			  "serviceAllocation":{"cooldown":"0s"},"quota":{"perNamespace":0,"namespaces":[{"name":"b","limit":0}]}}}`,
		},
		{ // nothing is defaulted: what is unset is the operator's to choose
			`{"apiVersion":"metallb.io/v1beta1","kind":"MetalLB","metadata":{"name":"metallb"},
			  "spec":{"speakerTolerations":[{"key":"Example","operator":"Exists","effect":"NoExecute"}],
			  "speakerConfig":{"resources":{"limits":{"cpu":"0.2"}}}}}`,
			`{"apiVersion":"metallb.io/v1beta1","kind":"MetalLB","metadata":{"name":"metallb"},
			  "spec":{"speakerTolerations":[{"key":"Example","operator":"Exists","effect":"NoExecute"}],
			  "speakerConfig":{"resources":{"limits":{"cpu":"200m"}}}}}`,
		},
		{ // durations stay as they are written, for those who compare with the manifest
			`{"apiVersion":"metallb.io/v1beta2","kind":"BGPPeer","metadata":{"name":"a"},
			  "spec":{"myASN":64512,"holdTime":"90s","keepaliveTime":"30000ms","connectTime":"0.1h"}}`,
			`{"apiVersion":"metallb.io/v1beta2","kind":"BGPPeer","metadata":{"name":"a"},
			  "spec":{"myASN":64512,"holdTime":"90s","keepaliveTime":"30000ms","connectTime":"0.1h","peerPort":179,
			  "ebgpMultiHop":false,"dualStackAddressFamily":false,"disableMP":false}}`,
		},
		{ // the seeds' kind, in the version that they use first
			`{"apiVersion":"metallb.io/v1alpha1","kind":"AddressPool","metadata":{"name":"a"},"spec":{"protocol":"bgp",
			  "addresses":["203.0.113.200/30"],"bgpAdvertisements":[{"communities":["65535:65282"]}]}}`,
			`{"apiVersion":"metallb.io/v1beta1","kind":"AddressPool","metadata":{"name":"a"},"spec":{"protocol":"bgp",
			  "addresses":["203.0.113.200/30"],"autoAssign":true,
			  "bgpAdvertisements":[{"aggregationLength":32,"aggregationLengthV6":128,"communities":["65535:65282"]}]}}`,
		},
	}
	codec := StorageCodec()
	for _, tt := range tests {
		obj, err := runtime.Decode(codec, []byte(tt.in))
		if err != nil {
			t.Fatalf("decoding %s: %v", tt.in, err)
		}
		stored, err := runtime.Encode(codec, obj)
		if err != nil {
			t.Fatalf("encoding %T: %v", obj, err)
		}
		if diff := cmp.Diff(decode(t, tt.want), decode(t, string(stored))); diff != "" {
			t.Errorf("%T as stored (-want +got):\n%s", obj, diff)
		}
		if again, err := runtime.Decode(codec, stored); err != nil {
			t.Errorf("%T does not read back: %v", obj, err)
		} else if diff := cmp.Diff(obj, again); diff != "" {
			t.Errorf("%T read back (-want +got):\n%s", obj, diff)
		}
	}
}

// TestExplicitValuesReachTheRules: an explicit value outside of its range must not be taken for an unset field.
func TestExplicitValuesReachTheRules(t *testing.T) {
	obj, err := runtime.Decode(StorageCodec(), []byte(`{"apiVersion":"metallb.io/v1beta2","kind":"BGPPeer","spec":
		{"myASN":-1,"peerASN":4294967296,"peerPort":0,"enableGracefulRestart":false}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := metallb.BGPPeerSpec{MyASN: -1, ASN: 1 << 32, Port: 0, EnableGracefulRestart: new(false)}
	if diff := cmp.Diff(want, obj.(*metallb.BGPPeer).Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

func TestVersions(t *testing.T) {
	want := []schema.GroupVersion{{Group: "metallb.io", Version: "v1beta2"}, {Group: "metallb.io", Version: "v1beta1"},
		{Group: "metallb.io", Version: "v1alpha1"}}
	if diff := cmp.Diff(want, Scheme.PrioritizedVersionsForGroup(metallb.GroupName)); diff != "" {
		t.Errorf("versions, preferred first (-want +got):\n%s", diff)
	}
	for _, gv := range want {
		if !Scheme.Recognizes(gv.WithKind("WatchEvent")) {
			t.Errorf("%v cannot be watched", gv)
		}
	}
}

// TestFieldLabels: field selectors may name what each kind declares, in every version, and nothing else.
func TestFieldLabels(t *testing.T) {
	of := map[string][]string{
		"IPAddressPool":    {"spec.autoAssign", "spec.avoidBuggyIPs"},
		"L2Advertisement":  {},
		"BGPAdvertisement": {"spec.localPref"},
		"BGPPeer": {"spec.bfdProfile", "spec.dynamicASN", "spec.interface", "spec.myASN", "spec.passwordSecret.name", "spec.peerASN",
			"spec.peerAddress", "spec.routerID", "spec.sourceAddress", "spec.vrf"},
		"BFDProfile":    {"spec.echoMode", "spec.passiveMode"},
		"Community":     {},
		"IPReservation": {"spec.namespace", "spec.service"},
		"MetalLB":       {},
		"AddressPool":   {"spec.autoAssign", "spec.protocol"},
	}
	for _, gv := range Scheme.PrioritizedVersionsForGroup(metallb.GroupName) {
		for kind := range of {
			gvk := gv.WithKind(kind)
			if !Scheme.Recognizes(gvk) {
				continue
			}
			labels := append([]string{"metadata.name", "metadata.namespace"}, of[kind]...)
			for _, label := range labels {
				if got, value, err := Scheme.ConvertFieldLabel(gvk, label, "x"); err != nil || got != label || value != "x" {
					t.Errorf("%v: %s=x becomes %s=%s, %v", gvk, label, got, value, err)
				}
			}
			_, _, err := Scheme.ConvertFieldLabel(gvk, "spec.addresses", "x")
			if want := `"spec.addresses" is not a field that ` + kind + " can be selected by: those are " + strings.Join(labels, ", "); err == nil || err.Error() != want {
				t.Errorf("%v: field label spec.addresses: %v\nwant %s", gvk, err, want)
			}
		}
	}
}

func TestNoProtobuf(t *testing.T) {
	got := map[string]bool{}
	for _, info := range WithoutProtobuf(Codecs).SupportedMediaTypes() {
		got[info.MediaType] = true
	}
	if diff := cmp.Diff(map[string]bool{runtime.ContentTypeJSON: true, runtime.ContentTypeYAML: true}, got); diff != "" {
		t.Errorf("media types (-want +got):\n%s", diff)
	}
}

// decode reads JSON without the creation timestamp, which is null in an object that was never created.
func decode(t *testing.T, s string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(s), &m); err != nil {
		t.Fatal(err)
	}
	if meta, ok := m["metadata"].(map[string]any); ok {
		delete(meta, "creationTimestamp")
	}
	return m
}
