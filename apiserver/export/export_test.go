package export

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func example() *Content {
	return &Content{
		Lineage: "L", EpochBase: 7, Epoch: 9, Revision: 1 << 53, Taken: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC), By: "v1",
		Objects: [][]byte{
			[]byte(`{"apiVersion":"metallb.io/v1beta1","kind":"BFDProfile","metadata":{"annotations":{"text":"a\n---\nb\n# c"},"name":"p"}}`),
			[]byte(`{"apiVersion":"metallb.io/v1beta2","kind":"BGPPeer","metadata":{"name":"r"},"spec":{"peerASN":4294967295}}`),
		},
		State: []Entry{{Key: "/ingot/digest-key", Value: []byte{0xff, 0x00, 0x01}}, {Key: "/ingot/layer2/::1", Value: []byte(`{"owner":"ü"}`)}},
	}
}

func written(t testing.TB, c *Content) []byte {
	t.Helper()
	var file bytes.Buffer
	if n, err := c.WriteTo(&file); err != nil || n != int64(file.Len()) {
		t.Fatalf("%d of %d bytes, %v", n, file.Len(), err)
	}
	return file.Bytes()
}

func TestFileKeepsEverything(t *testing.T) {
	want := example()
	got, err := Read(written(t, want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if want.Digest() != got.Digest() {
		t.Error("the digests differ")
	}
	later := example()
	later.Taken, later.Epoch, later.Revision = time.Now(), 10, 4
	if later.Digest() != want.Digest() {
		t.Error("the digest tells when it was taken")
	}
}

// TestCutLeavesWhatKubectlKnows: what the documentation has people do with sed.
func TestCutLeavesWhatKubectlKnows(t *testing.T) {
	before, _, found := strings.Cut(string(written(t, example())), Cut)
	if !found {
		t.Fatal("there is no such line")
	}
	for i, doc := range strings.Split(strings.TrimPrefix(before, "---\n"), "\n---\napi") {
		var o struct{ Kind string }
		if i > 0 {
			doc = "api" + doc
		}
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil || o.Kind != []string{"BFDProfile", "BGPPeer"}[i] {
			t.Errorf("document %d: %+v, %v", i, o, err)
		}
	}
}

func TestIncompleteFilesAreRefused(t *testing.T) {
	file := string(written(t, example()))
	for name, broken := range map[string]string{
		"nothing":           "",
		"without its end":   file[:strings.Index(file, Cut)],
		"without an object": "---\n" + file[strings.Index(file, "apiVersion: metallb.io/v1beta2"):],
		"two ends":          file + "---\n" + file[strings.LastIndex(file, "---\n")+4:],
		"no YAML":           "\t- {",
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := ReadCompressed([]byte(broken)); err == nil {
				t.Errorf("read as %+v", c)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(written(f, example()))
	f.Add([]byte("---\n---\nkind: Export\napiVersion: export.ingot.io/v1\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := ReadCompressed(file)
		if err != nil {
			return
		}
		again, err := Read(written(t, c))
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if c.Digest() != again.Digest() {
			t.Errorf("-first +second:\n%s", cmp.Diff(c, again))
		}
	})
}
