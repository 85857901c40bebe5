package install

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// TestEveryRenderingIsTaken applies each rendering over the one before, as somebody does who goes from one way to install
// to another: the kube-apiserver knows every field, nothing that cannot be changed is changed, a second time changes nothing,
// and Pods of the workloads are admitted. The commands of MetalLB's documentation find what controllers then make.
func TestEveryRenderingIsTaken(t *testing.T) {
	c := newCluster(t)
	c.foreignKinds(t)
	c.restrict(t)
	for _, r := range ways() {
		t.Run(r.name, func(t *testing.T) {
			rendered := r.render(t)
			c.apply(t, rendered)
			before := c.versions(t, rendered)
			c.apply(t, rendered)
			if diff := cmp.Diff(before, c.versions(t, rendered)); diff != "" {
				t.Errorf("applied a second time it changes objects (-first +second):\n%s", diff)
			}
			all := objects(t, rendered)
			for _, o := range all {
				c.admitted(t, o)
			}
			c.leave(t, all)
			if r.alone {
				c.kubectl(t, rendered, "delete", "--ignore-not-found", "--wait=false", "-f", "-")
			}
		})
	}
	t.Run("seeds", c.seeds)
	t.Run("bundle", c.bundle)
	t.Run("uninstall", c.uninstall)
}

func (c cluster) apply(t *testing.T, rendered string) {
	t.Helper()
	c.kubectl(t, rendered, "apply", "--server-side", "--force-conflicts", "--field-manager=install", "--validate=strict", "-f", "-")
}

// versions are what is stored of each object, but for what others write.
func (c cluster) versions(t *testing.T, rendered string) map[string]string {
	t.Helper()
	out := c.kubectl(t, rendered, "get", "-f", "-", "-o", "json")
	var list struct{ Items []manifest }
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Items) == 0 {
		t.Fatalf("nothing is there: %v: %.500q", err, out)
	}
	versions := map[string]string{}
	for _, o := range list.Items {
		annotations, _ := o.at("metadata", "annotations").(map[string]any)
		if delete(annotations, "deployment.kubernetes.io/revision"); len(annotations) == 0 { // a controller writes it when it gets to it
			annotations = nil
		}
		version, err := json.Marshal([]any{o.at("metadata", "generation"), o.at("metadata", "labels"), annotations, o.at("spec"), o.at("rules"), o.at("data")})
		if err != nil {
			t.Fatal(err)
		}
		versions[o.String()+" "+o.text("metadata", "namespace")] = string(version)
	}
	return versions
}

// foreignKinds installs what Prometheus' operator and cert-manager define, as they publish it.
func (c cluster) foreignKinds(t *testing.T) {
	t.Helper()
	files, err := os.ReadDir(program("crds"))
	if err != nil || len(files) == 0 {
		t.Fatalf("definitions of other projects' kinds: %v: run make crds", err)
	}
	c.kubectl(t, "", "apply", "--server-side", "-f", program("crds"))
	c.kubectl(t, "", "wait", "--for=condition=Established", "--timeout=80s", "-f", program("crds"))
	// They are served, and kubectl hears of them, a moment after the kube-apiserver says so.
	kinds := strings.Fields(c.kubectl(t, "", "get", "-f", program("crds"), "-o", "jsonpath={.items[*].metadata.name}"))
	eventually(t, "other projects' kinds", func() error {
		_, err := c.try("", "get", "--all-namespaces", strings.Join(kinds, ","))
		return err
	})
}

// admitted tries a Pod of a workload, where it is to run and where the strictest of Kubernetes' standards is enforced. What
// has to be an exception to that is named.
func (c cluster) admitted(t *testing.T, o manifest) {
	t.Helper()
	switch o.kind() {
	case "Deployment", "DaemonSet", "StatefulSet":
	default:
		return
	}
	spec, _ := o.at("spec", "template", "spec").(map[string]any)
	for _, claim := range o.list("spec", "volumeClaimTemplates") { // the StatefulSet's controller makes these
		volumes, _ := spec["volumes"].([]any)
		spec["volumes"] = append(volumes, map[string]any{"name": claim.name(), "emptyDir": map[string]any{}})
	}
	if _, err := c.try(pod(t, system, spec), "create", "--dry-run=server", "-f", "-"); err != nil {
		t.Errorf("a Pod of %s: %v", o, err)
	}
	wants := ""
	if rendered := pod(t, system, spec); o.component() == "speaker" {
		wants = "host namespaces"
	} else if strings.Contains(rendered, "hostPath") {
		wants = "hostPath"
	}
	delete(spec, "serviceAccountName")
	delete(spec, "priorityClassName")
	_, err := c.try(pod(t, restricted, spec), "create", "--dry-run=server", "-f", "-")
	switch {
	case wants == "" && err != nil:
		t.Errorf("%s is not restricted: %v", o, err)
	case wants != "" && (err == nil || !strings.Contains(err.Error(), "violates PodSecurity") || !strings.Contains(err.Error(), wants)):
		t.Errorf("%s: %v, want a complaint about %s", o, err, wants)
	}
}

// restricted is a namespace that enforces the standard of this name.
const restricted = "restricted"

func (c cluster) restrict(t *testing.T) {
	t.Helper()
	c.kubectl(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: restricted, labels: {pod-security.kubernetes.io/enforce: restricted}}\n", "apply", "-f", "-")
	eventually(t, "the account of Pods in a new namespace", func() error {
		_, err := c.try("", "get", "serviceaccount", "-n", restricted, "default")
		return err
	})
}

func pod(t *testing.T, namespace string, spec map[string]any) string {
	t.Helper()
	pod, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "try", "namespace": namespace}, "spec": spec})
	if err != nil {
		t.Fatal(err)
	}
	return string(pod)
}

// leave removes what is in the way of others: APIServices of which nobody answers make discovery fail; and what may be done in the
// cluster, which not every installation has, and so none of them takes away what another one brought.
func (c cluster) leave(t *testing.T, all []manifest) {
	t.Helper()
	names := map[string][]string{}
	for _, o := range all {
		switch o.kind() {
		case "APIService", "ClusterRole", "ClusterRoleBinding":
			names[o.kind()] = append(names[o.kind()], o.name())
		}
	}
	for kind, names := range names {
		c.kubectl(t, "", append([]string{"delete", kind}, names...)...)
	}
}

// seeds are commands of the documentation of MetalLB's operator, letter by letter but for oc, and what they print.
func (c cluster) seeds(t *testing.T) {
	for command, want := range map[string][]string{
		"get deployment -n metallb-system controller":                       {"NAME", "READY", "UP-TO-DATE", "AVAILABLE", "controller", "/1"},
		"get daemonset -n metallb-system speaker":                           {"DESIRED", "NODE SELECTOR", "kubernetes.io/os=linux", "speaker   2         2"},
		"get -n metallb-system pods -l component=speaker":                   {"speaker-", "0/2"},
		"get -n metallb-system pods -l app.kubernetes.io/component=speaker": {"speaker-", "0/2"},
	} {
		eventually(t, command, func() error {
			out, err := c.try("", strings.Fields(command)...)
			for _, part := range want {
				if !strings.Contains(out, part) {
					err = errors.Join(err, fmt.Errorf("no %q in:\n%s", part, out))
				}
			}
			return err
		})
	}
	containers := c.kubectl(t, "", "get", "daemonset", "-n", system, "speaker", "-o", "jsonpath={.spec.template.spec.containers[*].name}")
	if containers != "speaker frr" {
		t.Errorf("containers %q", containers)
	}
}
