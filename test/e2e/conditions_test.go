package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// condition is one condition of an object, as "status reason message"; it is empty while there is none of the object as
// it was written last.
func condition(kind, name, of string) (string, error) {
	out, err := tryKubectl("", "get", kind, name, inSystem, "-o", "json")
	if err != nil {
		return "", err
	}
	var object struct {
		Metadata struct{ Generation int64 }
		Status   struct {
			Conditions []struct {
				Type, Status, Reason, Message string
				ObservedGeneration            int64
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &object); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	for _, c := range object.Status.Conditions {
		if c.Type == of && c.ObservedGeneration == object.Metadata.Generation {
			return strings.TrimSpace(c.Status + " " + c.Reason + " " + c.Message), nil
		}
	}
	return "", nil
}

// becomes waits until a condition begins with want.
func becomes(t *testing.T, kind, name, of, want string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s of %s %s: %s", of, kind, name, want), func() error {
		got, err := condition(kind, name, of)
		if err == nil && !strings.HasPrefix(got, want) {
			err = fmt.Errorf("it is %q", got)
		}
		return err
	})
}

// waitFor is kubectl wait as users write it.
func waitFor(t *testing.T, condition string, args ...string) {
	t.Helper()
	kubectl(t, append([]string{"wait", inSystem, "--for=condition=" + condition, "--timeout=" + long.String()}, args...)...)
}

const noSecret = `spec.passwordSecret.name: Secret "ordered" does not exist in the system namespace (yet)`

// secretIsKnown waits until a peer is not, or is, warned that its Secret is not there.
func secretIsKnown(t *testing.T, peer string, known bool) {
	t.Helper()
	eventually(t, fmt.Sprintf("the Secret being known: %t", known), func() error {
		out, err := tryKubectl(peer, "create", "--dry-run=server", "-f", "-")
		if err == nil && strings.Contains(out, "Warning: "+noSecret) == known {
			err = fmt.Errorf("kubectl says %q", out)
		}
		return err
	})
}

// TestReferencesInEveryOrder: a directory can be applied whatever its files are called, and everything gets ready.
func TestReferencesInEveryOrder(t *testing.T) {
	files := map[string]string{
		"pool":          object("v1beta1", "IPAddressPool", "ordered", `{addresses: [203.0.113.32/28]}`),
		"advertisement": object("v1beta1", "BGPAdvertisement", "ordered", `{ipAddressPools: [ordered], peers: [ordered], communities: [e2e-ordered]}`),
		"layer2":        object("v1beta1", "L2Advertisement", "ordered", `{ipAddressPools: [ordered], interfaces: [eth1]}`),
		"peer": object("v1beta2", "BGPPeer", "ordered",
			`{myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.1, bfdProfile: ordered, passwordSecret: {name: ordered}, nodeSelectors: [{matchLabels: {no: node}}]}`),
		"profile":   object("v1beta1", "BFDProfile", "ordered", `{}`),
		"community": object("v1beta1", "Community", "ordered", `{communities: [{name: e2e-ordered, value: "64500:9"}]}`),
		"secret":    "apiVersion: v1\nkind: Secret\nmetadata: {namespace: metallb-system, name: ordered}\ntype: kubernetes.io/basic-auth\nstringData: {password: s3cret}\n",
	}
	objects := []string{"ipaddresspool/ordered", "bgpadvertisement/ordered", "l2advertisement/ordered", "bgppeer/ordered", "bfdprofile/ordered", "community/ordered"}
	forth := []string{"pool", "profile", "community", "secret", "peer", "layer2", "advertisement"}
	back := slices.Clone(forth)
	slices.Reverse(back)
	for name, order := range map[string][]string{"what is referred to first": forth, "last": back, "mixed": {"advertisement", "pool", "secret", "peer", "layer2", "community", "profile"}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for i, file := range order {
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d-%s.yaml", i, file)), []byte(files[file]), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			t.Cleanup(func() {
				kubectl(t, "delete", "--ignore-not-found", "bgppeer/ordered", inSystem) // before its profile
				kubectl(t, "delete", "--ignore-not-found", "-f", dir)
			})
			// The apiserver hears of Secrets from the cluster.
			switch name {
			case "what is referred to first":
				if _, err := tryKubectl(files["secret"], "apply", "-f", "-"); err != nil {
					t.Fatal(err)
				}
				secretIsKnown(t, files["peer"], true)
			case "last":
				secretIsKnown(t, files["peer"], false)
			}
			out := kubectl(t, "apply", "-f", dir)
			for _, missing := range []string{
				`spec.ipAddressPools[0]: IPAddressPool "ordered" does not exist (yet)`, `spec.peers[0]: BGPPeer "ordered" does not exist (yet)`,
				`spec.communities[0]: no Community defines the alias "e2e-ordered" (yet)`, `spec.bfdProfile: BFDProfile "ordered" does not exist (yet)`,
				noSecret,
			} {
				if said := strings.Contains(out, "Warning: "+missing); name == "last" && !said || name == "what is referred to first" && said {
					t.Errorf("%q said: %t, in:\n%s", missing, said, out)
				}
			}
			waitFor(t, "ReferencesResolved", objects...)
			waitFor(t, "Ready", objects...)
		})
	}
}

