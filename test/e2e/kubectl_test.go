package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// object is one object of the group, as YAML.
func object(version, kind, name, spec string) string {
	return fmt.Sprintf("apiVersion: metallb.io/%s\nkind: %s\nmetadata: {namespace: metallb-system, name: %s, labels: {e2e: %s}}\nspec: %s\n",
		version, kind, name, name, spec)
}

func TestKubectlTreatsTheGroupAsBuiltIn(t *testing.T) {
	const ns = "-nmetallb-system"
	apply(t, object("v1beta1", "IPAddressPool", "verbs", `{addresses: [203.0.113.0/28]}`))

	t.Run("get with MetalLB's columns", func(t *testing.T) {
		out := kubectl(t, "get", "ipaddresspools", ns, "verbs")
		for _, want := range []string{"NAME", "AUTO ASSIGN", "AVOID BUGGY IPS", "ADDRESSES", "verbs", "true", "false", "203.0.113.0/28"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in:\n%s", want, out)
			}
		}
	})
	t.Run("short names and category", func(t *testing.T) {
		kubectl(t, "get", "ipp,l2adv,bgpadv,bgpp", ns)
		if out := kubectl(t, "get", "ingot", ns); !strings.Contains(out, "verbs") {
			t.Errorf("get ingot: %s", out)
		}
	})
	t.Run("label selector", func(t *testing.T) {
		if out := kubectl(t, "get", "ipp", ns, "-l", "e2e=verbs", "-o", "name"); strings.TrimSpace(out) != "ipaddresspool.metallb.io/verbs" {
			t.Errorf("got %q", out)
		}
		if out := kubectl(t, "get", "ipp", ns, "-l", "e2e=other", "-o", "name"); strings.Contains(out, "verbs") {
			t.Errorf("got %q", out)
		}
	})
	t.Run("explain", func(t *testing.T) {
		for _, resource := range []string{"ipaddresspool.spec.addresses", "l2advertisement.spec.interfaces", "bgpadvertisement.spec.aggregationLength", "bgppeer.spec.holdTime"} {
			if out := kubectl(t, "explain", resource); !strings.Contains(out, "DESCRIPTION") || strings.Contains(out, "<empty>") {
				t.Errorf("explain %s: %s", resource, out)
			}
		}
	})
	t.Run("server-side apply, patch, generation", func(t *testing.T) {
		manifest := object("v1beta1", "IPAddressPool", "verbs", `{addresses: [203.0.113.0/28], avoidBuggyIPs: true}`)
		if _, err := tryKubectl(manifest, "apply", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
			t.Fatal(err)
		}
		kubectl(t, "patch", "ipp", ns, "verbs", "--type=merge", "-p", `{"spec":{"autoAssign":false}}`)
		out := kubectl(t, "get", "ipp", ns, "verbs", "-o", "jsonpath={.metadata.generation} {.spec.autoAssign} {.spec.avoidBuggyIPs}")
		if out != "3 false true" {
			t.Errorf("generation, autoAssign, avoidBuggyIPs: %q", out)
		}
	})
	t.Run("dry run changes nothing", func(t *testing.T) {
		kubectl(t, "patch", "ipp", ns, "verbs", "--dry-run=server", "--type=merge", "-p", `{"spec":{"avoidBuggyIPs":false}}`)
		if out := kubectl(t, "get", "ipp", ns, "verbs", "-o", "jsonpath={.spec.avoidBuggyIPs}"); out != "true" {
			t.Errorf("avoidBuggyIPs became %s", out)
		}
		bad := object("v1beta1", "IPAddressPool", "dry", `{addresses: ["203.0.113.8/32"]}`)
		if out, err := tryKubectl(bad, "create", "--dry-run=server", "-f", "-"); err == nil || !strings.Contains(out, `"verbs"`) {
			t.Errorf("an overlap passed the dry run, or the pool it overlaps is not named: %s", out)
		}
	})
	t.Run("watch", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), long)
		defer cancel()
		watch := exec.CommandContext(ctx, filepath.Join(bin, "kubectl"), "get", "ipp", ns, "-w", "-o", "jsonpath={.metadata.name}={.metadata.annotations.seen}{'\\n'}")
		watch.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(labDir, "kubeconfig"))
		file := filepath.Join(t.TempDir(), "watch")
		out, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		watch.Stdout = out
		if err := watch.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { cancel(); _ = watch.Wait(); out.Close() }()
		seen := func(want string) func() error {
			return func() error {
				got, err := os.ReadFile(file)
				if err == nil && !strings.Contains(string(got), want) {
					err = fmt.Errorf("the watch printed %q", got)
				}
				return err
			}
		}
		eventually(t, "the watch's first event", seen("verbs="))
		stamp := time.Now().Format("150405")
		kubectl(t, "annotate", "ipp", ns, "verbs", "--overwrite", "seen="+stamp)
		eventually(t, "the watch's event", seen("verbs="+stamp))
	})
}

