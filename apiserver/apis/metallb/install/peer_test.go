package install

import (
	"encoding/json"
	"math/rand"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	ours "github.com/ingot-lb/ingot/apiserver/apis/metallb/fuzzer"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta2"
)

// TestPeersSurviveEitherVersion: whatever a peer holds, reading it in a version and writing that back changes nothing,
// and neither does the way through the other version.
func TestPeersSurviveEitherVersion(t *testing.T) {
	for seed := range int64(2000) {
		fill := fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, ours.Funcs), rand.NewSource(seed), Codecs)
		peer := &metallb.BGPPeer{}
		fill.Fill(peer)
		got := through(t, &v1beta2.BGPPeer{}, through(t, &v1beta1.BGPPeer{}, peer))
		got = through(t, &v1beta1.BGPPeer{}, got)
		if diff := cmp.Diff(wire(t, peer), wire(t, got)); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}

// through reads a peer in the version of served, as JSON, and writes that back.
func through(t *testing.T, served runtime.Object, peer *metallb.BGPPeer) *metallb.BGPPeer {
	t.Helper()
	if err := Scheme.Convert(peer, served, nil); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(served)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, served); err != nil {
		t.Fatal(err)
	}
	back := &metallb.BGPPeer{}
	if err := Scheme.Convert(served, back, nil); err != nil {
		t.Fatal(err)
	}
	return back
}

// wire is how a peer is stored.
func wire(t *testing.T, peer *metallb.BGPPeer) string {
	t.Helper()
	text, err := runtime.Encode(StorageCodec(), peer)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestOldManifest: what MetalLB's users wrote in v1beta1 becomes the current version, with defaults, and timers of zero,
// which MetalLB wrote where nobody had set one, are unset.
func TestOldManifest(t *testing.T) {
	obj, err := runtime.Decode(StorageCodec(), []byte(`{"apiVersion":"metallb.io/v1beta1","kind":"BGPPeer","metadata":{"name":"a"},
		"spec":{"myASN":64512,"peerASN":64513,"peerAddress":"10.0.0.1","peerPort":0,"holdTime":"0s","keepaliveTime":"0s",
		"nodeSelectors":[{"matchExpressions":[{"key":"rack","operator":"In","values":["a"]}]}],"bfdProfile":"fast"}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"apiVersion":"metallb.io/v1beta2","kind":"BGPPeer","metadata":{"name":"a",
		"annotations":{"v1beta1.ingot.io/holdTime":"0s","v1beta1.ingot.io/keepaliveTime":"0s"}},
		"spec":{"myASN":64512,"peerASN":64513,"peerAddress":"10.0.0.1","peerPort":179,
		"nodeSelectors":[{"matchExpressions":[{"key":"rack","operator":"In","values":["a"]}]}],"bfdProfile":"fast",
		"ebgpMultiHop":false,"dualStackAddressFamily":false,"disableMP":false}}`
	if diff := cmp.Diff(decode(t, want), decode(t, wire(t, obj.(*metallb.BGPPeer)))); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

// TestOldVersionShowsTheRest: the annotations are made of what is stored and are not stored themselves.
func TestOldVersionShowsTheRest(t *testing.T) {
	peer := &metallb.BGPPeer{Spec: metallb.BGPPeerSpec{MyASN: 1, DynamicASN: metallb.ExternalASN, Port: 179,
		HoldTime: new(metallb.Duration("0s")), VRFName: "red"}}
	peer.Annotations = map[string]string{v1beta1.UnsaidPrefix + "vrf": "somebody's", v1beta1.UnsaidPrefix + "localASN": "7", "other": "kept"}
	served := &v1beta1.BGPPeer{}
	if err := Scheme.Convert(peer, served, nil); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"other": "kept", "v1beta2.ingot.io/dynamicASN": `"external"`,
		"v1beta2.ingot.io/holdTime": `"0s"`, "v1beta2.ingot.io/vrf": `"red"`}
	if diff := cmp.Diff(want, served.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if len(peer.Annotations) != 3 {
		t.Error("the object that was read has changed")
	}
	if back := through(t, &v1beta1.BGPPeer{}, peer); cmp.Diff(map[string]string{"other": "kept"}, back.Annotations) != "" {
		t.Errorf("annotations of the peer that was written: %v", back.Annotations)
	}

	for _, malformed := range []string{"", "{", "red", `"red","myASN":5`, "7"} {
		served.Annotations["v1beta2.ingot.io/vrf"] = malformed
		if err := Scheme.Convert(served, &metallb.BGPPeer{}, nil); err == nil || !strings.Contains(err.Error(), "v1beta2.ingot.io/vrf") {
			t.Errorf("an annotation of %s: %v, want an error that names it", malformed, err)
		}
	}
}

// TestZerosAreShownAsTheyWereWritten: a timer of zero, which is unset, is served in v1beta1 as it was written there, until somebody
// sets it or leaves it out.
func TestZerosAreShownAsTheyWereWritten(t *testing.T) {
	const hold, keepalive = v1beta1.ZeroPrefix + "holdTime", v1beta1.ZeroPrefix + "keepaliveTime"
	tests := []struct {
		name            string
		stored          metallb.BGPPeer
		hold, keepalive v1beta1.Duration
	}{
		{"written", metallb.BGPPeer{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{hold: "0s", keepalive: "0h0m"}}}, "0s", "0h0m"},
		{"one of them", metallb.BGPPeer{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{keepalive: "0s"}}}, "", "0s"},
		{"set since", metallb.BGPPeer{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{hold: "0s"}},
			Spec: metallb.BGPPeerSpec{HoldTime: new(metallb.Duration("9s"))}}, "9s", ""},
		{"nonsense", metallb.BGPPeer{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{hold: "9s", keepalive: "x"}}}, "", ""},
	}
	for _, tt := range tests {
		served := &v1beta1.BGPPeer{}
		before := tt.stored.DeepCopy()
		if err := Scheme.Convert(&tt.stored, served, nil); err != nil {
			t.Fatal(err)
		}
		if served.Spec.HoldTime != tt.hold || served.Spec.KeepaliveTime != tt.keepalive || len(served.Annotations) != 0 {
			t.Errorf("%s: holdTime %q, keepaliveTime %q, annotations %v; want %q, %q and none", tt.name,
				served.Spec.HoldTime, served.Spec.KeepaliveTime, served.Annotations, tt.hold, tt.keepalive)
		}
		if diff := cmp.Diff(before, &tt.stored); diff != "" {
			t.Errorf("%s: what was read has changed:\n%s", tt.name, diff)
		}
		served.Spec.HoldTime, served.Spec.KeepaliveTime = "", ""
		back := &metallb.BGPPeer{}
		if err := Scheme.Convert(served, back, nil); err != nil {
			t.Fatal(err)
		}
		if len(back.Annotations) != 0 || back.Spec.HoldTime != nil {
			t.Errorf("%s: left out, %v, %v", tt.name, back.Annotations, back.Spec.HoldTime)
		}
	}
}
