package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-lb/ingot/deploy/bundle"
)

func rendering(t *testing.T) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join("..", "..", "..", "bin", "kubectl"), "kustomize", filepath.Join("..", "..", "operator")).Output()
	if err != nil {
		t.Fatalf("kubectl kustomize: %v: run make build", err)
	}
	return out
}

// TestRelease makes a release's bundle twice: the archives are the same, byte for byte, have the manifests for their place in the image,
// and its labels, but not what is for the administrator.
func TestRelease(t *testing.T) {
	rendered := rendering(t)
	var archives [2][]byte
	for n := range archives {
		o := options{kinds: filepath.Join("..", "..", "..", "docs", "kinds.md"), out: t.TempDir(), archive: filepath.Join(t.TempDir(), "new", "bundle.tar"), revision: "c0ffee", created: "1700000000"}
		o.Tag, o.Registry = "v1.2.3", "images.example/"
		// What was made before and is no longer must not be in it.
		if err := os.MkdirAll(filepath.Join(o.out, "manifests"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(o.out, "manifests", "gone.yaml"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := run(o, bytes.NewReader(rendered)); err != nil {
			t.Fatal(err)
		}
		var err error
		if archives[n], err = os.ReadFile(o.archive); err != nil {
			t.Fatal(err)
		}
		manifests, err := filepath.Glob(filepath.Join(o.out, "manifests", "*"))
		if err != nil || len(manifests) < 5 || strings.Contains(strings.Join(manifests, " "), "gone.yaml") {
			t.Errorf("manifests: %v, %v", manifests, err)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("a second time, another archive is made")
	}
	for label, value := range bundle.Labels() {
		if !bytes.Contains(archives[0], []byte(`"`+label+`":"`+value+`"`)) {
			t.Errorf("no label %s", label)
		}
	}
}

// TestTagsThatAreRefused: OLM orders bundles by their versions.
func TestTagsThatAreRefused(t *testing.T) {
	for _, tag := range []string{"v1", "e67d4c1", "1.02.3", "v1.2.3+build", "latest"} {
		o := options{out: t.TempDir(), created: "1"}
		o.Tag = tag
		if err := run(o, strings.NewReader("")); err == nil || !strings.Contains(err.Error(), "no semantic version") {
			t.Errorf("%s: %v", tag, err)
		}
	}
}
