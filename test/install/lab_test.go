// Package install proves what deploy/ has: every rendering is taken by a real kube-apiserver with strict validation, and
// real controllers make Pods of it that are admitted.
package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/lab/labtest"
)

// long bounds every wait. It is far above what anything takes, so that no test depends on the machine's speed.
const long = 90 * time.Second

const system = "metallb-system"

// manifest is one object.
type manifest map[string]any

// rendering is one way to install: a kustomization of deploy/ with components of it.
type rendering struct {
	name, resource string
	components     []string
}

// renderings are all ways that docs/install.md tells of. A component that is another's condition comes with it.
var renderings = []rendering{
	{"base", "base", nil},
	{"single", "single", nil},
	{"single with components", "single", []string{"enforce", "egress", "monitoring"}},
	{"external etcd", "external-etcd", nil},
	{"external etcd with components", "external-etcd", []string{"cert-manager", "monitoring"}},
	{"replicas", "replicas", nil},
	{"replicas with components", "replicas", []string{"cert-manager", "cert-manager-etcd", "enforce", "egress", "monitoring"}},
	{"metrics over TLS", "single", []string{"monitoring", "metrics-tls"}},
	{"operator", "operator", nil},
	{"operator with a store on a node", "single", []string{"operator/component", "egress", "monitoring"}},
	{"single with cert-manager", "single", []string{"cert-manager"}},
}

// images are what a user puts in, as docs/install.md says.
var images = map[string]string{
	"ingot/apiserver": "images.example/apiserver:v1", "ingot/controller": "images.example/controller:v1",
	"ingot/speaker": "images.example/speaker:v1", "ingot/webhooks": "images.example/webhooks:v1",
}

// render is what kubectl makes of it, through an overlay as a user writes one.
func (r rendering) render(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	overlay := map[string]any{"resources": []string{deployed(t, dir, r.resource)}}
	var components []string
	for _, c := range r.components {
		components = append(components, deployed(t, dir, c))
	}
	if len(components) > 0 {
		overlay["components"] = components
	}
	var replaced []map[string]string
	for from, to := range images {
		name, tag, _ := strings.Cut(to, ":")
		replaced = append(replaced, map[string]string{"name": from, "newName": name, "newTag": tag})
	}
	overlay["images"] = replaced
	content, err := yaml.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run("", program("kubectl"), "kustomize", dir)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// deployed is a directory of deploy/ as a kustomization in dir names it.
func deployed(t testing.TB, dir, directory string) string {
	t.Helper()
	absolute, err := filepath.Abs(filepath.Join("..", "..", "deploy", directory))
	if err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Rel(dir, absolute)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// objects are the rendered objects.
func objects(t testing.TB, rendered string) []manifest {
	t.Helper()
	var all []manifest
	for document := range strings.SplitSeq(rendered, "\n---\n") {
		o := manifest{}
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

// at is the value at a path, nil if there is none.
func (m manifest) at(path ...string) any {
	var v any = map[string]any(m)
	for _, key := range path {
		in, _ := v.(map[string]any)
		v = in[key]
	}
	return v
}

func (m manifest) text(path ...string) string {
	s, _ := m.at(path...).(string)
	return s
}

func (m manifest) kind() string      { return m.text("kind") }
func (m manifest) name() string      { return m.text("metadata", "name") }
func (m manifest) component() string { return m.text("metadata", "labels", "component") }
func (m manifest) String() string {
	return m.kind() + " " + m.name()
}

func program(name string) string { return filepath.Join("..", "..", "bin", name) }

// run runs a command and returns what it wrote; on failure the error has it too.
func run(stdin, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s%s", filepath.Base(name), strings.Join(args, " "), err, out.String(), complaints.String())
	}
	return out.String(), nil
}

// cluster is a lab without our programs: the objects alone are of interest.
type cluster struct {
	*testing.T
	kubeconfig string
}

func newCluster(t *testing.T) cluster {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the lab is made of network namespaces, which needs root: run the tests as root")
	}
	dir, err := os.MkdirTemp("", "ingot-install-")
	if err != nil {
		t.Fatal(err)
	}
	bin, err := filepath.Abs(program("lab"))
	if err != nil {
		t.Fatal(err)
	}
	lab, err := labtest.Start(t.Context(), bin, dir, labtest.Options{Nodes: 2, Router: "none",
		Without: []string{"apiserver", "controller", "speaker", "webhooks"}})
	if err != nil {
		t.Fatal(errors.Join(err, os.RemoveAll(dir)))
	}
	t.Cleanup(func() {
		if err := errors.Join(lab.Down(context.Background()), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return cluster{t, lab.KubeConfig()}
}

// try runs kubectl.
func (c cluster) try(stdin string, args ...string) (string, error) {
	return run(stdin, program("kubectl"), append([]string{"--kubeconfig=" + c.kubeconfig}, args...)...)
}

// kubectl runs kubectl, which must succeed.
func (c cluster) kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := c.try(stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// eventually waits until check returns nil.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	await.SuccessWithin(t, long, what, check)
}
