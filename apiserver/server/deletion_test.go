package server

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// heard collects the warnings of responses.
type heard struct {
	mu   sync.Mutex
	said []string
}

func (h *heard) HandleWarningHeader(_ int, _ string, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.said = append(h.said, text)
}

// take returns the warnings since the last call.
func (h *heard) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	said := h.said
	h.said = nil
	return said
}

func TestDeletionIsRefusedOrWarnedAbout(t *testing.T) {
	warnings := &heard{}
	config := rest.CopyConfig(serveAlone(t))
	config.WarningHandler = warnings
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	pools, ads := client.Resource(samples[0].resource).Namespace(namespace), client.Resource(samples[1].resource).Namespace(namespace)
	kept := samples[0].object("kept", map[string]any{"addresses": []any{"10.0.0.0/24"}})
	kept.SetAnnotations(map[string]string{"ingot.io/deletion-protection": "true"})
	if _, err := pools.Create(ctx, kept, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := pools.Create(ctx, samples[0].object("used", map[string]any{"addresses": []any{"10.0.1.0/24"}}), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := ads.Create(ctx, samples[1].object("lan", map[string]any{"ipAddressPools": []any{"used"}}), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	warnings.take()
	dry := metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}
	refusals := map[string]func() error{
		"delete":  func() error { return pools.Delete(ctx, "kept", metav1.DeleteOptions{}) },
		"dry run": func() error { return pools.Delete(ctx, "kept", dry) },
		"delete collection": func() error {
			return pools.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=kept"})
		},
	}
	for what, try := range refusals {
		err := try()
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "metadata.annotations[ingot.io/deletion-protection]") {
			t.Errorf("%s of what is protected: %v, want Invalid that names the annotation", what, err)
		}
	}
	if _, err := pools.Get(ctx, "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("after refused deletions: %v", err)
	}
	if said := warnings.take(); len(said) > 0 {
		t.Errorf("warnings %q", said)
	}

	want := []string{`IPAddressPool "used" is in use by L2Advertisement "lan"`}
	for _, options := range []metav1.DeleteOptions{dry, {}} {
		if err := pools.Delete(ctx, "used", options); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, warnings.take()); diff != "" {
			t.Errorf("delete of what is in use, dry run %v (-want +got):\n%s", options.DryRun, diff)
		}
	}

	if _, err := pools.Patch(ctx, "kept", types.MergePatchType, []byte(`{"metadata":{"annotations":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := pools.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Errorf("delete collection without protection: %v", err)
	}
}

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
				for _, w := range first {
					if err := client.Resource(w.of.resource).Namespace(namespace).Delete(t.Context(), w.name, metav1.DeleteOptions{}); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}
