package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const inSystem = "-nmetallb-system"

func TestBFDProfileInUseCannotBeDeleted(t *testing.T) {
	profile := object("v1beta1", "BFDProfile", "fast", `{receiveInterval: 50, transmitInterval: 60, detectMultiplier: 5, passiveMode: true}`)
	peer := object("v1beta2", "BGPPeer", "guarded", `{myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.1, bfdProfile: fast, nodeSelectors: [{matchLabels: {no: node}}]}`)
	out, err := tryKubectl(peer, "create", "-f", "-")
	if err != nil || !strings.Contains(out, `Warning: spec.bfdProfile: BFDProfile "fast" does not exist (yet)`) {
		t.Errorf("create of a peer whose profile is missing: %v, %s", err, out)
	}
	t.Cleanup(func() {
		kubectl(t, "delete", "bgppeer", inSystem, "guarded", "--ignore-not-found")
		kubectl(t, "delete", "bfdprofile", inSystem, "fast", "--ignore-not-found")
	})
	if out, err := tryKubectl(profile, "create", "-f", "-"); err != nil || strings.Contains(out, "Warning") {
		t.Errorf("create of a profile: %v, %s", err, out)
	}

	table := kubectl(t, "get", "bfdp", inSystem, "fast")
	for _, want := range []string{"PASSIVE MODE", "TRANSMIT INTERVAL", "RECEIVE INTERVAL", "MULTIPLIER", "true", "60", "50", "5"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in:\n%s", want, table)
		}
	}
	if out := kubectl(t, "get", "ingot", inSystem, "-o", "name"); !strings.Contains(out, "bfdprofile.metallb.io/fast") {
		t.Errorf("get ingot: %s", out)
	}
	for _, remove := range [][]string{{"fast"}, {"--all"}, {"fast", "--dry-run=server"}, {"fast", "--cascade=foreground"}} {
		out, err := tryKubectl("", append([]string{"delete", "bfdprofile", inSystem}, remove...)...)
		if err == nil || !strings.Contains(out, "failed to delete BFDProfile fast, used by BGPPeer guarded") {
			t.Errorf("delete %v of a profile in use: %v, %s", remove, err, out)
		}
	}
	kubectl(t, "delete", "bgppeer", inSystem, "guarded")
	kubectl(t, "delete", "bfdprofile", inSystem, "fast")
}

// TestCommunityAliasTakesEffectWhenItAppears: until then what would be announced without it is not announced.
func TestCommunityAliasTakesEffectWhenItAppears(t *testing.T) {
	manifests := strings.Replace(bgp(31), `"65535:65282"`, `e2e-alias, e2e-large`, 1)
	out, err := tryKubectl(manifests, "apply", "-f", "-")
	t.Cleanup(func() {
		if _, err := tryKubectl(manifests, "delete", "--ignore-not-found", "-f", "-"); err != nil {
			t.Error(err)
		}
		kubectl(t, "delete", "community", inSystem, "e2e", "--ignore-not-found")
	})
	if err != nil || !strings.Contains(out, `Warning: spec.communities[0]: no Community defines the alias "e2e-alias" (yet)`) {
		t.Errorf("apply before the Community: %v, %s", err, out)
	}
	apply(t, service("aliased", "pool31", ""))
	address := addresses(t, "aliased", 1)[0]
	always(t, "nothing is announced without its communities", 3*time.Second, func() error {
		hops, err := nextHops(address)
		if err == nil && len(hops) != 0 {
			err = fmt.Errorf("announced by %v", hops)
		}
		return err
	})

	define := func(value string) {
		t.Helper()
		manifest := object("v1beta1", "Community", "e2e", fmt.Sprintf(`{communities: [{name: e2e-alias, value: %q}, {name: e2e-large, value: "large:64500:1:2"}]}`, value))
		if _, err := tryKubectl(manifest, "apply", "-f", "-"); err != nil {
			t.Fatal(err)
		}
	}
	carries := func(want ...string) {
		t.Helper()
		eventually(t, fmt.Sprintf("communities %v", want), func() error {
			got, err := communitiesOf(address)
			if err != nil {
				return err
			}
			if !slices.Equal(got, want) {
				return fmt.Errorf("the router has %v", got)
			}
			return nil
		})
	}
	define("64500:7")
	announcedBy(t, address, nodes)
	carries("64500:7", "64500:1:2")
	if table := kubectl(t, "get", "communities", inSystem); !strings.Contains(table, "AGE") {
		t.Errorf("columns: %s", table)
	}
	twice := object("v1beta1", "Community", "other", `{communities: [{name: e2e-alias, value: "64500:9"}]}`)
	if out, err := tryKubectl(twice, "create", "-f", "-"); err == nil || !strings.Contains(out, `duplicate definition of community "e2e-alias"`) || !strings.Contains(out, `Community "e2e"`) {
		t.Errorf("an alias that another object defines: %v, %s", err, out)
	}

	define("64500:8")
	carries("64500:8", "64500:1:2")

	kubectl(t, "delete", "community", inSystem, "e2e")
	announcedBy(t, address, 0)
}

