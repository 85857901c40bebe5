package e2e

import (
	"strings"
	"testing"
)

// theMetalLB is the object as the seeds write it.
const theMetalLB = `
apiVersion: metallb.io/v1beta1
kind: MetalLB
metadata:
  name: metallb
  namespace: metallb-system
`

// TestTheMetalLBObject: "metallb" is this object and nothing else, and the seeds' manifests apply as they are.
func TestTheMetalLBObject(t *testing.T) {
	remove := func() { kubectl(t, "delete", "metallb", "--all", inSystem) }
	t.Cleanup(remove)
	for _, manifest := range []string{
		theMetalLB,
		theMetalLB + `spec:
  nodeSelector:
    node-role.kubernetes.io/worker: ""
  speakerTolerations:
  - key: "Example"
    operator: "Exists"
    effect: "NoExecute"
`,
	} {
		if out, err := tryKubectl(manifest, "apply", "-f", "-"); err != nil || strings.Contains(out, "Warning") {
			t.Fatalf("apply: %v, %s", err, out)
		}
	}
	replaced := theMetalLB + "spec:\n  logLevel: debug\n  nodeSelector:\n    node-role.kubernetes.io/worker: \"\"\n"
	if _, err := tryKubectl(replaced, "replace", "-f", "-"); err != nil {
		t.Fatal(err)
	}

	// A pool must not be taken for it.
	apply(t, object("v1beta1", "IPAddressPool", "bystander", `{addresses: [192.0.2.77/32], autoAssign: false}`))
	for _, args := range [][]string{{"metallb", "metallb"}, {"metallb"}, {"metallbs"}, {"metallb.metallb.io"}} {
		if got := kubectl(t, append([]string{"get", inSystem, "-o", "name"}, args...)...); got != "metallb.metallb.io/metallb\n" {
			t.Errorf("get %v: %s", args, got)
		}
	}
	kubectl(t, "patch", "metallb", "metallb", inSystem, "--subresource=status", "--type=merge", "-p",
		`{"status":{"conditions":[{"type":"Available","status":"True","reason":"Running","message":"","lastTransitionTime":"2020-01-01T00:00:00Z"}]}}`)
	lines := strings.Split(kubectl(t, "get", "metallb", "metallb", inSystem), "\n")
	if got, want := strings.Join(strings.Fields(lines[0]), " "), "NAME AVAILABLE DEGRADED PROGRESSING AGE"; got != want {
		t.Errorf("columns %q, want %q", got, want)
	}
	if got := strings.Fields(lines[1]); len(got) != 3 || got[0] != "metallb" || got[1] != "True" {
		t.Errorf("row %q", lines[1])
	}
	if got := kubectl(t, "get", "metallb", "metallb", inSystem, "-o", "jsonpath={.metadata.generation} {.spec.logLevel}"); got != "3 debug" {
		t.Errorf("generation and level: %s", got)
	}
	if _, err := tryKubectl("", "wait", "--for=condition=Available", "metallb/metallb", inSystem, "--timeout="+long.String()); err != nil {
		t.Error(err)
	}

	for manifest, want := range map[string]string{
		theMetalLB + "spec: {logLevel: loud}":               `spec.logLevel: Unsupported value: "loud"`,
		theMetalLB + "spec: {bgpBackend: frr-k8s-external}": `spec.frrk8sConfig.namespace: Required value`,
		theMetalLB + "spec: {loadBalancerClass: /x}":        `spec.loadBalancerClass: Invalid value: "/x"`,
	} {
		if out, err := tryKubectl(manifest, "apply", "-f", "-"); err == nil || !strings.Contains(out, want) {
			t.Errorf("want %s: %v, %s", want, err, out)
		}
	}
	out, err := tryKubectl(theMetalLB+"spec: {bgpBackend: frr, image: x}", "apply", "-f", "-")
	if err != nil || !strings.Contains(out, "Warning: spec.bgpBackend: frr has no effect") || !strings.Contains(out, "Warning: spec.image: deprecated") {
		t.Errorf("apply of what has no effect: %v, %s", err, out)
	}

	out, err = tryKubectl(strings.Replace(theMetalLB, "name: metallb", "name: other", 1), "apply", "-f", "-")
	if err != nil || !strings.Contains(out, "Warning: metadata.name: other has no effect") {
		t.Errorf("apply under another name: %v, %s", err, out)
	}

	remove()
	if got := kubectl(t, "get", "ipaddresspool", "bystander", inSystem, "-o", "name"); !strings.Contains(got, "bystander") {
		t.Errorf("delete metallb --all left %s", got)
	}
	if got := kubectl(t, "explain", "metallb.spec.speakerConfig.affinity.nodeAffinity"); !strings.Contains(got, "requiredDuringScheduling") {
		t.Errorf("explain: %s", got)
	}
}
