package install

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// exceptions is what some Pods cannot do without. Nobody else has it.
var exceptions = struct{ hostNetwork, root, added, hostPath, unprobed map[string]string }{
	hostNetwork: map[string]string{"speaker": "true"},
	root:        map[string]string{"speaker": "0"},
	added:       map[string]string{"speaker/speaker": "[NET_ADMIN NET_RAW]"},
	hostPath:    map[string]string{"speaker": "/run/ingot", "apiserver": "/var/lib/ingot"},
	unprobed:    map[string]string{"speaker/frr": "a place to call vtysh in"},
}

// hardened says what a Pod of a workload has that it should not have, or lacks.
func hardened(o manifest) (wrong []string) {
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	spec := manifest(o.at("spec", "template", "spec").(map[string]any))
	name := o.component()
	class := "system-cluster-critical"
	if name == "speaker" {
		class = "system-node-critical"
	} else if spec.list("topologySpreadConstraints") == nil {
		complain("replicas may all be on one node")
	}
	if got := spec.text("priorityClassName"); got != class {
		complain("priority class %q", got)
	}
	if spec.text("securityContext", "seccompProfile", "type") != "RuntimeDefault" {
		complain("no seccomp profile")
	}
	if root := exceptions.root[name]; root == "" {
		if spec.at("securityContext", "runAsNonRoot") != true || fmt.Sprint(spec.at("securityContext", "runAsUser")) == "0" {
			complain("it may run as root")
		}
	}
	// The apiserver whose store is on its node starts before the Pod network.
	onNode := exceptions.hostNetwork[name] != "" ||
		slices.ContainsFunc(spec.list("volumes"), func(v manifest) bool { return v.text("name") == "data" && v.at("hostPath") != nil })
	if network := spec.at("hostNetwork") == true; network != onNode {
		complain("hostNetwork %v", network)
	}
	for _, host := range []string{"hostPID", "hostIPC"} {
		if got := spec.at(host); got != nil && got != false {
			complain("%s %v", host, got)
		}
	}
	for _, v := range spec.list("volumes") {
		if path := v.text("hostPath", "path"); path != "" && path != exceptions.hostPath[name] {
			complain("it sees %s of its node", path)
		}
	}
	if name == "speaker" && spec.at("automountServiceAccountToken") != false {
		complain("it has a token for the kube-apiserver")
	}
	containers := spec.list("containers")
	for _, c := range slices.Concat(containers, spec.list("initContainers")) {
		for _, w := range hardenedContainer(c, name) {
			complain("%s: %s", c.text("name"), w)
		}
	}
	for _, c := range containers {
		if exceptions.unprobed[name+"/"+c.text("name")] != "" {
			continue
		}
		for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
			path := c.text(probe, "httpGet", "path")
			if ready := path == "/readyz"; path == "" || ready != (probe == "readinessProbe") {
				complain("%s: %s asks for %q", c.text("name"), probe, path)
			}
		}
	}
	return wrong
}

func hardenedContainer(c manifest, workload string) (wrong []string) {
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if image := c.text("image"); !strings.HasPrefix(image, "images.example/") {
		complain("image %q is none of those that the user named", image)
	}
	if c.at("securityContext", "readOnlyRootFilesystem") != true {
		complain("it may write to its root")
	}
	if c.at("securityContext", "allowPrivilegeEscalation") != false {
		complain("it may get more privileges")
	}
	if got := c.at("securityContext", "privileged"); got != nil && got != false {
		complain("it is privileged")
	}
	if got := c.text("securityContext", "seccompProfile", "type"); got != "" && got != "RuntimeDefault" {
		complain("seccomp profile %s", got)
	}
	want := exceptions.added[workload+"/"+c.text("name")]
	if want == "" {
		want = "<nil>"
	}
	drop, add := fmt.Sprint(c.at("securityContext", "capabilities", "drop")), fmt.Sprint(c.at("securityContext", "capabilities", "add"))
	if drop != "[ALL]" || add != want {
		complain("capabilities: drop %s, add %s, want %s", drop, add, want)
	}
	if c.at("resources", "requests", "cpu") == nil || c.at("resources", "requests", "memory") == nil || c.at("resources", "limits") != nil {
		complain("resources %v, want requests and no limits", c.at("resources"))
	}
	return wrong
}

