package deployed

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// theMetalLB is the object as MetalLB's documentation writes it.
const theMetalLB = `
apiVersion: metallb.io/v1beta1
kind: MetalLB
metadata:
  name: metallb
  namespace: metallb-system
`

// metallb lives with the MetalLB object: it installs, changes and removes, and leaves an installation to be deleted as a whole.
func (c cluster) metallb(t *testing.T) {
	object := func(spec string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "metallb.yaml")
		if err := os.WriteFile(file, []byte(theMetalLB+spec), 0o600); err != nil {
			t.Fatal(err)
		}
		// The aggregated API is there when its endpoints are.
		eventually(t, "apply", func() error { _, err := c.try("apply", "-f", file); return err })
	}
	shows := func(want string, args ...string) {
		t.Helper()
		eventually(t, strings.Join(args, " "), func() error {
			out, err := c.try(append(args, "-n", system)...)
			if err == nil && out != want {
				err = fmt.Errorf("shows %q, want %q", out, want)
			}
			return err
		})
	}
	available := func() {
		t.Helper()
		// A condition that was True of the object as it was before does not count.
		eventually(t, "the installation", func() error {
			out, err := c.try("get", "metallb", "metallb", "-n", system, "-o",
				`jsonpath={.metadata.generation} {range .status.conditions[*]}{.type}={.status} {.observedGeneration};{end}`)
			generation, conditions, _ := strings.Cut(out, " ")
			if err == nil && (strings.Count(conditions, ";") != 4 || !strings.Contains(conditions, "Available=True "+generation+";") ||
				!strings.Contains(conditions, "Progressing=False "+generation+";")) {
				err = fmt.Errorf("%s", out)
			}
			return err
		})
	}
	object("")
	available()
	c.rolledOut(t, workloads...)
	c.reached(t)
	c.adopted(t)

	// Where speakers run, and which Services are ours.
	object("spec: {nodeSelector: {kubernetes.io/hostname: node1}, loadBalancerClass: example.com/other, logLevel: debug}\n")
	shows("1", "get", "daemonset", "speaker", "-o", "jsonpath={.status.desiredNumberScheduled}")
	available()
	eventually(t, "routes of another class to go", func() error {
		if out, err := c.Exec(t.Context(), "client", "curl", "-sS", "--max-time", "1", "http://"+routed+"/"); err == nil {
			return fmt.Errorf("answers %q", out)
		}
		return nil
	})
	object("spec: {logLevel: info}\n")
	shows("4", "get", "daemonset", "speaker", "-o", "jsonpath={.status.numberReady}")
	available()
	c.reached(t)

	// What is deleted comes back, and what is deleted with the object does not.
	c.kubectl(t, "delete", "deployment", "controller", "-n", system)
	shows("1", "get", "deployment", "controller", "-o", "jsonpath={.status.readyReplicas}")
	c.kubectl(t, "delete", "metallb", "metallb", "-n", system, within)
	shows("", "get", "deployments,daemonsets,services,networkpolicies,poddisruptionbudgets,validatingwebhookconfigurations", "-l", "app.kubernetes.io/managed-by=metallb-operator", "-o", "name")
	c.kubectl(t, "get", "deployment", "apiserver", "metallb-operator-controller-manager", "-n", system)
	object("")
	available()
	c.reached(t)
}
