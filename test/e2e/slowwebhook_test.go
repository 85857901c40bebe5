package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// mostDelay is how long a write of ours waits for a webhook that does not answer, in seconds as the kube-apiserver counts
// them: its timeout of three, and some for a machine that is busy.
const mostDelay = 3 + 2

// askedOfWebhooks is how often the kube-apiserver has asked our webhooks, or tried to, and how long it waited altogether.
func askedOfWebhooks(t *testing.T) (times, seconds float64) {
	t.Helper()
	for line := range strings.Lines(kubectl(t, "get", "--raw", "/metrics")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(name, "apiserver_admission_webhook_admission_duration_seconds_") || !strings.Contains(name, `.webhooks.ingot.io"`) {
			continue
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		switch {
		case strings.Contains(name, "_count{"):
			times += number
		case strings.Contains(name, "_sum{"):
			seconds += number
		}
	}
	return times, seconds
}

// TestStoppedWebhookDelaysNobodyElse: while the program is stopped in its tracks (SIGSTOP), or killed, every write but
// that of a load balancer of ours is done without waiting for it, and that one is done after three seconds at most.
func TestStoppedWebhookDelaysNobodyElse(t *testing.T) {
	apply(t, object("v1beta1", "IPAddressPool", "slow", `{addresses: [203.0.113.86/32], autoAssign: false}`))
	apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: slow}\n")
	ours := balancerIn("slow", "ours", "LoadBalancer", "203.0.113.97")
	warned := func(t *testing.T) {
		t.Helper()
		eventually(t, "a warning", func() error {
			out, err := tryKubectl(ours, "create", "--dry-run=server", "-f", "-")
			if err == nil && !strings.Contains(out, "Warning: ") {
				err = fmt.Errorf("kubectl says %q", out)
			}
			return err
		})
	}
	warned(t)
	others := map[string]string{
		"a ClusterIP":                   balancerIn("slow", "inner", "ClusterIP", "203.0.113.97"),
		"a NodePort":                    balancerIn("slow", "node", "NodePort", "203.0.113.97"),
		"a load balancer of a class":    strings.Replace(balancerIn("slow", "classed", "LoadBalancer", "203.0.113.97"), "type:", "loadBalancerClass: example.com/other, type:", 1),
		"a ConfigMap":                   "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: slow, namespace: slow}\n",
		"a Secret elsewhere":            "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/basic-auth\nmetadata: {name: slow, namespace: slow}\nstringData: {username: u, password: p}\n",
		"a Secret of another type":      "apiVersion: v1\nkind: Secret\nmetadata: {name: slow, namespace: metallb-system}\nstringData: {a: b}\n",
		"a new Secret with a password":  "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/basic-auth\nmetadata: {name: slow-new, namespace: metallb-system}\nstringData: {username: u, password: p}\n",
		"a pool":                        object("v1beta1", "IPAddressPool", "slow-other", `{addresses: [203.0.113.87/32], autoAssign: false}`),
		"an object of another apiGroup": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: slow, namespace: slow}\nspec: {replicas: 0, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: b}]}}}\n",
	}
	var all []string
	for _, manifest := range others {
		all = append(all, strings.TrimSuffix(manifest, "---"))
	}
	everything := strings.Join(all, "\n---\n")
	// Without the two Secrets of the system namespace nothing of this is asked about when it goes, either.
	remove := func() {
		if _, err := tryKubectl(everything, "delete", "--ignore-not-found", "-f", "-"); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(remove)
	for how, verbs := range map[string][2]string{"stopped": {"pause", "resume"}, "killed": {"kill", "start"}} {
		t.Run(how, func(t *testing.T) {
			remove()
			lab(t, verbs[0], "webhooks")
			t.Cleanup(func() { lab(t, verbs[1], "webhooks"); warned(t) })
			before, _ := askedOfWebhooks(t)
			kubectlIn(t, everything, "apply", "-f", "-")
			asked, seconds := askedOfWebhooks(t)
			if asked != before {
				t.Errorf("%v of the writes that are none of ours were asked about", asked-before)
			}
			kubectlIn(t, ours, "create", "-f", "-")
			after, waited := askedOfWebhooks(t)
			if waited -= seconds; after != asked+1 || waited > mostDelay {
				t.Errorf("a load balancer of ours was asked about %v times, and waited %v s", after-asked, waited)
			}
			kubectl(t, "delete", "service", "-nslow", "ours")
		})
	}
}

// kubectlIn is kubectl with stdin.
func kubectlIn(t testing.TB, stdin string, args ...string) {
	t.Helper()
	if _, err := tryKubectl(stdin, args...); err != nil {
		t.Fatal(err)
	}
}
