package install

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```")
	// ours is how pages name directories of deploy/: where the repository is published, or where it was unpacked.
	ours = regexp.MustCompile(`(github\.com/ingot-lb/ingot|\bingot)/deploy/([\w/-]+)`)
)

// TestDocumentedKustomizations renders the kustomization.yaml of every page. One that names images leaves none without a registry.
func TestDocumentedKustomizations(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	rendered := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
			if !strings.HasPrefix(strings.TrimPrefix(block[1], "# kustomization.yaml\n"), "resources:") {
				continue
			}
			rendered++
			dir := t.TempDir()
			overlay := ours.ReplaceAllStringFunc(block[1], func(name string) string {
				return deployed(t, dir, ours.FindStringSubmatch(name)[2])
			})
			if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(overlay), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := run("", program("kubectl"), "kustomize", dir)
			if err != nil {
				t.Errorf("%s: %v\n%s", page, err, block[1])
				continue
			}
			if !strings.Contains(block[1], "\nimages:\n") {
				continue
			}
			for _, o := range pods(objects(t, out)) {
				for _, image := range o.images() {
					if !regexp.MustCompile(`^REGISTRY/ingot/\w+(:VERSION|@sha256:…)$`).MatchString(image) {
						t.Errorf("%s: %s has the image %q", page, o, image)
					}
				}
			}
		}
	}
	if rendered < 3 {
		t.Errorf("only %d kustomizations were found", rendered)
	}
}

// images are those of a workload's containers, and those that the operator is told of by variables.
func (m manifest) images() (all []string) {
	for _, c := range append(m.list("spec", "template", "spec", "containers"), m.list("spec", "template", "spec", "initContainers")...) {
		all = append(all, c.text("image"))
		for _, e := range c.list("env") {
			if strings.HasSuffix(e.text("name"), "_IMAGE") {
				all = append(all, e.text("value"))
			}
		}
	}
	return all
}
