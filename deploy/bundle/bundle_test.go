package bundle

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// rendered is what kustomize makes of deploy/operator; kinds is the page with the examples.
func rendered(t *testing.T) (rendered, kinds []byte) {
	t.Helper()
	rendered, err := exec.CommandContext(t.Context(), filepath.Join("..", "..", "bin", "kubectl"), "kustomize", filepath.Join("..", "operator")).Output()
	if err != nil {
		t.Fatalf("kubectl kustomize: %v: run make build", err)
	}
	kinds, err = os.ReadFile(filepath.Join("..", "..", "docs", "kinds.md"))
	if err != nil {
		t.Fatal(err)
	}
	return rendered, kinds
}

func generate(t *testing.T, o Options) map[string][]byte {
	t.Helper()
	var rendering []byte
	rendering, o.Kinds = rendered(t)
	files, err := Generate(rendering, o)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestTheBundleIsCurrent: what is checked in is what is made of the manifests as they are.
func TestTheBundleIsCurrent(t *testing.T) {
	want := map[string]string{}
	for name, content := range generate(t, Options{Version: Unreleased}) {
		want[name] = string(content)
	}
	got := map[string]string{}
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		content, err := os.ReadFile(path)
		got[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run make bundle; -want +got\n%s", diff)
	}
}

// TestValidators puts the bundle before those of operator-framework, as it is checked in and as it is released. They have no errors;
// the warnings are about what is as it should be.
func TestValidators(t *testing.T) {
	released := t.TempDir()
	for name, content := range generate(t, Options{Version: "1.2.3-rc.1", Tag: "v1.2.3-rc.1", Registry: "images.example/", Created: "2023-11-14T22:13:20Z"}) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(released, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(released, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var hidden []string
	if err := json.Unmarshal([]byte(serviceVersion(t, generate(t, Options{Version: Unreleased})).GetAnnotations()["operators.operatorframework.io/internal-objects"]), &hidden); err != nil {
		t.Fatal(err)
	}
	if len(hidden) < 5 || slices.Contains(hidden, "ipaddresspools.metallb.io") {
		t.Errorf("consoles hide %v", hidden)
	}
	checkedIn, err := filepath.Abs(".") // a directory whose name begins with a dot is passed over
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{checkedIn, released} {
		out, err := exec.CommandContext(t.Context(), filepath.Join("..", "..", "bin", "tools", "bundlecheck"), dir).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: run make bundlecheck\n%s", dir, err, out)
		}
		for warning := range strings.Lines(string(out)) {
			_, of, example := strings.Cut(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(warning), ": provided API should have an example annotation")), "Kind=")
			switch {
			case strings.Contains(warning, "should have an example") && example && slices.ContainsFunc(hidden, func(name string) bool {
				return strings.TrimSuffix(name, "es.metallb.io") == strings.ToLower(of) || strings.TrimSuffix(name, "s.metallb.io") == strings.ToLower(of)
			}):
				// It is only read.
			case strings.Contains(warning, "APIs which were deprecated and removed in v1.25"):
				// Resources are known by their names, and these were removed in other groups or versions than the rules name.
			default:
				t.Errorf("%s: %s", dir, warning)
			}
		}
	}
}

func serviceVersion(t *testing.T, files map[string][]byte) *object {
	t.Helper()
	m := &object{}
	if err := yaml.Unmarshal(files["manifests/metallb-operator.clusterserviceversion.yaml"], &m.Object); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestReleasedImages: a release names its own images wherever one is named, and OLM knows all of them, for mirrors.
func TestReleasedImages(t *testing.T) {
	csv := serviceVersion(t, generate(t, Options{Version: "1.2.3", Tag: "v1.2.3", Registry: "images.example/"}))
	content, err := yaml.Marshal(csv.Object["spec"].(map[string]any)["install"])
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for line := range strings.Lines(string(content)) {
		if _, value, ok := strings.Cut(line, ": "); ok && strings.Contains(value, "ingot/") && !strings.Contains(value, "/run/") {
			named[strings.TrimSpace(value)] = true
		}
	}
	related, _, err := unstructured.NestedSlice(csv.Object, "spec", "relatedImages")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, r := range related {
		want[r.(map[string]any)["image"].(string)] = true
	}
	if diff := cmp.Diff(want, named); diff != "" || len(want) != 4 || !want["images.example/ingot/speaker:v1.2.3"] {
		t.Errorf("related %v, -related +named\n%s", want, diff)
	}
}

// TestNothingIsLeftOut: what has no place in a bundle is not passed over.
func TestNothingIsLeftOut(t *testing.T) {
	rendering, kinds := rendered(t)
	for name, more := range map[string]string{
		"a kind":      "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: more}",
		"a role":      "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: more}\nroleRef: {kind: ClusterRole, name: admin}\nsubjects: [{kind: ServiceAccount, name: controller}]",
		"a namespace": "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: more, namespace: default}\nroleRef: {kind: Role, name: controller}\nsubjects: [{kind: ServiceAccount, name: controller}]",
	} {
		if _, err := Generate(slices.Concat(rendering, []byte("\n---\n"+more)), Options{Version: Unreleased, Kinds: kinds}); err == nil || !strings.Contains(err.Error(), "more") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestGrants: accounts may do what the manifests let them, but make APIServices; the speaker has what OpenShift asks for alone.
func TestGrants(t *testing.T) {
	csv := serviceVersion(t, generate(t, Options{Version: Unreleased}))
	accounts := map[string][]string{}
	for _, scope := range []string{"permissions", "clusterPermissions"} {
		list, _, err := unstructured.NestedSlice(csv.Object, "spec", "install", "spec", scope)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			p := p.(map[string]any)
			accounts[scope] = append(accounts[scope], p["serviceAccountName"].(string))
			for _, r := range p["rules"].([]any) {
				rule := r.(map[string]any)
				groups, _, _ := unstructured.NestedStringSlice(rule, "apiGroups")
				verbs, _, _ := unstructured.NestedStringSlice(rule, "verbs")
				if slices.Contains(groups, "apiregistration.k8s.io") && slices.ContainsFunc(verbs, func(v string) bool { return v != "get" && v != "list" && v != "watch" }) {
					t.Errorf("%s: APIServices are OLM's: %v", p["serviceAccountName"], verbs)
				}
				resources, _, _ := unstructured.NestedStringSlice(rule, "resources")
				if scope == "clusterPermissions" && slices.Contains(resources, "secrets") || slices.Contains(verbs, "*") {
					t.Errorf("%s: %v", p["serviceAccountName"], rule)
				}
			}
		}
	}
	all := []string{"apiserver", "controller", "operator", "webhooks"}
	if diff := cmp.Diff(map[string][]string{"permissions": all, "clusterPermissions": all}, accounts); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
