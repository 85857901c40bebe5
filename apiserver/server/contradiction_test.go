package server

import (
	"encoding/json"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// TestWritesThatContradictAreRefusedInBothOrders goes through the guarded write: whichever object comes last is refused.
func TestWritesThatContradictAreRefusedInBothOrders(t *testing.T) {
	client, err := dynamic.NewForConfig(serveAlone(t))
	if err != nil {
		t.Fatal(err)
	}
	type write struct {
		of   sample
		name string
		spec map[string]any
	}
	pool := write{samples[0], "small", map[string]any{"addresses": []any{"1.1.1.0/28"}}}
	wide := write{samples[2], "wide", map[string]any{"aggregationLength": int64(26), "ipAddressPools": []any{"small"}}}
	loud := write{samples[2], "loud", map[string]any{"localPref": int64(100)}}
	quiet := write{samples[2], "quiet", map[string]any{"localPref": int64(50), "ipAddressPools": []any{"small"}}}
	peer := func(name, address, id string, asn int64) write {
		spec := map[string]any{"myASN": asn, "peerASN": int64(64513), "peerAddress": address}
		if id != "" {
			spec["routerID"] = id
		}
		return write{samples[3], name, spec}
	}
	six := write{samples[0], "six", map[string]any{"addresses": []any{"2001:db8::/64"}}}
	all := write{samples[2], "all", map[string]any{}}
	echo := write{samples[5], "echo", map[string]any{"echoMode": true}}
	bfd := peer("tor", "192.0.2.1", "", 64512)
	bfd.spec["bfdProfile"] = "echo"
	const noEcho = "echo mode does not work with IPv6"
	tests := []struct {
		name         string
		before       []write
		one, another write
		says         string
	}{
		{"X2", nil, pool, wide, "invalid aggregation length 26: prefix 28 in this pool is more specific than the aggregation length for addresses 1.1.1.0/28"},
		{"X3", []write{pool}, loud, quiet, "localPref"},
		{"X5", nil, peer("a", "192.0.2.1", "1.1.1.1", 64512), peer("b", "192.0.2.2", "", 64512), "must have the same routerID"},
		{"X6", nil, peer("a", "192.0.2.1", "", 64512), peer("b", "192.0.2.1", "", 64512), "must differ in address or vrf"},
		{"X10", []write{all, bfd}, six, echo, noEcho},
		{"X10", []write{six, bfd}, all, echo, noEcho},
		{"X10", []write{all, six}, bfd, echo, noEcho},
		{"X7", nil, peer("a", "192.0.2.1", "", 64512), peer("b", "192.0.2.2", "", 64500), "must have the same myASN"},
	}
	for _, tt := range tests {
		for _, order := range [][2]write{{tt.one, tt.another}, {tt.another, tt.one}} {
			t.Run(tt.name+" "+order[1].name+" last", func(t *testing.T) {
				put := func(w write, options metav1.CreateOptions) error {
					_, err := client.Resource(w.of.resource).Namespace(namespace).Create(t.Context(), w.of.object(w.name, w.spec), options)
					return err
				}
				first := append(append([]write(nil), tt.before...), order[0])
				for _, w := range first {
					if err := put(w, metav1.CreateOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				for _, options := range []metav1.CreateOptions{{DryRun: []string{metav1.DryRunAll}}, {}} {
					if err := put(order[1], options); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tt.says) {
						t.Errorf("create %s (%v): %v, want Invalid with %q", order[1].name, options.DryRun, err, tt.says)
					}
				}
				rewrittenInto(t, client.Resource(order[1].of.resource).Namespace(namespace), order[1].of, order[1].name,
					harmless(order[1].of, order[1].spec, order[0].spec), order[1].spec, tt.says)
				for _, w := range append(first, order[1]) {
					if err := client.Resource(w.of.resource).Namespace(namespace).Delete(t.Context(), w.name, metav1.DeleteOptions{}); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

// harmless is the spec of an object before it comes to contradict another.
func harmless(of sample, spec, other map[string]any) map[string]any {
	switch of.kind {
	case "IPAddressPool":
		return map[string]any{"addresses": []any{"198.51.0.0/16"}}
	case "BGPAdvertisement":
		return map[string]any{"ipAddressPools": []any{"nothing"}}
	case "BFDProfile":
		return map[string]any{"echoMode": false}
	}
	peer := map[string]any{"myASN": spec["myASN"], "peerASN": spec["peerASN"], "peerAddress": "203.0.113.1"}
	for _, shared := range []string{"myASN", "routerID"} {
		if value, ok := other[shared]; ok {
			peer[shared] = value
		}
	}
	return peer
}

// rewrittenInto creates an object with one spec and tries every way to give it another, which must be refused.
func rewrittenInto(t *testing.T, objects dynamic.ResourceInterface, of sample, name string, before, after map[string]any, says string) {
	t.Helper()
	ctx := t.Context()
	apply := func(spec map[string]any, dry []string) (*unstructured.Unstructured, error) {
		return objects.Apply(ctx, name, of.object(name, spec), metav1.ApplyOptions{FieldManager: "test", DryRun: dry})
	}
	if _, err := apply(after, nil); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), says) {
		t.Errorf("apply of a new %s: %v, want Invalid with %q", name, err, says)
	}
	created, err := apply(before, nil)
	if err != nil {
		t.Fatal(err)
	}
	edited := created.DeepCopy()
	edited.Object["spec"] = after
	merge := mergePatch(t, before, after)
	replace, err := json.Marshal([]any{map[string]any{"op": "replace", "path": "/spec", "value": after}})
	if err != nil {
		t.Fatal(err)
	}
	for _, dry := range [][]string{{metav1.DryRunAll}, nil} {
		for how, try := range map[string]func() error{
			"update": func() error {
				_, err := objects.Update(ctx, edited, metav1.UpdateOptions{DryRun: dry})
				return err
			},
			"merge patch": func() error {
				_, err := objects.Patch(ctx, name, types.MergePatchType, merge, metav1.PatchOptions{DryRun: dry})
				return err
			},
			"apply": func() error {
				_, err := apply(after, dry)
				return err
			},
			"JSON patch": func() error {
				_, err := objects.Patch(ctx, name, types.JSONPatchType, replace, metav1.PatchOptions{DryRun: dry})
				return err
			},
		} {
			if err := try(); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s of %s (%v): %v, want Invalid with %q", how, name, dry, err, says)
			}
		}
	}
}

// mergePatch makes of one spec another: what only the first has is taken away.
func mergePatch(t *testing.T, before, after map[string]any) []byte {
	t.Helper()
	spec := map[string]any{}
	for k, v := range after {
		spec[k] = v
	}
	for k := range before {
		if _, stays := after[k]; !stays {
			spec[k] = nil
		}
	}
	made, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// TestGracefulRestartStaysAsItWas: while it is set (B13), in every way to write it.
func TestGracefulRestartStaysAsItWas(t *testing.T) {
	client, err := dynamic.NewForConfig(serveAlone(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, peers := t.Context(), client.Resource(samples[3].resource).Namespace(namespace)
	before := client.Resource(samples[4].resource).Namespace(namespace)
	spec := func(more ...any) map[string]any {
		s := map[string]any{"myASN": int64(64512), "peerASN": int64(64513), "peerAddress": "192.0.2.1"}
		if len(more) > 0 {
			s["enableGracefulRestart"] = more[0]
		}
		return s
	}
	apply := func(s map[string]any) error {
		_, err := peers.Apply(ctx, "tor", samples[3].object("tor", s), metav1.ApplyOptions{FieldManager: "test", Force: true})
		return err
	}
	patch := func(value string) error {
		_, err := peers.Patch(ctx, "tor", types.MergePatchType, []byte(`{"spec":{"enableGracefulRestart":`+value+`}}`), metav1.PatchOptions{})
		return err
	}
	steps := []struct {
		name    string
		write   func() error
		refused bool
	}{
		{"create with it", func() error { return apply(spec(true)) }, false},
		{"apply another", func() error { return apply(spec(false)) }, true},
		{"patch another", func() error { return patch("false") }, true},
		{"patch the same", func() error { return patch("true") }, false},
		{"through v1beta1, which has no such field", func() error {
			read, err := before.Get(ctx, "tor", metav1.GetOptions{})
			if err != nil {
				return err
			}
			set(t, read, "30s", "spec", "holdTime")
			_, err = before.Update(ctx, read, metav1.UpdateOptions{})
			return err
		}, false},
		{"and it is still what it was", func() error { return patch("false") }, true},
		{"take it away", func() error { return patch("null") }, false},
		{"set another where none is", func() error { return patch("false") }, false},
		{"back", func() error { return patch("true") }, true},
	}
	for _, s := range steps {
		err := s.write()
		if s.refused != (err != nil) || err != nil && (!apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.enableGracefulRestart")) {
			t.Errorf("%s: %v, want refused: %v", s.name, err, s.refused)
		}
	}
}
