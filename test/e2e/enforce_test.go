package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEnforceComponent installs deploy/enforce as users do, with kustomize, and runs the program with exactly the arguments
// that the Deployment then has: what was a warning is refused with the same sentence, in a namespace without the label.
func TestEnforceComponent(t *testing.T) {
	apply(t, object("v1beta1", "IPAddressPool", "enforced", `{addresses: [203.0.113.84/31], autoAssign: false}`))
	apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: enforced}\n")
	const sentence = `metadata.annotations[metallb.io/loadBalancerIPs]: "203.0.113.98": ["203.0.113.98"] is not allowed in config: no address pool gives it away`
	bad := balancerIn("enforced", "bad", "LoadBalancer", "203.0.113.98")
	eventually(t, "a warning without the component", func() error {
		out, err := tryKubectl(bad, "create", "--dry-run=server", "-f", "-")
		if err == nil && !strings.Contains(out, "Warning: "+sentence) {
			err = fmt.Errorf("kubectl says %q", out)
		}
		return err
	})

	deployment := kustomized(t, "enforce")
	apply(t, deployment)
	args := strings.Split(kubectl(t, "get", "deployment", inSystem, "webhooks", "-o", `jsonpath={range .spec.template.spec.containers[0].args[*]}{@}{"\n"}{end}`), "\n")
	runWebhooks(t, args[:len(args)-1]...)
	eventually(t, "a refusal", func() error {
		out, err := tryKubectl(bad, "create", "-f", "-")
		if err == nil {
			err = fmt.Errorf("kubectl says %q", out)
			_, _ = tryKubectl(bad, "delete", "-f", "-") // what is wrong is told already
			return err
		}
		if want := `admission webhook "services.webhooks.ingot.io" denied the request: ` + sentence; !strings.Contains(err.Error(), want) {
			return fmt.Errorf("%w, want %s", err, want)
		}
		return nil
	})
	if out, err := tryKubectl(balancerIn("enforced", "good", "LoadBalancer", "203.0.113.84"), "apply", "-f", "-"); err != nil || strings.Contains(out, "Warning") {
		t.Errorf("a Service that can be: %v, %q", err, out)
	}
	if _, err := tryKubectl(balancerIn("enforced", "inner", "ClusterIP", "203.0.113.98"), "apply", "-f", "-"); err != nil {
		t.Errorf("a Service that is none of ours: %v", err)
	}
}

// kustomized is the Deployment of webhooks as the base and one of our components make it. The kube-apiserver takes the
// whole of it.
func kustomized(t *testing.T, component string) string {
	t.Helper()
	dir := t.TempDir()
	relative := func(path string) string {
		absolute, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		path, err = filepath.Rel(dir, absolute)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	overlay := fmt.Sprintf("resources: [%s]\ncomponents: [%s]\n", relative("../../deploy/base"), relative("../../deploy/"+component))
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(overlay), 0o600); err != nil {
		t.Fatal(err)
	}
	all := kubectl(t, "kustomize", dir)
	if out, err := tryKubectl(all, "apply", "--dry-run=server", "-f", "-"); err != nil {
		t.Fatalf("the kube-apiserver does not take all of it: %v: %s", err, out)
	}
	for document := range strings.SplitSeq(all, "\n---\n") {
		if strings.Contains(document, "\nkind: Deployment\n") && strings.Contains(document, "\n  name: webhooks\n") {
			return document
		}
	}
	t.Fatal("no Deployment of webhooks")
	return ""
}

// runWebhooks runs the program with other arguments than the lab's, in place of that, until the test ends.
func runWebhooks(t *testing.T, args ...string) {
	t.Helper()
	lab(t, "kill", "webhooks")
	t.Cleanup(func() { lab(t, "start", "webhooks") })
	config, err := os.ReadFile(filepath.Join(labDir, "pki", "webhooks.kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	// The lab's token ended with the Pod of the program that was killed.
	token := filepath.Join(labDir, "webhooks.token")
	own := strings.Replace(string(config), filepath.Join(labDir, "tokens", "webhooks"), token, 1)
	if own == string(config) {
		t.Fatalf("no token file in %s", config)
	}
	path := filepath.Join(labDir, "webhooks.kubeconfig")
	for name, content := range map[string]string{token: kubectl(t, "create", "token", inSystem, "webhooks"), path: own} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	command := append([]string{"exec", "control", "--", filepath.Join(bin, "webhooks"), "--kubeconfig=" + path, "--metrics-address="}, args...)
	go func() {
		_, err := cluster.Run(ctx, command...)
		ended <- err
	}()
	t.Cleanup(func() {
		select {
		case err := <-ended:
			t.Errorf("the program ended: %v", err)
		default:
		}
		cancel()
		select {
		case <-ended:
		case <-time.After(long):
			t.Error("the program does not end")
		}
		listenerEnds(t, "control", 9443)
	})
	// Without a Pod nobody else says where it is.
	apply(t, `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: webhooks-e2e, namespace: metallb-system, labels: {kubernetes.io/service-name: webhooks}}
addressType: IPv4
ports: [{name: https, port: 9443, protocol: TCP}]
endpoints: [{addresses: [172.30.0.2], conditions: {ready: true}}]
`)
}
