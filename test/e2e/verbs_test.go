package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// status is the exit status of a command that output ran.
func status(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// TestKubectlVerbs: what people and pipelines do with kubectl's verbs, as it is with built-in kinds.
func TestKubectlVerbs(t *testing.T) {
	manifest := object("v1beta1", "IPAddressPool", "daily", `{addresses: [203.0.113.32/28]}`)
	wider := strings.Replace(manifest, "203.0.113.32/28", "203.0.113.32/27", 1)
	run := func(stdin, want string, args ...string) string {
		t.Helper()
		out, err := tryKubectl(stdin, args...)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("kubectl %v: %v, %s; want %q", args, err, out, want)
		}
		return out
	}
	addresses := func(want string) {
		t.Helper()
		run("", want, "get", "ipp", inSystem, "daily", "-o", "jsonpath={.spec.addresses}")
	}
	t.Cleanup(func() { kubectl(t, "delete", "ipp", inSystem, "daily", "--ignore-not-found") })

	run(manifest, "created", "apply", "-f", "-")
	run(manifest, "unchanged", "apply", "-f", "-")
	atRest(t) // a status that is written meanwhile is a difference
	if _, err := tryKubectl(manifest, "diff", "-f", "-"); status(err) != 0 {
		t.Errorf("diff of what is there: %v", err)
	}
	for _, how := range []string{"--server-side=false", "--server-side"} {
		out, err := tryKubectl(wider, "diff", how, "-f", "-")
		if status(err) != 1 || !strings.Contains(out, "+  - 203.0.113.32/27") {
			t.Errorf("diff %s: %v, %s", how, err, out)
		}
	}
	run(wider, "203.0.113.32/27", "apply", "--dry-run=client", "-o", "yaml", "-f", "-")
	run(wider, "203.0.113.32/27", "apply", "--dry-run=server", "-o", "yaml", "-f", "-")
	addresses(`["203.0.113.32/28"]`)
	run(wider, "configured", "apply", "-f", "-")
	addresses(`["203.0.113.32/27"]`)
	run(manifest, "replaced", "replace", "-f", "-")
	run(manifest, "replaced", "replace", "--force", "-f", "-")

	t.Setenv("TMPDIR", t.TempDir()) // kubectl keeps there what is refused
	editor := func(script string, args ...string) (string, error) {
		t.Setenv("KUBE_EDITOR", "sed -i "+script)
		return tryKubectl("", append([]string{"edit", "ipp", inSystem, "daily"}, args...)...)
	}
	if out, err := editor("s,113.32/28,113.32/27,"); err != nil || !strings.Contains(out, "edited") {
		t.Errorf("edit: %v, %s", err, out)
	}
	addresses(`["203.0.113.32/27"]`)
	if out, err := editor("s,113.32/27,113.32/99,"); err == nil || !strings.Contains(out, `"daily" is invalid`) {
		t.Errorf("an edit that is refused: %v, %s", err, out)
	}

	run("", "condition met", "wait", inSystem, "ipp/daily", "--for=jsonpath={.spec.autoAssign}=true", "--timeout="+long.String())
	if out := run("", "Auto Assign:", "describe", "ipp", inSystem, "daily"); !strings.Contains(out, "203.0.113.32/27") {
		t.Errorf("describe: %s", out)
	}
	run("", "labeled", "label", "ipp", inSystem, "daily", "x=y")
	run("", "annotated", "annotate", "ipp", inSystem, "daily", "x=y")
	for _, patch := range [][]string{
		{"--type=merge", "-p", `{"spec":{"avoidBuggyIPs":true}}`},
		{"--type=strategic", "-p", `{"spec":{"avoidBuggyIPs":false}}`},
		{"--type=json", "-p", `[{"op":"replace","path":"/spec/avoidBuggyIPs","value":true}]`},
	} {
		run("", "patched", append([]string{"patch", "ipp", inSystem, "daily"}, patch...)...)
	}
	run("", "daily", "get", "ipp", inSystem, "--field-selector=spec.avoidBuggyIPs=true,metadata.name=daily", "-o", "name")
	if out, err := tryKubectl("", "get", "ipp", inSystem, "--field-selector=spec.addresses=x"); err == nil || !strings.Contains(out, "spec.avoidBuggyIPs") {
		t.Errorf("a selector by no field: %v, %s", err, out)
	}
	for _, cascade := range []string{"background", "foreground", "orphan"} {
		run("", "deleted", "delete", "ipp", inSystem, "daily", "--cascade="+cascade)
		run(manifest, "created", "create", "-f", "-")
	}
	run("", "deleted", "delete", "ipp", inSystem, "-l", "e2e=daily", "--dry-run=server")
	run("", "deleted", "delete", "ipp", inSystem, "-l", "e2e=daily")
	if out := kubectl(t, "get", "ipp", inSystem, "-l", "e2e=daily", "-o", "name"); out != "" && !strings.Contains(out, "No resources") {
		t.Errorf("%s is left", out)
	}
}

