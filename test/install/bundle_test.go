package install

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// byHand are the objects that docs/install-olm.md has the administrator make.
var byHand = regexp.MustCompile(`(?ms)^kubectl apply -f - <<EOF\n(.*?)^EOF$`)

// bundle has the kube-apiserver check, strictly, what the Operator Lifecycle Manager installs from deploy/bundle: its manifests, the
// ClusterServiceVersion, and the Deployments and roles that OLM makes of that; and what the administrator makes before.
func (c cluster) bundle(t *testing.T) {
	taken := func(what, document string) {
		if out, err := c.try(document, "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-n", system, "-f", "-"); err != nil {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}
	dir := filepath.Join("..", "..", "deploy", "bundle")
	read := func(path string) string {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	taken("prepare.yaml", read(filepath.Join(dir, "prepare.yaml")))
	page := byHand.FindAllStringSubmatch(read(filepath.Join("..", "..", "docs", "install-olm.md")), -1)
	if len(page) < 2 {
		t.Errorf("docs/install-olm.md has %d objects", len(page))
	}
	for _, example := range page {
		if strings.Contains(example[1], "apiVersion: metallb.io/") {
			continue // nobody serves it here; test/e2e applies it
		}
		taken("docs/install-olm.md", example[1])
	}
	files, err := filepath.Glob(filepath.Join(dir, "manifests", "*.yaml"))
	if err != nil || len(files) < 5 {
		t.Fatalf("manifests: %v, %v", files, err)
	}
	for _, file := range files {
		taken(file, read(file))
	}
	csv := manifest{}
	if err := yaml.Unmarshal([]byte(read(filepath.Join(dir, "manifests", "metallb-operator.clusterserviceversion.yaml"))), &csv); err != nil {
		t.Fatal(err)
	}
	// OLM makes those that it grants something, unless they are there.
	for _, p := range csv.list("spec", "install", "spec", "permissions") {
		if _, err := c.try("", "create", "serviceaccount", "-n", system, p.text("serviceAccountName")); err != nil && !strings.Contains(err.Error(), "already exists") {
			t.Error(err)
		}
	}
	deployments := csv.list("spec", "install", "spec", "deployments")
	if len(deployments) != 2 {
		t.Errorf("%d Deployments", len(deployments))
	}
	for _, d := range deployments {
		made := deploymentOf(t, d)
		text, err := yaml.Marshal(made)
		if err != nil {
			t.Fatal(err)
		}
		taken("Deployment "+d.text("name"), string(text))
		c.admitted(t, made)
	}
	for _, scope := range []string{"permissions", "clusterPermissions"} {
		for n, p := range csv.list("spec", "install", "spec", scope) {
			kind := map[string]string{"permissions": "Role", "clusterPermissions": "ClusterRole"}[scope]
			text, err := yaml.Marshal(manifest{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": map[string]any{"name": fmt.Sprintf("olm-%d", n)}, "rules": p.at("rules")})
			if err != nil {
				t.Fatal(err)
			}
			taken(kind+" of "+p.text("serviceAccountName"), string(text))
		}
	}
}

// deploymentOf is what OLM makes of one in a ClusterServiceVersion. One that serves an API gets the certificate for it.
func deploymentOf(t *testing.T, d manifest) manifest {
	t.Helper()
	text, err := yaml.Marshal(d.at("spec"))
	if err != nil {
		t.Fatal(err)
	}
	spec := map[string]any{}
	if err := yaml.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	if d.text("name") == "apiserver" {
		const path = "/apiserver.local.config/certificates"
		pod := spec["template"].(map[string]any)["spec"].(map[string]any)
		for _, one := range pod["containers"].([]any) {
			container := one.(map[string]any)
			container["volumeMounts"] = append(container["volumeMounts"].([]any), map[string]any{"name": "apiservice-cert", "mountPath": path})
			if args := fmt.Sprint(container["args"]); !strings.Contains(args, "--api-tls-cert-file="+path+"/apiserver.crt ") || !strings.Contains(args, "--api-tls-private-key-file="+path+"/apiserver.key") {
				t.Errorf("the apiserver does not serve by what OLM issues: %s", args)
			}
		}
		pod["volumes"] = append(pod["volumes"].([]any), map[string]any{"name": "apiservice-cert", "secret": map[string]any{"secretName": "apiserver-service-cert",
			"items": []any{map[string]any{"key": "tls.crt", "path": "apiserver.crt"}, map[string]any{"key": "tls.key", "path": "apiserver.key"}}}})
	}
	// By another name, since it must not be merged with what a rendering left.
	return manifest{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "olm-" + d.text("name"), "namespace": system, "labels": d.at("label")}, "spec": spec}
}
