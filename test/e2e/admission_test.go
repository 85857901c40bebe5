package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// balancerIn is a Service that asks for an address.
func balancerIn(namespace, name, kind, ip string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {namespace: %s, name: %s, annotations: {metallb.io/loadBalancerIPs: %q}}\n"+
		"spec: {type: %s, selector: {app: web}, ports: [{port: 80}]}\n", namespace, name, ip, kind)
}

// TestServicesAreWarnedOf: kubectl says at once what the controller says later, and refuses it where that is asked for;
// with the program stopped, killed or away, Services are written as without it.
func TestServicesAreWarnedOf(t *testing.T) {
	apply(t, object("v1beta1", "IPAddressPool", "admission", `{addresses: [203.0.113.80/30], autoAssign: false}`))
	apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: admission}\n")
	const warning, sentence = "Warning: ", `metadata.annotations[metallb.io/loadBalancerIPs]: "203.0.113.99": ["203.0.113.99"] is not allowed in config`
	bad := balancerIn("admission", "bad", "LoadBalancer", "203.0.113.99")
	eventually(t, "a warning", func() error {
		out, err := tryKubectl(bad, "apply", "-f", "-")
		if err == nil && !strings.Contains(out, warning+sentence) {
			err = fmt.Errorf("kubectl says %q", out)
		}
		if err != nil {
			_, _ = tryKubectl(bad, "delete", "-f", "-") // what failed is told already
		}
		return err
	})
	good := balancerIn("admission", "good", "LoadBalancer", "203.0.113.80")
	eventually(t, "the pool to be known", func() error { // without it, there would be the warning above as well
		out, err := tryKubectl(good, "create", "--dry-run=server", "-f", "-")
		if err == nil && strings.Contains(out, warning) {
			err = fmt.Errorf("kubectl says %q", out)
		}
		return err
	})
	if out, err := tryKubectl(good, "apply", "-f", "-"); err != nil || strings.Contains(out, warning) {
		t.Errorf("a Service that can be: %v, %q", err, out)
	}
	clash := balancerIn("admission", "clash", "LoadBalancer", "203.0.113.80")
	eventually(t, "the address to be in use", func() error {
		out, err := tryKubectl(clash, "apply", "--dry-run=server", "-f", "-")
		if err == nil && !strings.Contains(out, "also in use by admission/good") {
			err = fmt.Errorf("kubectl says %q", out)
		}
		return err
	})

	kubectl(t, "label", "namespace", "admission", "ingot.io/enforce=true")
	eventually(t, "a refusal", func() error {
		_, err := tryKubectl(balancerIn("admission", "worse", "LoadBalancer", "203.0.113.99"), "create", "--dry-run=server", "-f", "-")
		if err == nil || !strings.Contains(err.Error(), `admission webhook "services.webhooks.ingot.io" denied the request: `+sentence) {
			return fmt.Errorf("kubectl says %v", err)
		}
		return nil
	})
	if out, err := tryKubectl("", "label", "-nadmission", "service", "bad", "was=wrong"); err != nil || !strings.Contains(out, warning+sentence) {
		t.Errorf("what was wrong before is refused, or not told: %v, %q", err, out)
	}
	kubectl(t, "delete", "-nadmission", "service", "bad")

	admitted := func(how string) {
		t.Helper()
		if _, err := tryKubectl(balancerIn("admission", how, "LoadBalancer", "203.0.113.99"), "create", "-f", "-"); err != nil {
			t.Errorf("with the program %s: %v", how, err)
		}
	}
	lab(t, "pause", "webhooks")
	admitted("paused")
	lab(t, "resume", "webhooks")
	lab(t, "kill", "webhooks")
	admitted("killed")
	lab(t, "start", "webhooks")
	eventually(t, "refusals after the start", func() error {
		if _, err := tryKubectl(balancerIn("admission", "worse", "LoadBalancer", "203.0.113.99"), "create", "--dry-run=server", "-f", "-"); err == nil {
			return fmt.Errorf("admitted")
		}
		return nil
	})
}

// TestSecretsOfPeersAreWarnedOf when they go.
func TestSecretsOfPeersAreWarnedOf(t *testing.T) {
	secret := "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/basic-auth\nmetadata: {name: admission, namespace: metallb-system}\nstringData: {username: u, password: p}\n"
	apply(t, secret)
	apply(t, object("v1beta2", "BGPPeer", "admission", `{myASN: 64500, peerASN: 64501, peerAddress: 203.0.113.90, passwordSecret: {name: admission}}`))
	eventually(t, "a warning", func() error {
		out, err := tryKubectl(secret, "delete", "--dry-run=server", "-f", "-")
		if err == nil && !strings.Contains(out, `Warning: Secret "admission", which BGPPeer admission names in spec.passwordSecret, is deleted`) {
			err = fmt.Errorf("kubectl says %q", out)
		}
		return err
	})
}
