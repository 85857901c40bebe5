package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBGPServiceIsReachableInBothFamilies(t *testing.T) {
	apply(t, bgp(11))
	apply(t, service("bgp-both", "pool11", dualStack))

	got := addresses(t, "bgp-both", 2)
	if want := []string{"198.51.11.100", "2001:db8:11::200"}; got[0] != want[0] || got[1] != want[1] {
		t.Errorf("addresses %v, want the lowest free ones %v", got, want)
	}
	for _, address := range got {
		announcedBy(t, address, nodes)
		eventually(t, "ECMP route to "+address+" in the router's kernel", func() error {
			args := []string{"ip", "route", "show", address}
			if strings.Contains(address, ":") {
				args = []string{"ip", "-6", "route", "show", address}
			}
			out, err := tryIn("router", args...)
			if err != nil {
				return err
			}
			if hops := strings.Count(out, "nexthop via"); hops != nodes {
				return fmt.Errorf("%d next hops: %s", hops, out)
			}
			return nil
		})
		if body := reachable(t, address); !strings.Contains(body, "node") {
			t.Errorf("curl %s answered %q", address, body)
		}
	}
	eventually(t, "event nodeAssigned", func() error {
		out, err := tryKubectl("", "get", "events", "--field-selector", "reason=nodeAssigned,involvedObject.name=bgp-both",
			"-o", `jsonpath={range .items[*]}{.source.component} {.source.host} {.message}{"\n"}{end}`)
		if err != nil {
			return err
		}
		for i := range nodes {
			node := fmt.Sprintf("node%d", i+1)
			if want := fmt.Sprintf("metallb-speaker %s announcing from node %q with protocol \"bgp\"", node, node); !strings.Contains(out, want) {
				return fmt.Errorf("no %q in %s", want, out)
			}
		}
		return nil
	})
}

func TestLayer2ServiceIsReachable(t *testing.T) {
	apply(t, layer2(200))
	apply(t, service("lan", "lan200", ""))

	address := addresses(t, "lan", 1)[0]
	mac := answering(t, address)
	reachable(t, address)

	var owners []string
	for i := range nodes {
		node := fmt.Sprintf("node%d", i+1)
		if strings.Contains(in(t, node, "ip", "link", "show", "eth1"), mac) {
			owners = append(owners, node)
		}
	}
	if len(owners) != 1 {
		t.Errorf("%s answers for %s, which is eth1 of %v; want exactly one node", mac, address, owners)
	}
}

func TestLayer2ServiceIsReachableInBothFamiliesByOneNode(t *testing.T) {
	apply(t, object("v1beta1", "IPAddressPool", "lan6", `{addresses: [192.168.222.240/30, "fd00:222::f0/126"], avoidBuggyIPs: true}`))
	apply(t, object("v1beta1", "L2Advertisement", "lan6", `{ipAddressPools: [lan6], interfaces: [eth1]}`))
	apply(t, service("lan-both", "lan6", dualStack))

	got := addresses(t, "lan-both", 2)
	for _, address := range got {
		reachable(t, address)
	}
	mac := answering(t, got[0])
	// A question of the client's own, not what its kernel knows.
	eventually(t, "the same node answers for "+got[1], func() error {
		out, err := tryIn("client", "ndisc6", "-1", "-r", "1", "-w", "2000", got[1], "eth0")
		if err == nil && !strings.Contains(strings.ToLower(out), mac) {
			err = fmt.Errorf("%s answers for %s: %s", mac, got[0], out)
		}
		return err
	})

	kubectl(t, "delete", "service", "lan-both")
	eventually(t, "nobody answers for "+got[1], func() error {
		if out, err := tryIn("client", "ndisc6", "-1", "-r", "1", "-w", "1000", got[1], "eth0"); err == nil {
			return fmt.Errorf("answered: %s", out)
		}
		return nil
	})
}

func TestLocalTrafficPolicyAnnouncesFromNodesWithEndpoints(t *testing.T) {
	apply(t, bgp(12))
	apply(t, service("local", "pool12", local))
	address := addresses(t, "local", 1)[0]
	announcedBy(t, address, nodes)
	if body := reachable(t, address); !strings.Contains(body, clientV4) {
		t.Errorf("the pod saw %q, want the client's own address %s", body, clientV4)
	}

	before := announcedBy(t, address, nodes)
	kubectl(t, "label", "pod", "web-node2", "app=elsewhere", "--overwrite")
	t.Cleanup(func() { kubectl(t, "label", "pod", "web-node2", "app=web", "--overwrite") })
	after := announcedBy(t, address, nodes-1)
	for _, hop := range after {
		if hop == "192.168.222.12" {
			t.Errorf("node2 lost its endpoint but is among %v (before: %v)", after, before)
		}
	}
	reachable(t, address)
}

func TestDeletedServiceIsWithdrawnAndItsAddressFreed(t *testing.T) {
	apply(t, bgp(13))
	first := service("first", "pool13", "")
	apply(t, first)
	address := addresses(t, "first", 1)[0]
	announcedBy(t, address, nodes)

	kubectl(t, "delete", "service", "first")
	announcedBy(t, address, 0)

	apply(t, service("second", "pool13", ""))
	if got := addresses(t, "second", 1)[0]; got != address {
		t.Errorf("the new Service got %s, want the freed %s", got, address)
	}
	announcedBy(t, address, nodes)
}

func TestRenamedPoolIsAnnouncedWithoutAPause(t *testing.T) {
	pool := func(name string) string {
		return object("v1beta1", "IPAddressPool", name, `{addresses: [198.51.14.0/28], avoidBuggyIPs: true}`)
	}
	apply(t, bgp(15)) // for its peers
	apply(t, object("v1beta1", "BGPAdvertisement", "renamed", `{ipAddressPoolSelectors: [{matchExpressions: [{key: e2e, operator: In, values: [before, after]}]}]}`))
	apply(t, pool("before"))
	apply(t, `{apiVersion: v1, kind: Service, metadata: {name: renamed, annotations: {metallb.io/loadBalancerIPs: 198.51.14.5}},
		spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}}`)
	address := addresses(t, "renamed", 1)[0]
	announcedBy(t, address, nodes)
	established(t, 2*nodes)
	before := updates(t)

	pools := resource("v1beta1", "ipaddresspools")
	swap(t, pools, "before", pools, pool("after"))
	always(t, "announcement while a pool is renamed", 8*time.Second, func() error {
		hops, err := nextHops(address)
		if err == nil && len(hops) != nodes {
			err = fmt.Errorf("the router has only %v", hops)
		}
		return err
	})
	if got := addresses(t, "renamed", 1)[0]; got != address {
		t.Errorf("the Service moved from %s to %s", address, got)
	}
	if diff := cmp.Diff(before, updates(t)); diff != "" {
		t.Errorf("BGP UPDATEs by neighbour, -before +after the renaming:\n%s", diff)
	}

	// A pool that does not come back is withdrawn once the controller has taken the address away.
	kubectl(t, "delete", "ipaddresspool", "-n", "metallb-system", "after")
	announcedBy(t, address, 0)
}