// communitiesOf are those of the router's best path, standard ones first.
func communitiesOf(address string) ([]string, error) {
	out, err := tryIn("router", "vtysh", "-c", "show bgp ipv4 unicast "+address+" json")
	if err != nil {
		return nil, err
	}
	type communities struct{ String string }
	var rib struct {
		Paths []struct {
			Community, LargeCommunity communities
		}
	}
	if err := json.Unmarshal([]byte(out), &rib); err != nil {
		return nil, fmt.Errorf("show bgp %s: %w: %s", address, err, out)
	}
	if len(rib.Paths) == 0 {
		return nil, fmt.Errorf("no path to %s", address)
	}
	path := rib.Paths[0]
	return append(strings.Fields(path.Community.String), strings.Fields(path.LargeCommunity.String)...), nil
}

// TestOldPeersKeepWhatTheyCannotSay goes through v1beta1 in every way that kubectl has.
func TestOldPeersKeepWhatTheyCannotSay(t *testing.T) {
	const before = "bgppeers.v1beta1.metallb.io"
	const deprecated = "Warning: v1beta1 is deprecated, please use v1beta2"
	apply(t, object("v1beta2", "BGPPeer", "old", `{myASN: 64500, dynamicASN: external, peerAddress: 192.0.2.1, vrf: red, connectTime: 10s, passwordSecret: {name: bgp}, nodeSelectors: [{matchLabels: {no: node}}]}`))
	stays := func(what, myASN string) {
		t.Helper()
		const path = "jsonpath={.spec.myASN} {.spec.dynamicASN} {.spec.vrf} {.spec.connectTime} {.spec.passwordSecret.name} {.spec.holdTime}."
		if got, want := kubectl(t, "get", "bgppeers", inSystem, "old", "-o", path), myASN+" external red 10s bgp ."; got != want {
			t.Errorf("%s: v1beta2 has %q, want %q", what, got, want)
		}
	}
	through := func(stdin string, args ...string) string {
		t.Helper()
		out, err := tryKubectl(stdin, args...)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out, deprecated) {
			t.Errorf("%v: no %q in %s", args, deprecated, out)
		}
		return strings.ReplaceAll(out, deprecated+"\n", "")
	}
	if out := kubectl(t, "get", "bgpp", inSystem); strings.Contains(out, "Warning") || !strings.Contains(out, "192.0.2.1") {
		t.Errorf("the preferred version: %s", out)
	}

	eventually(t, "read, modify, write", func() error { // the apiserver writes the status meanwhile, once
		read := through("", "get", before, inSystem, "old", "-o", "json")
		out, err := tryKubectl(strings.Replace(read, `"myASN": 64500`, `"myASN": 64600`, 1), "replace", "-f", "-")
		switch {
		case err != nil && strings.Contains(out, "the object has been modified"):
			return err
		case err != nil || !strings.Contains(out, deprecated):
			t.Fatalf("replace: %v, %s", err, out)
		}
		return nil
	})
	stays("read, modify, write", "64600")

	through("", "patch", before, inSystem, "old", "--type=merge", "-p", `{"spec":{"myASN":64601}}`)
	stays("patch", "64601")

	// The file that somebody has had since v1beta1. MetalLB wrote timers that are not set as 0s.
	file := func(myASN int) string {
		return object("v1beta1", "BGPPeer", "old", fmt.Sprintf(`{myASN: %d, peerASN: 0, peerAddress: 192.0.2.1, holdTime: 0s, keepaliveTime: 0s, nodeSelectors: [{matchLabels: {no: node}}]}`, myASN))
	}
	through(file(64602), "replace", "-f", "-")
	stays("replace from a file", "64602")
	through(file(64603), "apply", "-f", "-")
	stays("apply", "64603")
	if out := through(file(64603), "apply", "-f", "-"); !strings.Contains(out, "unchanged") {
		t.Errorf("the same again: %s", out)
	}
	through(file(64604), "apply", "--server-side", "--force-conflicts", "-f", "-")
	stays("server-side apply", "64604")
}