func TestMalformedObjectsAreRefused(t *testing.T) {
	pool := func(spec string) string { return object("v1beta1", "IPAddressPool", "bad", spec) }
	peer := func(spec string) string { return object("v1beta2", "BGPPeer", "bad", spec) }
	adv := func(spec string) string { return object("v1beta1", "BGPAdvertisement", "bad", spec) }
	l2 := func(spec string) string { return object("v1beta1", "L2Advertisement", "bad", spec) }
	cases := []struct {
		rule, manifest string
		says           []string // the field and the value
	}{
		{"P1", pool(`{addresses: []}`), []string{"spec.addresses"}},
		{"P2", pool(`{addresses: [10.0.0.1]}`), []string{"spec.addresses[0]", "10.0.0.1"}},
		{"P3", pool(`{addresses: ["10.0.0.1-x"]}`), []string{"spec.addresses[0]", "10.0.0.1-x"}},
		{"P4", pool(`{addresses: ["10.0.0.9-10.0.0.1"]}`), []string{"spec.addresses[0]", "10.0.0.9-10.0.0.1"}},
		{"P5", pool(`{addresses: [10.0.0.0/24, 10.0.0.128/25]}`), []string{"spec.addresses[1]", "10.0.0.128/25", "10.0.0.0/24"}},
		{"P6", pool(`{addresses: [10.0.0.0/24], serviceAllocation: {namespaces: [a, a]}}`), []string{"spec.serviceAllocation.namespaces[1]", `"a"`}},
		{"P7 operator", pool(`{addresses: [10.0.0.0/24], serviceAllocation: {namespaceSelectors: [{matchExpressions: [{key: a, operator: Nope}]}]}}`), []string{"spec.serviceAllocation.namespaceSelectors[0]", "Nope"}},
		{"P7 duplicate", pool(`{addresses: [10.0.0.0/24], serviceAllocation: {serviceSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]}}`), []string{"spec.serviceAllocation.serviceSelectors[1]"}},
		{"mixed families", pool(`{addresses: ["10.0.0.1-2001::1"]}`), []string{"spec.addresses[0]", "10.0.0.1-2001::1"}},
		{"B1", peer(`{myASN: 0, peerASN: 1, peerAddress: 10.0.0.1}`), []string{"spec.myASN"}},
		{"B2", peer(`{myASN: 1, peerAddress: 10.0.0.1}`), []string{"spec.peerASN"}},
		{"B3", peer(`{myASN: 1, peerASN: 2, dynamicASN: external, peerAddress: 10.0.0.1}`), []string{"spec.dynamicASN", "external"}},
		{"B4", peer(`{myASN: 1, dynamicASN: other, peerAddress: 10.0.0.1}`), []string{"spec.dynamicASN", "other"}},
		{"B5", peer(`{myASN: 1, peerASN: 1, ebgpMultiHop: true, peerAddress: 10.0.0.1}`), []string{"spec.ebgpMultiHop"}},
		{"B6 neither", peer(`{myASN: 1, peerASN: 2}`), []string{"spec.peerAddress"}},
		{"B6 both", peer(`{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, interface: eth1}`), []string{"spec.interface", "eth1"}},
		{"B7 address", peer(`{myASN: 1, peerASN: 2, peerAddress: nowhere}`), []string{"spec.peerAddress", "nowhere"}},
		{"B7 router ID", peer(`{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, routerID: x}`), []string{"spec.routerID", `"x"`}},
		{"router ID not IPv4", peer(`{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, routerID: "fd00::1"}`), []string{"spec.routerID", "fd00::1"}},
		{"B7 source", peer(`{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, sourceAddress: here}`), []string{"spec.sourceAddress", `"here"`}},
		{"B8", peer(`{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, holdTime: 2s}`), []string{"spec.holdTime", "2s"}},
		{"hold time without a unit", peer(`{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, holdTime: "90"}`), []string{"spec.holdTime", `"90"`}},
		{"B9", peer(`{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, holdTime: 9s, keepaliveTime: 10s}`), []string{"spec.keepaliveTime", "10s"}},
		{"seeds: keepalive needs hold", peer(`{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, keepaliveTime: 10s}`), []string{"spec.keepaliveTime", "10s"}},
		{"B10", peer(`{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, password: secret, passwordSecret: {name: s}}`), []string{"spec.passwordSecret"}},
		{"B11", peer(`{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, nodeSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]}`), []string{"spec.nodeSelectors[1]"}},
		{"B12", peer(`{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, connectTime: 500ms}`), []string{"spec.connectTime", "500ms"}},
		{"port", peer(`{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, peerPort: 20000}`), []string{"spec.peerPort", "20000"}},
		{"A1", adv(`{aggregationLength: 33}`), []string{"spec.aggregationLength", "33"}},
		{"A1 v6", adv(`{aggregationLengthV6: 129}`), []string{"spec.aggregationLengthV6", "129"}},
		{"A2", adv(`{aggregationLength: 24, serviceSelectors: [{matchLabels: {a: b}}]}`), []string{"serviceSelectors and aggregationLength are mutually exclusive"}},
		{"A3", adv(`{peers: [p, p]}`), []string{"spec.peers[1]", `"p"`}},
		{"A4", adv(`{communities: ["65536:1"]}`), []string{"spec.communities[0]", "65536:1"}},
		{"A4 large", adv(`{communities: ["small:1:2:3"]}`), []string{"spec.communities[0]", "expected community to be of format large"}},
		{"A5", adv(`{communities: ["1:2:3"]}`), []string{"spec.communities[0]", "1:2:3"}},
		{"A3 layer 2", l2(`{ipAddressPools: [p, p]}`), []string{"spec.ipAddressPools[1]", `"p"`}},
		{"L1", l2(`{preferredNodeSelectors: [{weight: 101, preference: {}}]}`), []string{"spec.preferredNodeSelectors[0].weight", "101"}},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			out, err := tryKubectl(c.manifest, "create", "-v=6", "-f", "-")
			if err == nil {
				_, _ = tryKubectl(c.manifest, "delete", "-f", "-")
				t.Fatalf("accepted: %s", c.manifest)
			}
			for _, want := range append(c.says, "422") {
				if !strings.Contains(out, want) {
					t.Errorf("the refusal does not say %q:\n%s", want, out)
				}
			}
			if strings.Contains(out, `"secret"`) {
				t.Errorf("the refusal shows the password: %s", out)
			}
		})
	}
}

