package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// neighbour is what FRR knows of one session.
type neighbour struct {
	State string `json:"bgpState"`
	Since int64  `json:"bgpTimerUpEstablishedEpoch"`
	Hold  int    `json:"bgpTimerHoldTimeMsecs"`
}

// same says whether two sessions are one: FRR works out since when it is up, in whole seconds, each time that it is asked.
func (n neighbour) same(o neighbour) bool { return n.Since-o.Since <= 1 && o.Since-n.Since <= 1 }

// upWith waits until the router has a session with a neighbour, other than the one that was.
func upWith(t *testing.T, address string, was neighbour) neighbour {
	t.Helper()
	var n neighbour
	eventually(t, "session with "+address, func() error {
		out, err := tryIn("router", "vtysh", "-c", "show bgp neighbors "+address+" json")
		if err != nil {
			return err
		}
		var all map[string]neighbour
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		if n = all[address]; n.State != "Established" || n.same(was) {
			return fmt.Errorf("FRR has %+v; was %+v", n, was)
		}
		return nil
	})
	return n
}

// configureRouter enters lines in the router's BGP section, and others when the test ends.
func configureRouter(t *testing.T, undo string, lines ...string) {
	t.Helper()
	enter := func(lines ...string) (string, error) {
		args := []string{"vtysh", "-c", "configure terminal", "-c", "router bgp 64501"}
		for _, l := range lines {
			args = append(args, "-c", l)
		}
		return tryIn("router", args...)
	}
	if out, err := enter(lines...); err != nil || strings.Contains(out, "%") {
		t.Fatal(err, out)
	}
	if undo != "" {
		t.Cleanup(func() {
			if out, err := enter(undo); err != nil {
				t.Error(err, out)
			}
		})
	}
}

const onNode1 = `nodeSelectors: [{matchLabels: {e2e-peer: here}}]`

// labelNode1 makes onNode1 mean what it says.
func labelNode1(t *testing.T) {
	t.Helper()
	kubectl(t, "label", "node", "node1", "e2e-peer=here")
	t.Cleanup(func() { kubectl(t, "label", "node", "node1", "e2e-peer-") })
}

// TestARotatedSecretResetsItsSessionAlone, and what means nothing on the wire resets nothing.
func TestARotatedSecretResetsItsSessionAlone(t *testing.T) {
	noNeighbours(t)
	labelNode1(t)
	const node4, node6 = "192.168.222.11", "fd00:222::11"
	secret := func(password string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {namespace: metallb-system, name: rotated}\ntype: kubernetes.io/basic-auth\nstringData: {password: %s}\n", password)
	}
	configureRouter(t, "no neighbor "+node4,
		"neighbor "+node4+" remote-as 64500", "neighbor "+node4+" timers 3 9", "neighbor "+node4+" passive", "neighbor "+node4+" password old",
		"address-family ipv4 unicast", "neighbor "+node4+" activate")
	apply(t, secret("old"))
	apply(t, object("v1beta2", "BGPPeer", "rotated", `{myASN: 64500, peerASN: 64501, peerAddress: 192.168.222.1, passwordSecret: {name: rotated}, `+onNode1+`}`))
	apply(t, object("v1beta2", "BGPPeer", "other", `{myASN: 64500, peerASN: 64501, peerAddress: "fd00:222::1", `+onNode1+`}`))
	before, other := upWith(t, node4, neighbour{}), upWith(t, node6, neighbour{})

	eventually(t, "an age of the session by which the router, which counts in seconds, can tell it from the next", func() error {
		if age := time.Now().Unix() - before.Since; age < 3 {
			return fmt.Errorf("it is %d s old", age)
		}
		return nil
	})
	configureRouter(t, "", "neighbor "+node4+" password new")
	apply(t, secret("new"))
	rotated := upWith(t, node4, before)
	if now := upWith(t, node6, neighbour{}); !now.same(other) {
		t.Errorf("the other session is up since %d, it was since %d", now.Since, other.Since)
	}

	// Defaults written out, another connect time, and more nodes: their sessions tell that it has come down.
	kubectl(t, "patch", "bgppeer", "other", inSystem, "--type=merge", "-p", `{"spec":{"peerPort":179,"holdTime":"90s","keepaliveTime":"30s","connectTime":"7s","nodeSelectors":null}}`)
	upWith(t, "fd00:222::12", neighbour{})
	upWith(t, "fd00:222::13", neighbour{})
	for address, was := range map[string]neighbour{node4: rotated, node6: other} {
		if now := upWith(t, address, neighbour{}); !now.same(was) {
			t.Errorf("the session with %s is up since %d, it was since %d", address, now.Since, was.Since)
		}
	}
}

// TestAnUnnumberedPeer carries both families over link-local addresses.
func TestAnUnnumberedPeer(t *testing.T) {
	labelNode1(t)
	device := strings.Fields(in(t, "router", "ip", "-o", "addr", "show", "to", "192.168.222.1"))[1]
	configureRouter(t, "no neighbor "+device+" interface remote-as external",
		"neighbor "+device+" interface remote-as external", "neighbor "+device+" timers connect 1",
		"address-family ipv4 unicast", "neighbor "+device+" activate", "exit-address-family", "address-family ipv6 unicast", "neighbor "+device+" activate")
	apply(t, object("v1beta1", "IPAddressPool", "unnumbered", `{addresses: [198.51.90.0/28, "2001:db8:90::/124"]}`))
	apply(t, object("v1beta2", "BGPPeer", "unnumbered", `{myASN: 64500, dynamicASN: external, interface: eth1, `+onNode1+`}`))
	apply(t, object("v1beta1", "BGPAdvertisement", "unnumbered", `{ipAddressPools: [unnumbered], peers: [unnumbered]}`))
	apply(t, service("unnumbered", "unnumbered", dualStack))

	for _, address := range addresses(t, "unnumbered", 2) {
		announcedBy(t, address, 1)
		family := "-4"
		if strings.Contains(address, ":") {
			family = "-6"
		}
		eventually(t, "route to "+address, func() error {
			out, err := tryIn("router", "ip", family, "route", "show", address)
			if err == nil && !(strings.Contains(out, "via inet6 fe80::") || strings.Contains(out, "via fe80::")) {
				err = fmt.Errorf("the router's kernel has %q", out)
			}
			return err
		})
		reachable(t, address)
	}
}

// TestAPeerWithoutHoldTimeIsWarnedOf and has the router's.
func TestAPeerWithoutHoldTimeIsWarnedOf(t *testing.T) {
	noNeighbours(t)
	labelNode1(t)
	manifest := object("v1beta2", "BGPPeer", "patient", `{myASN: 64500, peerASN: 64501, peerAddress: 192.168.222.1, holdTime: 0s, keepaliveTime: 0s, `+onNode1+`}`)
	out, err := tryKubectl(manifest, "apply", "--dry-run=server", "-f", "-")
	if err != nil || !strings.Contains(out, "Warning: spec.holdTime: a hold time of 0 cannot be sent: 65535s is") {
		t.Errorf("kubectl says %s, %v", out, err)
	}
	apply(t, manifest)
	if n := upWith(t, "192.168.222.11", neighbour{}); n.Hold != 9000 {
		t.Errorf("the hold time in force is %d ms, want the router's 9000", n.Hold)
	}
}
