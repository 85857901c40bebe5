package install

import (
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	ours "github.com/ingot-lb/ingot/apiserver/apis/metallb/fuzzer"
)

// served are the versions of every kind with an internal form, lists included, as the scheme has them: a kind that is
// added is tested.
func served() map[string][]schema.GroupVersionKind {
	kinds := map[string][]schema.GroupVersionKind{}
	for gvk, t := range Scheme.AllKnownTypes() {
		if gvk.Group == metallb.GroupName && gvk.Version != runtime.APIVersionInternal && strings.Contains(t.PkgPath(), "apis/metallb/") &&
			Scheme.Recognizes(metallb.SchemeGroupVersion.WithKind(gvk.Kind)) {
			kinds[gvk.Kind] = append(kinds[gvk.Kind], gvk)
		}
	}
	for _, versions := range kinds {
		slices.SortFunc(versions, func(a, b schema.GroupVersionKind) int { return strings.Compare(a.Version, b.Version) })
	}
	return kinds
}

// TestEveryVersionKeepsEverything: whatever an object holds, writing it in any version as JSON or YAML and reading that
// back, strictly, changes nothing; no more does the way from version to version. Defaults that are set stay as they are.
func TestEveryVersionKeepsEverything(t *testing.T) {
	kinds := served()
	if len(kinds) < 12 {
		t.Fatalf("only %d kinds were found: %v", len(kinds), kinds)
	}
	for kind, versions := range kinds {
		t.Run(kind, func(t *testing.T) {
			for seed := range int64(100) {
				fill := fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, ours.Funcs), rand.NewSource(seed), Codecs)
				original, err := Scheme.New(metallb.SchemeGroupVersion.WithKind(kind))
				if err != nil {
					t.Fatal(err)
				}
				fill.Fill(original)
				original.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
				var chain runtime.Object = original
				for _, gvk := range append(versions, versions[0]) {
					for _, media := range WithoutProtobuf(Codecs).SupportedMediaTypes() {
						got := writtenAndRead(t, gvk, media, original)
						if !apiequality.Semantic.DeepEqual(original, got) {
							t.Fatalf("seed %d, %s, %s (-want +got):\n%s", seed, gvk.Version, media.MediaType, cmp.Diff(original, got))
						}
						chain = writtenAndRead(t, gvk, media, chain)
					}
				}
				if !apiequality.Semantic.DeepEqual(original, chain) {
					t.Fatalf("seed %d, through every version (-want +got):\n%s", seed, cmp.Diff(original, chain))
				}
			}
		})
	}
}

// writtenAndRead writes an object in a version, and reads it strictly.
func writtenAndRead(t *testing.T, gvk schema.GroupVersionKind, media runtime.SerializerInfo, obj runtime.Object) runtime.Object {
	t.Helper()
	text, err := runtime.Encode(Codecs.EncoderForVersion(media.Serializer, gvk.GroupVersion()), obj)
	if err != nil {
		t.Fatal(err)
	}
	back, err := runtime.Decode(Codecs.DecoderToVersion(media.StrictSerializer, metallb.SchemeGroupVersion), text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	back.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return back
}

// TestDefaultsSettle: defaults that were set once are not set to something else again, nor by the way through the
// internal form, whatever an object of a version holds.
func TestDefaultsSettle(t *testing.T) {
	for kind, versions := range served() {
		for _, gvk := range versions {
			for seed := range int64(50) {
				fill := fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, ours.Funcs), rand.NewSource(seed), Codecs)
				obj, err := Scheme.New(gvk)
				if err != nil {
					t.Fatal(err)
				}
				if seed > 0 { // the first has nothing but its defaults
					fill.Fill(obj)
				}
				if m, ok := obj.(metav1.Object); ok {
					m.SetAnnotations(nil) // which conversion reads, and random text makes no sense of
				}
				Scheme.Default(obj)
				once := obj.DeepCopyObject()
				Scheme.Default(obj)
				if diff := cmp.Diff(once, obj); diff != "" {
					t.Fatalf("%s, seed %d: defaults set twice (-once +twice):\n%s", gvk, seed, diff)
				}
				there, err := Scheme.New(metallb.SchemeGroupVersion.WithKind(kind))
				if err != nil {
					t.Fatal(err)
				}
				back := reflect.New(reflect.TypeOf(obj).Elem()).Interface().(runtime.Object)
				if err := Scheme.Convert(obj, there, nil); err != nil {
					continue // lists of what random annotations make no sense of
				}
				if err := Scheme.Convert(there, back, nil); err != nil {
					t.Fatal(err)
				}
				settled := back.DeepCopyObject()
				Scheme.Default(settled)
				if diff := cmp.Diff(back, settled); diff != "" {
					t.Fatalf("%s, seed %d: defaults after the internal form (-before +after):\n%s", gvk, seed, diff)
				}
			}
		}
	}
}

// TestUnsetTimersStayUnset, in whichever version a peer is written: MetalLB turns them off.
func TestUnsetTimersStayUnset(t *testing.T) {
	peer := &metallb.BGPPeer{Spec: metallb.BGPPeerSpec{MyASN: 1, ASN: 2, Address: "10.0.0.1", Port: 179}}
	for _, gvk := range served()["BGPPeer"] {
		for _, media := range WithoutProtobuf(Codecs).SupportedMediaTypes() {
			got := writtenAndRead(t, gvk, media, peer).(*metallb.BGPPeer)
			if got.Spec.HoldTime != nil || got.Spec.KeepaliveTime != nil || got.Spec.ConnectTime != nil {
				t.Errorf("%s, %s: timers %v, %v, %v", gvk.Version, media.MediaType, got.Spec.HoldTime, got.Spec.KeepaliveTime, got.Spec.ConnectTime)
			}
		}
	}
}
