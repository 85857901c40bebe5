package deployed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// workloads of every way to install.
var workloads = []string{"deployment/apiserver", "deployment/controller", "deployment/webhooks", "daemonset/speaker"}

// TestInstallations goes through the ways to install, one after the other in one cluster, as docs/install.md tells of them.
func TestInstallations(t *testing.T) {
	c := start(t, "../../deploy/single")
	t.Run("single", func(t *testing.T) {
		c.reached(t)
		t.Run("commands", c.commands)
		t.Run("parts", c.parts)
		t.Run("restarts", c.restarts)
		t.Run("undo", c.undo)
		t.Run("deleted Pods", c.deletedPods)
		t.Run("drain", c.drain)
		c.deleted(t, "../../deploy/single")
	})
	t.Run("base with metrics over TLS", func(t *testing.T) {
		c.kubectl(t, "apply", "--server-side", "--validate=strict", "-k", metricsTLS)
		c.rolledOut(t, workloads...)
		c.reached(t)
		c.adopted(t)
		t.Run("metrics", c.metricsOverTLS)
		c.uninstalled(t, metricsTLS)
	})
	t.Run("operator", func(t *testing.T) {
		c.kubectl(t, "apply", "--server-side", "--validate=strict", "-k", "../../deploy/operator")
		c.rolledOut(t, "deployment/apiserver", "deployment/metallb-operator-controller-manager")
		t.Run("object", c.metallb)
		c.deleted(t, "../../deploy/operator")
	})
	t.Run("replicas", func(t *testing.T) {
		c.document(t, "### replicas", t.TempDir())
		c.kubectl(t, "apply", "--server-side", "--validate=strict", "-k", "../../deploy/replicas")
		c.rolledOut(t, append(workloads, "statefulset/etcd")...)
		c.reached(t)
		c.adopted(t)
		t.Run("restarts", c.replicasRestart)
		c.deleted(t, "../../deploy/replicas")
	})
}

// document runs the first block of commands under a heading of docs/install.md, letter by letter, in a directory.
func (c cluster) document(t *testing.T, heading, dir string) {
	t.Helper()
	docs, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(docs), "\n"+heading+"\n")
	_, block, marked := strings.Cut(section, "\n```sh\n")
	script, _, ends := strings.Cut(block, "\n```\n")
	if !found || !marked || !ends {
		t.Fatalf("docs/install.md has no commands under %q", heading)
	}
	if _, err := c.run(dir, "bash", "-e", "-c", script); err != nil {
		t.Fatal(err)
	}
}

// adopted has speakers, which go on with what the installation before had them announce, obey the one that is there now.
func (c cluster) adopted(t *testing.T) {
	t.Helper()
	c.document(t, "### A new store after an old one", "")
	eventually(t, "speakers that obey", func() error {
		out, err := c.try("get", "speakerstates", "-n", system, "-o", `jsonpath={range .items[*]}{.metadata.name}: {.status.conditions[?(@.type=="Healthy")].reason}; {end}`)
		if err == nil && (out == "" || strings.Contains(out, "ForeignLineage")) {
			err = errors.New(out)
		}
		return err
	})
	c.reached(t)
}

// deleted uninstalls by the one command that everybody tries first.
func (c cluster) deleted(t *testing.T, directory string) {
	t.Helper()
	c.kubectl(t, "delete", "-k", directory, within)
	c.nothingLeft(t)
}

// uninstalled uninstalls as docs/install.md says, which keeps the configuration for sure.
func (c cluster) uninstalled(t *testing.T, directory string) {
	t.Helper()
	absolute, err := filepath.Abs(directory)
	if err != nil {
		t.Fatal(err)
	}
	c.document(t, "## Uninstall", absolute)
	c.nothingLeft(t)
}

// nothingLeft looks at all kinds that the cluster has, and has it delete a namespace.
func (c cluster) nothingLeft(t *testing.T) {
	t.Helper()
	eventually(t, "the end of Ingot", func() error {
		kinds, err := c.try("api-resources", "--verbs=list", "-o", "name")
		if err != nil {
			return err
		}
		if strings.Contains(kinds, "metallb.io") {
			return errors.New("metallb.io is served")
		}
		out, err := c.try("get", strings.Join(strings.Fields(kinds), ","), "-A", "-l", "app=metallb", "-o", "name", "--ignore-not-found")
		if left := strings.Fields(out); err == nil && len(left) > 0 {
			err = fmt.Errorf("left: %v", left)
		}
		if err == nil {
			_, err = c.try("get", "namespace", system)
			if err != nil && strings.Contains(err.Error(), "NotFound") {
				return nil
			}
			err = errors.Join(errors.New("the namespace is left"), err)
		}
		return err
	})
	c.kubectl(t, "create", "namespace", "passing")
	c.kubectl(t, "delete", "namespace", "passing", within)
}

