// Package chart installs, upgrades, rolls back and uninstalls deploy/chart with helm in a real kube-apiserver with its garbage
// collector, while the apiserver runs that writes into some of the objects.
package chart

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/kubeapi"
	"github.com/ingot-lb/ingot/test/loopback"
)

const (
	system  = "metallb-system"
	release = "ingot"
)

// long bounds every command, far above what anything takes.
const long = 2 * time.Minute

// apiServices are what leads to the apiserver.
var apiServices = []string{"v1alpha1.metallb.io", "v1beta1.metallb.io", "v1beta2.metallb.io"}

// kept is what programs keep for the next installation: the claim, and what is in no manifest.
var kept = regexp.MustCompile(`^(persistentvolumeclaim/apiserver-data|configmap/ingot-(ca|lineage|dispatch)|secret/(ingot-ca|webhooks-tls|ingot-export.*))$`)

// TestRelease goes through the life of a release, in both ways in which helm writes objects; what is left by the first one is
// there when the second one begins.
func TestRelease(t *testing.T) {
	c := newCluster(t)
	for _, mode := range []string{"--server-side=true", "--server-side=false"} {
		t.Run(mode, func(t *testing.T) { c.life(t, mode) })
	}
	c.kubectl(t, "delete", "persistentvolumeclaim", "-n", system, "apiserver-data", "--timeout=90s")
	c.kubectl(t, "delete", "namespace", system, "--timeout=90s")
}

func (c cluster) life(t *testing.T, mode string) {
	c.helm(t, "install", release, chart, mode, "--create-namespace", "--wait=hookOnly")
	c.kubectl(t, "apply", "-f", c.endpoint)
	// It writes what the release does not have: who is trusted.
	var before map[string]string
	await.SuccessWithin(t, long, "the CA in APIServices and webhooks, and what else is written", func() (err error) {
		before, err = c.written()
		for name, content := range before {
			if content == "" {
				return fmt.Errorf("%s has none", name)
			}
		}
		if err == nil && len(before) != len(apiServices)+2+len(objects) {
			err = fmt.Errorf("only %v", slices.Sorted(maps.Keys(before)))
		}
		return err
	})

	same := func(what, class string) {
		t.Helper()
		after, err := c.written()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%s changes what the apiserver wrote (-before +after):\n%s", what, diff)
		}
		want := "!has(object.spec.loadBalancerClass)"
		if class != "" {
			want = fmt.Sprintf("has(object.spec.loadBalancerClass) && object.spec.loadBalancerClass == %q", class)
		}
		got := c.kubectl(t, "get", "validatingwebhookconfiguration", "ingot-webhooks", "-o", `jsonpath={.webhooks[0].matchConditions[?(@.name=="of-our-class")].expression}`)
		if got != want {
			t.Errorf("%s: webhooks are asked about %s, want %s", what, got, want)
		}
	}
	const class = "example.com/lb"
	c.helm(t, "upgrade", release, chart, mode, "--set=loadBalancerClass="+class, "--set=controller.logLevel=debug", "--set=controller.replicas=2")
	same("an upgrade", class)
	if got := c.kubectl(t, "get", "deployment", "-n", system, "controller", "-o", "jsonpath={.spec.replicas} {.spec.template.spec.containers[0].args}"); got != `2 ["--log-level=debug","--lb-class=example.com/lb"]` {
		t.Errorf("the controller after an upgrade: %s", got)
	}
	c.helm(t, "upgrade", release, chart, mode, "--set=loadBalancerClass=example.com/other", "--set=apiserver.persistence.type=hostPath")
	same("a second upgrade", "example.com/other")
	c.helm(t, "rollback", release, "1", mode)
	same("a rollback", "")
	if got := c.kubectl(t, "get", "deployment", "-n", system, "apiserver", "-o", "jsonpath={.spec.template.spec.volumes[?(@.name=='data')]}"); !strings.Contains(got, "apiserver-data") || strings.Contains(got, "hostPath") {
		t.Errorf("the volume of the apiserver after a rollback: %s", got)
	}

	c.helm(t, "uninstall", release)
	// The apiserver, which has no Pod that ends here, finds its APIServices collected, and cannot make them again.
	await.SuccessWithin(t, long, "nothing but what has the configuration and the CA", func() error {
		got, err := c.left()
		if err == nil && (!slices.Contains(got, "persistentvolumeclaim/apiserver-data") || !slices.Contains(got, "secret/ingot-ca")) {
			err = fmt.Errorf("only %v is left", got)
		}
		if got = slices.DeleteFunc(got, kept.MatchString); err == nil && len(got) > 0 {
			err = fmt.Errorf("left: %v", got)
		}
		return err
	})
	// What nobody answers for is an error here, and would keep namespaces from being deleted. The kube-apiserver forgets a group
	// some time after the last APIService of it is gone.
	await.SuccessWithin(t, long, "an answer for every group", func() error {
		_, err := c.try("api-resources", "--cached=false", "-o", "name")
		return err
	})
	if got := c.kubectl(t, "get", "apiservices", "-o", "name"); strings.Contains(got, "metallb.io") {
		t.Errorf("APIServices are left: %s", got)
	}
}

// bundles are the CAs in the objects that carry one.
func (c cluster) bundles() (map[string]string, error) {
	bundles := map[string]string{}
	out, err := c.try("get", "validatingwebhookconfiguration", "ingot-webhooks", "-o", `jsonpath={range .webhooks[*]}{.name}={.clientConfig.caBundle}{"\n"}{end}`)
	if err != nil {
		return nil, err
	}
	more, err := c.try(append([]string{"get", "apiservices", "-o", `jsonpath={range .items[*]}{.metadata.name}={.spec.caBundle}{"\n"}{end}`}, apiServices...)...)
	for line := range strings.Lines(out + more) {
		name, bundle, _ := strings.Cut(strings.TrimSpace(line), "=")
		bundles[name] = bundle
	}
	return bundles, err
}