// TestIdleStatusCostsTheStoreNothing: once the conditions are written, nothing is.
func TestIdleStatusCostsTheStoreNothing(t *testing.T) {
	apply(t, layer2(120)+"---\n"+bgp(71))
	waitFor(t, "Ready", "ipaddresspool/lan120", "ipaddresspool/pool71", "bgppeer/peer71", "bgppeer/peer71-v6", "l2advertisement/lan120", "bgpadvertisement/advertisement71")
	established(t, 2*nodes)
	eventually(t, "the counters are written", func() error {
		out, err := tryKubectl("", "get", "ipp", "pool71", inSystem, "-o", "jsonpath={.status.availableIPv4}")
		if err == nil && out != "101" {
			err = fmt.Errorf("available: %q", out)
		}
		return err
	})
	before := atRest(t)
	// What does not change the configuration does not change the store either.
	kubectl(t, "annotate", "node", "node1", "e2e=idle", "--overwrite")
	t.Cleanup(func() { kubectl(t, "annotate", "node", "node1", "e2e-") })
	always(t, "nothing is written", 5*time.Second, func() error {
		if now := storeRevision(t); now != before {
			return fmt.Errorf("the revision moved from %s to %s", before, now)
		}
		return nil
	})
}

// upSince is for how long each session with the router is up, by neighbour.
func upSince(t *testing.T) map[string]time.Duration {
	t.Helper()
	var neighbours map[string]struct {
		BgpState       string
		BgpTimerUpMsec int64
	}
	out := in(t, "router", "vtysh", "-c", "show bgp neighbors json")
	if err := json.Unmarshal([]byte(out), &neighbours); err != nil {
		t.Fatalf("show bgp neighbors: %v: %s", err, out)
	}
	up := map[string]time.Duration{}
	for name, n := range neighbours {
		if n.BgpState == "Established" {
			up[name] = time.Duration(n.BgpTimerUpMsec) * time.Millisecond
		}
	}
	return up
}

// TestNoSecretNoSession: a peer without a usable Secret has no session; it comes up when the Secret does, and again when it
// is rotated, and other sessions do not notice.
func TestNoSecretNoSession(t *testing.T) {
	const node1 = "192.168.222.11"
	router := func(lines ...string) {
		t.Helper()
		args := []string{"vtysh", "-c", "configure terminal", "-c", "router bgp 64501"}
		for _, line := range lines {
			args = append(args, "-c", line)
		}
		in(t, "router", args...)
	}
	secret := func(kind string, literals ...string) {
		t.Helper()
		args := []string{"create", "secret", "generic", "session", inSystem, "--type=" + kind, "--dry-run=client", "-o", "yaml"}
		for _, l := range literals {
			args = append(args, "--from-literal="+l)
		}
		if _, err := tryKubectl(kubectl(t, args...), "replace", "--force", "-f", "-"); err != nil {
			t.Fatal(err)
		}
	}
	noNeighbours(t)
	router("neighbor "+node1+" remote-as 64500", "neighbor "+node1+" passive", "neighbor "+node1+" password s3cret",
		"address-family ipv4 unicast", "neighbor "+node1+" activate")
	t.Cleanup(func() { router("no neighbor " + node1) })
	t.Cleanup(func() { kubectl(t, "delete", "secret", "session", inSystem, "--ignore-not-found") })
	apply(t, strings.Replace(bgp(72), "  peerAddress: "+routerV4+"\n", "  peerAddress: "+routerV4+"\n  passwordSecret: {name: session}\n  nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node1}}]\n", 1))
	becomes(t, "bgppeer", "peer72", "ReferencesResolved", `False SecretNotFound spec.passwordSecret.name: Secret "session" does not exist`)
	becomes(t, "bgppeer", "peer72", "Ready", "False ReferencesNotResolved")
	established(t, nodes) // those of IPv6
	others := upSince(t)

	secret("Opaque", "password=s3cret")
	becomes(t, "bgppeer", "peer72", "ReferencesResolved", `False InvalidSecret spec.passwordSecret.name: Secret "session" is of type "Opaque"`)
	secret("kubernetes.io/basic-auth", "username=s3cret")
	becomes(t, "bgppeer", "peer72", "ReferencesResolved", `False InvalidSecret spec.passwordSecret.name: Secret "session" has no key "password"`)
	secret("kubernetes.io/basic-auth", "password=")
	becomes(t, "bgppeer", "peer72", "ReferencesResolved", `False InvalidSecret spec.passwordSecret.name: Secret "session" has an empty "password"`)
	if up := upSince(t); len(up) != nodes {
		t.Errorf("sessions without a Secret: %v", up)
	}
	secret("kubernetes.io/basic-auth", "password=s3cret")
	waitFor(t, "ReferencesResolved", "bgppeer/peer72")
	waitFor(t, "Ready", "bgppeer/peer72")
	established(t, nodes+1)

	router("neighbor " + node1 + " password r0tated")
	eventually(t, "the router has another password", func() error {
		if up := upSince(t); len(up) != nodes {
			return fmt.Errorf("sessions %v", up)
		}
		return nil
	})
	kubectl(t, "patch", "secret", "session", inSystem, "-p", `{"stringData":{"password":"r0tated"}}`)
	established(t, nodes+1)

	for neighbour, before := range others {
		if now := upSince(t)[neighbour]; now < before {
			t.Errorf("the session with %s was reset: up for %v, and before for %v", neighbour, now, before)
		}
	}
	for _, shown := range []string{"bgppeers", "events"} {
		if out := kubectl(t, "get", shown, inSystem, "-o", "json"); strings.Contains(out, "s3cret") || strings.Contains(out, "r0tated") {
			t.Errorf("%s show a password", shown)
		}
	}
}