// TestEveryKindIsExplained: recursively, by either OpenAPI document, and listed with its category if it can be listed:
// kubectl asks for all kinds of a category.
func TestEveryKindIsExplained(t *testing.T) {
	kinds := strings.Fields(kubectl(t, "api-resources", "--api-group=metallb.io", "--verbs=create", "-o", "name"))
	if len(kinds) < 6 {
		t.Errorf("only %v can be created", kinds)
	}
	category := kubectl(t, "api-resources", "--categories=ingot", "-o", "name")
	listed := kubectl(t, "api-resources", "--api-group=metallb.io", "--verbs=list", "-o", "name")
	for _, kind := range kinds {
		if in := strings.Contains(category, kind); in != strings.Contains(listed, kind) {
			t.Errorf("%s: of category ingot: %t", kind, in)
		}
		for _, document := range []string{"plaintext", "plaintext-openapiv2"} {
			var out string
			eventually(t, "explain "+kind, func() (err error) { // the kube-apiserver fetches the document when it finds the time
				out, err = tryKubectl("", "explain", "--recursive", "--output", document, kind)
				return err
			})
			for _, want := range []string{"spec\t<", "status\t<", "metadata\t<", "DESCRIPTION"} {
				if !strings.Contains(out, want) {
					t.Errorf("explain --output %s %s has no %q", document, kind, want)
				}
			}
		}
	}
}

// TestObjectsEndWithTheirOwners: the garbage collector knows the group.
func TestObjectsEndWithTheirOwners(t *testing.T) {
	kubectl(t, "create", "configmap", inSystem, "owner")
	uid := kubectl(t, "get", "configmap", inSystem, "owner", "-o", "jsonpath={.metadata.uid}")
	owned := strings.Replace(object("v1beta1", "Community", "owned", "{}"), "name: owned,",
		fmt.Sprintf("name: owned, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: owner, uid: %s}],", uid), 1)
	apply(t, owned)
	kubectl(t, "delete", "configmap", inSystem, "owner")
	kubectl(t, "wait", inSystem, "--for=delete", "community/owned", "--timeout="+long.String())
}

// TestHostPoliciesApply: a ValidatingAdmissionPolicy of the host cluster decides over the group too, with the permissions that
// deploy/base gives.
func TestHostPoliciesApply(t *testing.T) {
	apply(t, `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: e2e-pools}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [metallb.io], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: [ipaddresspools]}]
  validations: [{expression: "!object.metadata.name.startsWith('policy') || object.spec.avoidBuggyIPs", message: "avoid buggy IPs"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: e2e-pools}
spec: {policyName: e2e-pools, validationActions: [Deny]}
`)
	against := object("v1beta1", "IPAddressPool", "policy", `{addresses: [203.0.113.64/28]}`)
	eventually(t, "the policy", func() error {
		out, err := tryKubectl(against, "create", "--dry-run=server", "-f", "-")
		if err == nil || !strings.Contains(out, "ValidatingAdmissionPolicy 'e2e-pools'") || !strings.Contains(out, "avoid buggy IPs") {
			return fmt.Errorf("a pool against it: %v, %s", err, out)
		}
		return nil
	})
	if out, err := tryKubectl(against, "apply", "--server-side", "-f", "-"); err == nil {
		t.Errorf("apply: %s", out)
	}
	apply(t, object("v1beta1", "IPAddressPool", "policy", `{addresses: [203.0.113.64/28], avoidBuggyIPs: true}`))
	if out, err := tryKubectl("", "patch", "ipp", inSystem, "policy", "--type=merge", "-p", `{"spec":{"avoidBuggyIPs":false}}`); err == nil {
		t.Errorf("patch: %s", out)
	}
}

// TestHostWebhooksApply: so do webhooks, those that change objects before those that judge them.
func TestHostWebhooksApply(t *testing.T) {
	ca := webhook(t)
	configuration := func(kind, path string) string {
		return fmt.Sprintf(`apiVersion: admissionregistration.k8s.io/v1
kind: %s
metadata: {name: e2e-communities}
webhooks:
- name: communities.e2e.example.com
  clientConfig: {url: "https://%s/%s", caBundle: %s}
  rules: [{apiGroups: [metallb.io], apiVersions: ["*"], operations: ["*"], resources: [communities]}]
  failurePolicy: Fail
  sideEffects: None
  admissionReviewVersions: [v1]
`, kind, webhookAddress, path, ca)
	}
	apply(t, configuration("MutatingWebhookConfiguration", "mutate")+"---\n"+configuration("ValidatingWebhookConfiguration", "validate"))

	denied := object("v1beta1", "Community", "denied", `{}`)
	eventually(t, "the validating webhook", func() error {
		out, err := tryKubectl(denied, "create", "--dry-run=server", "-f", "-")
		if err == nil || !strings.Contains(out, "denied the request: no community is called denied") {
			return fmt.Errorf("%v, %s", err, out)
		}
		return nil
	})
	allowed := object("v1beta1", "Community", "allowed", `{}`)
	eventually(t, "the mutating webhook", func() error {
		out, err := tryKubectl(allowed, "create", "--dry-run=server", "-o", "jsonpath={.metadata.labels.seen}", "-f", "-")
		if err == nil && out != "yes" {
			err = errors.New(out)
		}
		return err
	})
	apply(t, allowed)
	if out, err := tryKubectl("", "label", "community", inSystem, "allowed", "deny=me"); err == nil || !strings.Contains(out, "denied the request") {
		t.Errorf("an update: %v, %s", err, out)
	}
}

// webhook runs one in the place of the apiservers until the test ends. It is this program, started once more. What is
// returned is its CA, in base64.
func webhook(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	ca, err := webhookCertificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, "lab"), "--dir", labDir, "exec", "control", "--", "env", webhookEnv+"="+dir, self)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // the program inside is killed with it
		_ = cmd.Wait()
	})
	eventually(t, "the webhook answering", func() error {
		_, err := tryIn("control", "curl", "-sSk", "--max-time", "2", "https://"+webhookAddress+"/")
		return err
	})
	return ca
}