// TestRefusedPatchesShowNoPassword: the generic server quotes the whole object where a patch does not fit it.
func TestRefusedPatchesShowNoPassword(t *testing.T) {
	const password = "hunter2hunter2"
	apply(t, object("v1beta2", "BGPPeer", "discreet", `{myASN: 64500, peerASN: 64999, peerAddress: 192.0.2.1, password: `+password+`}`))
	for _, patch := range []struct{ kind, body string }{
		{"merge", `{"spec":{"peerPort":"x"}}`},
		{"json", `[{"op":"add","path":"/spec/peerPort","value":"x"}]`},
		{"strategic", `{"spec":{"peerPort":"x","password":"` + password + `"}}`},
	} {
		out, err := tryKubectl("", "patch", "bgpp", "-nmetallb-system", "discreet", "--type="+patch.kind, "-p", patch.body)
		if err == nil || strings.Contains(out, password) || !strings.Contains(out, "not shown") {
			t.Errorf("the %s patch: %v, %s", patch.kind, err, out)
		}
	}
	wrong := object("v1beta2", "BGPPeer", "discreet", `{myASN: 64500, peerASN: 64999, peerAddress: 192.0.2.1, password: 8675309}`)
	if out, err := tryKubectl(wrong, "apply", "--server-side", "--force-conflicts", "-f", "-"); err == nil || strings.Contains(out, "8675309") || !strings.Contains(out, ".spec.password") {
		t.Errorf("a password that is a number: %v, %s", err, out)
	}
}

func TestWhatCannotChangeOrLiveElsewhereIsRefused(t *testing.T) {
	// B13: graceful restart cannot be switched once it was said.
	peer := object("v1beta2", "BGPPeer", "graceful", `{myASN: 64500, peerASN: 64999, peerAddress: 203.0.113.9, enableGracefulRestart: true}`)
	apply(t, peer)
	changed := strings.Replace(peer, "enableGracefulRestart: true", "enableGracefulRestart: false", 1)
	elsewhere := strings.Replace(object("v1beta1", "IPAddressPool", "elsewhere", `{addresses: [203.0.113.16/28]}`),
		"namespace: metallb-system", "namespace: default", 1)
	cases := []struct {
		name, manifest string
		says           []string
	}{
		{"B13", changed, []string{"spec.enableGracefulRestart", "cannot be changed after creation"}},
		{"namespace", elsewhere, []string{"metadata.namespace", "resource must be created in metallb-system namespace"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, err := tryKubectl(c.manifest, "apply", "-v=6", "-f", "-")
			if err == nil {
				t.Fatalf("accepted: %s", c.manifest)
			}
			for _, want := range append(c.says, "422") {
				if !strings.Contains(out, want) {
					t.Errorf("the refusal does not say %q:\n%s", want, out)
				}
			}
		})
	}
}