// TestRouteWithoutItsCommunityIsNotSent: nor by another advertisement of the same prefix.
func TestRouteWithoutItsCommunityIsNotSent(t *testing.T) {
	apply(t, bgp(73))
	apply(t, service("guarded", "pool73", ""))
	address := addresses(t, "guarded", 1)[0]
	announcedBy(t, address, nodes)
	apply(t, object("v1beta1", "BGPAdvertisement", "guard73", `{ipAddressPools: [pool73], communities: [e2e-guard], localPref: 100}`))
	becomes(t, "bgpadvertisement", "guard73", "ReferencesResolved", `False CommunityNotFound spec.communities[0]: no Community defines the alias "e2e-guard"`)
	announcedBy(t, address, 0)
	apply(t, object("v1beta1", "Community", "guard73", `{communities: [{name: e2e-guard, value: "64500:73"}]}`))
	announcedBy(t, address, nodes)
	got, err := communitiesOf(address)
	if err != nil || !slices.Contains(got, "64500:73") {
		t.Errorf("communities %v, %v", got, err)
	}
	waitFor(t, "Ready", "bgpadvertisement/guard73")
}

// TestPeersThatMeetLater: labels of a Node bring two peers together that could not have been written so.
func TestPeersThatMeetLater(t *testing.T) {
	apply(t, bgp(74))
	waitFor(t, "Ready", "bgppeer/peer74")
	apply(t, object("v1beta2", "BGPPeer", "stranger", `{myASN: 64999, peerASN: 64501, peerAddress: 192.0.2.74, nodeSelectors: [{matchLabels: {e2e: meet}}]}`))
	becomes(t, "bgppeer", "stranger", "Ready", "True NoNodeSelected")
	kubectl(t, "label", "node", "node2", "e2e=meet")
	t.Cleanup(func() { kubectl(t, "label", "node", "node2", "e2e-") })
	const held = `BGPPeer "stranger" has no session on node node2, where the older BGPPeer "peer74`
	becomes(t, "bgppeer", "stranger", "Ready", "False ConflictingPeers "+held)
	if got := eventOf(t, "metallb-system", "stranger", "conflictingPeers"); strings.Count(got, "\n") != 0 || !strings.Contains(got, held) {
		t.Errorf("events: %s", got)
	}
	if got, err := condition("bgppeer", "peer74", "Ready"); err != nil || !strings.HasPrefix(got, "True") {
		t.Errorf("the older one: %q, %v", got, err)
	}
	kubectl(t, "label", "node", "node2", "e2e-")
	becomes(t, "bgppeer", "stranger", "Ready", "True")
}

// TestPoolThatCoversANodeAddress is accepted, for Nodes come and go, and says so.
func TestPoolThatCoversANodeAddress(t *testing.T) {
	addresses := kubectl(t, "get", "node", "node1", "-o", `jsonpath={.status.addresses[?(@.type=="InternalIP")].address}`)
	address, _, _ := strings.Cut(addresses, " ") // the other is IPv6
	manifest := object("v1beta1", "IPAddressPool", "covering", fmt.Sprintf(`{addresses: ["203.0.113.48/32", "%s/32"], autoAssign: false}`, address))
	said := fmt.Sprintf(`spec.addresses[1]: "%s/32" covers %s, the address of Node node1`, address, address)
	if out, err := tryKubectl(manifest, "create", "--dry-run=server", "-f", "-"); err != nil || !strings.Contains(out, "Warning: "+said) {
		t.Errorf("dry run: %v, %s", err, out)
	}
	apply(t, manifest)
	becomes(t, "ipaddresspool", "covering", "Ready", "False CoversNodeAddress "+said)
	kubectl(t, "patch", "ipaddresspool", "covering", inSystem, "--type=merge", "-p", `{"spec":{"addresses":["203.0.113.48/32"]}}`)
	becomes(t, "ipaddresspool", "covering", "Ready", "True")
}
