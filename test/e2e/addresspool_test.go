package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// As the OpenShift documentation has them.
const (
	legacyLayer2 = `
apiVersion: metallb.io/v1alpha1
kind: AddressPool
metadata:
  namespace: metallb-system
  name: doc-example
spec:
  protocol: layer2
  addresses:
  - 203.0.113.1-203.0.113.10
  - 203.0.113.65-203.0.113.75
`
	legacyBGP = `
apiVersion: metallb.io/v1beta1
kind: AddressPool
metadata:
  name: doc-example-bgp-adv
  namespace: metallb-system
spec:
  protocol: bgp
  addresses:
    - 203.0.113.200/30
    - fc00:f853:ccd:e799::/124
  bgpAdvertisements:
  - communities:
    - 65535:65282
    aggregationLength: 32
    localPref: 100
  - communities:
    - 8000:800
    aggregationLength: 30
    aggregationLengthV6: 124
`
)

// asks is a Service in front of the lab's pods that asks for a pool as the documentation does.
func asks(name, pool string) string {
	return strings.Replace(service(name, pool, ""), "metallb.io/address-pool", "metallb.universe.tf/address-pool", 1)
}

// TestLayer2AddressPool: what the documentation shows, and the way from an AddressPool to an IPAddressPool.
func TestLayer2AddressPool(t *testing.T) {
	out, err := tryKubectl(legacyLayer2, "apply", "-f", "-")
	t.Cleanup(func() { kubectl(t, "delete", "addresspool", inSystem, "doc-example", "--ignore-not-found") })
	want := `Warning: metallb.io/v1alpha1 AddressPool is deprecated; use IPAddressPool "doc-example" and L2Advertisement "doc-example" {ipAddressPools: [doc-example]}`
	if err != nil || !strings.Contains(out, want) {
		t.Fatalf("apply: %v, %s; want %s", err, out, want)
	}
	apply(t, asks("legacy-lan", "doc-example"))
	address := addresses(t, "legacy-lan", 1)[0]
	if address != "203.0.113.1" {
		t.Errorf("the Service got %s, want the first address of the pool", address)
	}
	answering(t, address)

	table := kubectl(t, "get", "addresspools", inSystem)
	if header := strings.Fields(strings.SplitN(table[strings.Index(table, "NAME"):], "\n", 2)[0]); strings.Join(header, " ") != "NAME AGE" {
		t.Errorf("columns %v:\n%s", header, table)
	}
	described := kubectl(t, "describe", inSystem, "addresspool", "doc-example")
	at := 0
	for _, line := range []string{"Name:", "doc-example", "Namespace:", "metallb-system", "Labels:", "<none>", "Kind:", "AddressPool",
		"Spec:", "Addresses:", "203.0.113.1-203.0.113.10", "203.0.113.65-203.0.113.75", "Auto Assign:", "true", "Protocol:", "layer2", "Events:"} {
		found := strings.Index(described[at:], line)
		if found < 0 {
			t.Fatalf("no %q after %q in:\n%s", line, described[:at], described)
		}
		at += found + len(line)
	}
	explained := kubectl(t, "explain", "--recursive", "addresspools.spec")
	for _, field := range []string{"protocol", "addresses", "autoAssign", "bgpAdvertisements", "aggregationLength", "aggregationLengthV6", "communities", "localPref"} {
		if !strings.Contains(explained, field+"\t") {
			t.Errorf("kubectl explain has no %s:\n%s", field, explained)
		}
	}

	// The same range in today's kinds: first the advertisement, then the pool in the place of the old one.
	const successor = `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {namespace: metallb-system, name: doc-example}
spec: {addresses: [203.0.113.1-203.0.113.10, 203.0.113.65-203.0.113.75]}
`
	if out, err := tryKubectl(successor, "create", "-f", "-"); err == nil || !strings.Contains(out, `AddressPool "doc-example" has this name`) {
		t.Errorf("an IPAddressPool beside the AddressPool: %v, %s", err, out)
	}
	apply(t, object("v1beta1", "L2Advertisement", "doc-example", `{ipAddressPools: [doc-example]}`))
	mac := answering(t, address)
	swap(t, resource("v1beta1", "addresspools"), "doc-example", resource("v1beta1", "ipaddresspools"), successor)
	eventually(t, "the pool to count the address", func() error {
		counted, err := tryKubectl("", "get", "ipaddresspool", inSystem, "doc-example", "-o", "jsonpath={.status.assignedIPv4}")
		if err == nil && counted != "1" {
			err = fmt.Errorf("it counts %q", counted)
		}
		return err
	})
	if got := addresses(t, "legacy-lan", 1)[0]; got != address {
		t.Errorf("the Service moved to %s", got)
	}
	if now := answering(t, address); now != mac {
		t.Errorf("%s answers instead of %s", now, mac)
	}
}

// TestBGPAddressPool: the routes of the documentation's custom advertisement arrive at the router, over iBGP, for the
// local preference goes to peers of our own system only.
func TestBGPAddressPool(t *testing.T) {
	const node1 = "192.168.222.11"
	router := func(lines ...string) {
		t.Helper()
		args := []string{"vtysh", "-c", "configure terminal", "-c", "router bgp 64501"}
		for _, line := range lines {
			args = append(args, "-c", line)
		}
		in(t, "router", args...)
	}
	noNeighbours(t)
	router("neighbor "+node1+" remote-as 64501", "neighbor "+node1+" passive", "address-family ipv4 unicast", "neighbor "+node1+" activate")
	t.Cleanup(func() { router("no neighbor " + node1) })
	apply(t, object("v1beta2", "BGPPeer", "ibgp",
		fmt.Sprintf(`{myASN: 64501, peerASN: 64501, peerAddress: %s, nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node1}}]}`, routerV4)))
	apply(t, legacyBGP)
	apply(t, asks("legacy-bgp", "doc-example-bgp-adv"))
	address := addresses(t, "legacy-bgp", 1)[0]
	if address != "203.0.113.200" {
		t.Errorf("the Service got %s, want the first address of the pool", address)
	}

	expect := func(prefix, community string, localPref int) {
		t.Helper()
		eventually(t, prefix, func() error {
			out, err := tryIn("router", "vtysh", "-c", "show bgp ipv4 unicast "+prefix+" json")
			if err != nil {
				return err
			}
			var rib struct {
				Paths []struct {
					LocPrf    int
					Community struct{ String string }
				}
			}
			if err := json.Unmarshal([]byte(out), &rib); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			if len(rib.Paths) != 1 || rib.Paths[0].Community.String != community || localPref != 0 && rib.Paths[0].LocPrf != localPref {
				return fmt.Errorf("want community %s and local preference %d: %s", community, localPref, out)
			}
			return nil
		})
	}
	expect("203.0.113.200/32", "no-advertise", 100)
	expect("203.0.113.200/30", "8000:800", 0)

	// Through the other version; 100 is what routers assume where they are told nothing.
	kubectl(t, "patch", "addresspools.v1alpha1.metallb.io", inSystem, "doc-example-bgp-adv", "--type=json",
		"-p", `[{"op":"replace","path":"/spec/bgpAdvertisements/0/localPref","value":150}]`)
	expect("203.0.113.200/32", "no-advertise", 150)
	kubectl(t, "patch", "addresspool", inSystem, "doc-example-bgp-adv", "--type=merge", "-p", `{"spec":{"bgpAdvertisements":null}}`)
	announcedBy(t, "203.0.113.200/30", 0)
	announcedBy(t, "203.0.113.200/32", 1)
	reachable(t, address)
}