// TestPodsAreHardened is what every Pod of ours keeps to, whatever it is installed by.
func TestPodsAreHardened(t *testing.T) {
	for _, w := range ways() {
		name, all := w.name, objects(t, w.render(t))
		workloads := pods(all)
		if len(workloads) == 0 {
			t.Errorf("%s has no workloads", name)
		}
		for _, o := range workloads {
			for _, wrong := range hardened(o) {
				t.Errorf("%s: %s: %s", name, o, wrong)
			}
		}
		for _, o := range all {
			labels := o.at("metadata", "labels")
			if enforce := (manifest{"l": labels}).text("l", "pod-security.kubernetes.io/enforce"); o.kind() == "Namespace" && enforce != "privileged" {
				t.Errorf("%s: %s enforces %q, where no speaker is admitted", name, o, enforce)
			}
		}
	}
}

// TestHardeningIsMissed takes one thing after the other away from every workload, or adds one, and wants to be told.
func TestHardeningIsMissed(t *testing.T) {
	base := pods(objects(t, renderings[0].render(t)))
	if len(base) != 4 {
		t.Fatalf("%d workloads", len(base))
	}
	spec := func(o manifest) map[string]any { return o.at("spec", "template", "spec").(map[string]any) }
	container := func(o manifest) map[string]any { return spec(o)["containers"].([]any)[0].(map[string]any) }
	in := func(of func(manifest) map[string]any, key string) func(manifest) map[string]any {
		return func(o manifest) map[string]any { return of(o)[key].(map[string]any) }
	}
	security, podSecurity := in(container, "securityContext"), in(spec, "securityContext")
	for _, m := range []struct {
		what, only string // only: the workload that it means something to; "-": all but the speaker
		in         func(manifest) map[string]any
		key        string
		value      any // nil: the key goes
	}{
		{"priority class", "", spec, "priorityClassName", nil},
		{"seccomp", "", podSecurity, "seccompProfile", nil},
		{"seccomp of a container", "", security, "seccompProfile", map[string]any{"type": "Unconfined"}},
		{"root", "-", podSecurity, "runAsNonRoot", nil},
		{"root's number", "-", podSecurity, "runAsUser", 0},
		{"host network", "-", spec, "hostNetwork", true},
		{"host processes", "", spec, "hostPID", true},
		{"host IPC", "", spec, "hostIPC", true},
		{"host files", "", spec, "volumes", []any{map[string]any{"name": "x", "hostPath": map[string]any{"path": "/"}}}},
		{"a token", "speaker", spec, "automountServiceAccountToken", nil},
		{"spread", "-", spec, "topologySpreadConstraints", nil},
		{"read-only root", "", security, "readOnlyRootFilesystem", nil},
		{"escalation", "", security, "allowPrivilegeEscalation", nil},
		{"privileged", "", security, "privileged", true},
		{"capabilities", "", in(security, "capabilities"), "drop", nil},
		{"one more capability", "", in(security, "capabilities"), "add", []any{"NET_ADMIN", "NET_RAW", "SYS_ADMIN"}},
		{"image", "", container, "image", "ingot/speaker"},
		{"requests", "", container, "resources", nil},
		{"limits", "", in(container, "resources"), "limits", map[string]any{"cpu": "1"}},
		{"startup probe", "", container, "startupProbe", nil},
		{"liveness probe", "", container, "livenessProbe", nil},
		{"readiness probe", "", container, "readinessProbe", nil},
		{"liveness by readiness", "", container, "livenessProbe", map[string]any{"httpGet": map[string]any{"path": "/readyz"}}},
		{"init container", "", spec, "initContainers", []any{map[string]any{"name": "init", "image": "images.example/x:v1"}}},
	} {
		for _, o := range base {
			if m.only == "-" && o.component() == "speaker" || m.only != "" && m.only != "-" && m.only != o.component() {
				continue
			}
			changed := clone(t, o)
			if m.value == nil {
				delete(m.in(changed), m.key)
			} else {
				m.in(changed)[m.key] = m.value
			}
			if wrong := hardened(changed); len(wrong) == 0 {
				t.Errorf("%s of %s: nobody misses it", m.what, o)
			}
		}
	}
}

func clone(t *testing.T, o manifest) manifest {
	t.Helper()
	content, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	copied := manifest{}
	if err := json.Unmarshal(content, &copied); err != nil {
		t.Fatal(err)
	}
	return copied
}