// commands are those of MetalLB's documentation, letter by letter but for oc, and what they print.
func (c cluster) commands(t *testing.T) {
	speaker := strings.TrimSpace(c.kubectl(t, "get", "-n", system, "pods", "-l", "component=speaker", "--field-selector=spec.nodeName=node1", "-o", "jsonpath={.items[0].metadata.name}"))
	node := c.kubectl(t, "get", "pod", "-n", system, speaker, "-o", "jsonpath={.spec.nodeName}")
	if node != "node1" {
		t.Errorf("the Pod is on %q", node)
	}
	for _, command := range []struct{ line, want string }{
		{"get deployment -n metallb-system controller", `controller +1/1 +1 +1 `},
		{"get daemonset -n metallb-system speaker", `speaker +4 +4 +4 +4 +4 +kubernetes.io/os=linux`},
		{"get -n metallb-system pods -l component=speaker", speaker + ` +2/2 +Running`},
		{"get -n metallb-system pods -l app.kubernetes.io/component=speaker", speaker + ` +2/2 +Running`},
		{"logs -n metallb-system " + speaker + " -c speaker", `"event":"centreConnected"`},
		{"logs -n metallb-system " + speaker + " -c frr", `"event":"sessionUp"|BGP`},
		{"exec -n metallb-system " + speaker + " -c frr -- vtysh -c |show running-config", `neighbor 192.168.222.1 remote-as 64501`},
		{"exec -n metallb-system " + speaker + " -c frr -- vtysh -c |show bgp summary", `192.168.222.1 +4 +64501`},
		{"exec -n metallb-system " + speaker + " -c frr -- vtysh -c |show bgp ipv4 unicast " + routed + "/32", `BGP routing table entry for ` + routed + `/32`},
		{"exec -n metallb-system " + speaker + " -c frr -- vtysh -c |show bfd peers brief", `Session count`},
	} {
		head, quoted, _ := strings.Cut(command.line, "|")
		args := strings.Fields(head)
		if quoted != "" {
			args = append(args, quoted)
		}
		eventually(t, command.line, func() error {
			out, err := c.try(args...)
			if err == nil && !regexp.MustCompile(command.want).MatchString(out) {
				err = fmt.Errorf("no %s in:\n%.2000s", command.want, out)
			}
			return err
		})
	}
}

// parts of the lab are containers now, which its own verbs reach.
func (c cluster) parts(t *testing.T) {
	state := func(name string) string {
		status, err := c.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range status.Parts {
			if p.Name == name {
				return p.State
			}
		}
		return "not there"
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"apiserver/1", "controller", "webhooks", "speaker/node2", "web/node3", "kubelet/node1", "dns"} {
		if got := state(name); got != "running" {
			t.Errorf("%s is %s", name, got)
		}
	}
	must(c.Kill(t.Context(), "speaker/node2"))
	if got := state("speaker/node2"); got != "dead" {
		t.Errorf("a killed speaker is %s", got)
	}
	c.reached(t)
	must(c.StartPart(t.Context(), "speaker/node2"))
	must(c.Stop(t.Context(), "apiserver/1"))
	must(c.StartPart(t.Context(), "apiserver/1"))
	must(c.Pause(t.Context(), "controller"))
	if got := state("controller"); got != "paused" {
		t.Errorf("a paused controller is %s", got)
	}
	must(c.Resume(t.Context(), "controller"))
	if out, err := c.Run(t.Context(), "logs", "speaker/node2", "-n", "1000000"); err != nil || !strings.Contains(out, `"msg":"Ingot speaker starting"`) {
		t.Errorf("lab logs: %v: %.500s", err, out)
	}
	for _, name := range []string{"speaker/node2", "apiserver/1", "controller"} {
		if got := state(name); got != "running" {
			t.Errorf("%s is %s in the end", name, got)
		}
	}
	c.rolledOut(t, workloads...)
}