// objects are those whose data the apiserver writes.
var objects = []string{"secret/ingot-ca", "secret/webhooks-tls", "configmap/ingot-ca"}

// written is all that the apiserver has written: bundles, and the data of its Secrets and ConfigMap, which stay the same objects.
func (c cluster) written() (map[string]string, error) {
	all, err := c.bundles()
	if err != nil {
		return nil, err
	}
	for _, object := range objects {
		out, err := c.try("get", "-n", system, object, "-o", "jsonpath={.metadata.uid} {.data}")
		if err != nil {
			return nil, err
		}
		if _, data, _ := strings.Cut(out, " "); data != "" {
			all[object] = out
		}
	}
	return all, nil
}

// left is what an uninstallation leaves of all that is ours, sorted.
func (c cluster) left() ([]string, error) {
	out, err := c.try("get", "-A", "-l", "app=metallb", "-o", "name",
		"apiservices,clusterroles,clusterrolebindings,roles,rolebindings,validatingwebhookconfigurations,namespaces,"+
			"serviceaccounts,services,deployments,daemonsets,statefulsets,poddisruptionbudgets,networkpolicies,secrets,configmaps,persistentvolumeclaims")
	names := strings.Fields(out)
	slices.Sort(names)
	return names, err
}

var chart = filepath.Join("..", "..", "deploy", "chart")

func program(name string) string { return filepath.Join("..", "..", "bin", name) }

// cluster is a kube-apiserver, and Ingot's apiserver beside it with the rights of its ServiceAccount.
type cluster struct {
	dir        string
	kubeconfig string
	// endpoint is a file with what the apiserver waits for before it makes APIServices, as if a Pod were ready.
	endpoint string
}

func newCluster(t *testing.T) cluster {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	api, err := kubeapi.Start(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Stop)
	c := cluster{dir: dir, kubeconfig: filepath.Join(dir, "admin.kubeconfig"), endpoint: filepath.Join(dir, "endpoint.json")}
	if err := os.WriteFile(c.endpoint, []byte(`{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
		"metadata": {"name": "apiserver", "namespace": "metallb-system", "labels": {"kubernetes.io/service-name": "apiserver"}},
		"ports": [{"name": "https", "port": 10443, "protocol": "TCP"}], "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": true}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	config := api.Admin()
	writeConfig(t, c.kubeconfig, config.Host, config.BearerToken)
	// By what a kube-apiserver proves for whom it asks. This one has no such thing, and nothing is asked through it.
	await.SuccessWithin(t, long, "the namespace kube-system", func() error { // which the kube-apiserver makes in its own time
		_, err := c.try("create", "configmap", "-n", "kube-system", "extension-apiserver-authentication",
			"--from-file=requestheader-client-ca-file="+filepath.Join(dir, "certs", "apiserver.crt"), "--from-literal=requestheader-allowed-names=[]",
			`--from-literal=requestheader-username-headers=["X-Remote-User"]`, `--from-literal=requestheader-group-headers=["X-Remote-Group"]`,
			`--from-literal=requestheader-extra-headers-prefix=["X-Remote-Extra-"]`)
		return err
	})
	account := filepath.Join(dir, "apiserver.kubeconfig")
	config = api.Config("apiserver")
	writeConfig(t, account, config.Host, config.BearerToken)
	start(t, program("apiserver"), "--kubeconfig="+account, "--namespace="+system, "--id=apiserver",
		"--bind-address="+loopback.Address().String(), "--dispatch-address=127.0.0.1:0", "--metrics-address=",
		"--data-dir="+filepath.Join(dir, "data"), "--admin-socket="+filepath.Join(dir, "admin.sock"))
	start(t, program("kube-controller-manager"), "--kubeconfig="+c.kubeconfig, "--leader-elect=false", "--secure-port=0",
		"--controllers=garbage-collector-controller,namespace-controller,persistentvolumeclaim-protection-controller")
	return c
}

// start runs a program until the end of the test, and shows its log where that failed.
func start(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Errorf("%s had ended: %v", name, err)
		}
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("%s:\n%s", name, log.String())
		}
	})
}

// writeConfig writes a kubeconfig. The certificate of the kube-apiserver is its own, and the way to it is loopback.
func writeConfig(t *testing.T, path, host, token string) {
	t.Helper()
	named := func(key string, value any) []any { return []any{map[string]any{"name": "test", key: value}} }
	content, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "test",
		"clusters": named("cluster", map[string]any{"server": host, "insecure-skip-tls-verify": true}),
		"users":    named("user", map[string]any{"token": token}),
		"contexts": named("context", map[string]any{"cluster": "test", "user": "test"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// helm runs helm, which must succeed.
func (c cluster) helm(t *testing.T, args ...string) {
	t.Helper()
	if _, err := c.run("tools/helm", append(args, "--namespace="+system)...); err != nil {
		t.Fatal(err)
	}
}

func (c cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.try(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (c cluster) try(args ...string) (string, error) { return c.run("kubectl", args...) }

// run runs a client of the cluster and returns what it wrote; its error has the complaints.
func (c cluster) run(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(name), append(args, "--kubeconfig="+c.kubeconfig)...)
	cmd.Env = append(os.Environ(), "HOME="+c.dir)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, complaints.String())
	}
	return out.String(), nil
}
