package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// endpointOn makes the lab's Pod of a node an endpoint of the Services that select label, or ends that.
func endpointOn(t *testing.T, node, label string, here bool) {
	t.Helper()
	change := label + "-"
	if here {
		change = label + "=here"
	}
	kubectl(t, "label", "--overwrite", "pod", "web-"+node, change)
}

// selecting has a manifest's Service select label instead of all Pods.
func selecting(manifest, label string) string {
	return strings.Replace(manifest, "selector: {app: web}", "selector: {"+label+": here}", 1)
}

// TestLocalServicesFollowTheirEndpointsWithTheCentreAway: the node itself knows where they are, by kube-proxy's
// healthCheckNodePort. A layer-2 address moves to the standby that has one, and back; routes go and come.
func TestLocalServicesFollowTheirEndpointsWithTheCentreAway(t *testing.T) {
	const label = "e2e-local"
	pair := []string{"node1", "node2"}
	for _, node := range pair {
		endpointOn(t, node, label, true)
		t.Cleanup(func() { endpointOn(t, node, label, false) })
	}
	apply(t, bgp(65))
	apply(t, layer2(160))
	apply(t, selecting(service("local-routed", "pool65", local), label))
	apply(t, selecting(service("local-lan", "lan160", local), label))
	routed, lan := addresses(t, "local-routed", 1)[0], addresses(t, "local-lan", 1)[0]
	announcedBy(t, routed, len(pair))
	established(t, 2*nodes)
	reachable(t, routed)
	reachable(t, lan)
	owner, _ := ownerOf(t, lan)
	other := pair[1-slices.Index(pair, owner)]
	eventually(t, "a standby", func() error {
		out, err := tryKubectl("", "get", "servicel2statuses", "-n", "metallb-system", "-l", "metallb.io/service-name=local-lan",
			"-o", "jsonpath={.items[*].status.addresses[*].standbys[*]}")
		if err == nil && out != other {
			err = fmt.Errorf("%q stands by, want %s", out, other)
		}
		return err
	})

	lab(t, "kill", "apiserver/1")
	away := true
	back := func() {
		if away {
			lab(t, "start", "apiserver/1")
			away = false
		}
		obeying(t)
	}
	t.Cleanup(back)
	follows := func(node string) {
		t.Helper()
		mac := strings.TrimSpace(in(t, node, "cat", "/sys/class/net/eth1/address"))
		eventually(t, node+" answers for "+lan, func() error {
			got, err := arp(lan)
			if err == nil && got != mac {
				err = fmt.Errorf("%s answers, not %s of %s", got, mac, node)
			}
			return err
		})
		hops := announcedBy(t, routed, 1)
		if want := "192.168.222.1" + strings.TrimPrefix(node, "node"); hops[0] != want {
			t.Errorf("the router forwards to %v, want %s of %s", hops, want, node)
		}
		eventually(t, node+" answers for "+routed, func() error { // the router's kernel has the route a moment after its daemon
			body, err := fetch(routed)
			if err == nil && !strings.Contains(body, node) {
				err = fmt.Errorf("%q answers", body)
			}
			return err
		})
	}
	endpointOn(t, owner, label, false)
	follows(other)
	endpointOn(t, owner, label, true)
	announcedBy(t, routed, len(pair))
	endpointOn(t, other, label, false)
	follows(owner)

	back()
	follows(owner)
	endpointOn(t, other, label, true)
	announcedBy(t, routed, len(pair))
}
