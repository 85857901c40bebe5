package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The router as three peers: outside takes routes over eBGP, inside over iBGP.
const routesPeers = `
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {namespace: metallb-system, name: outside}
spec: {peerAddress: 192.168.222.1, peerASN: 64501, myASN: 64500}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {namespace: metallb-system, name: inside}
spec: {peerAddress: 172.30.0.1, peerASN: 64501, myASN: 64500, localASN: 64501}
---`

// twoPeers makes the router take both, with a pool of its own for the test.
func twoPeers(t *testing.T, n int) {
	t.Helper()
	noNeighbours(t)
	configureRouter(t, "no bgp listen range 172.30.0.0/24 peer-group inside", "neighbor inside peer-group", "neighbor inside remote-as internal",
		"neighbor inside timers 3 9", "bgp listen range 172.30.0.0/24 peer-group inside",
		"address-family ipv4 unicast", "neighbor inside activate", "neighbor inside soft-reconfiguration inbound")
	apply(t, object("v1beta1", "IPAddressPool", "routes", fmt.Sprintf(`{addresses: [198.51.%d.0/24]}`, n)))
	kubectl(t, "label", "ipaddresspool", "-n", "metallb-system", "routes", "routes=yes")
	apply(t, routesPeers)
	established(t, 2*nodes)
}

// advertise writes the BGPAdvertisement of a name.
func advertise(t *testing.T, name, spec string) {
	t.Helper()
	apply(t, object("v1beta1", "BGPAdvertisement", name, spec))
}

// way is what the router knows of a prefix from one neighbour.
type way struct {
	Path, Communities, Large string
	MED, LocalPref           int64 // -1: none
}

// ways returns what the router knows of a prefix, by neighbour.
func ways(prefix string) (map[string]way, error) {
	out, err := tryIn("router", "vtysh", "-c", "show bgp ipv4 unicast "+prefix+" json")
	if err != nil {
		return nil, err
	}
	var rib struct {
		Paths []struct {
			Peer                      struct{ PeerID string }
			ASPath                    struct{ String string }
			Community, LargeCommunity struct{ String string }
			Metric, LocPrf            *int64
		}
	}
	if err := json.Unmarshal([]byte(out), &rib); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	number := func(n *int64) int64 {
		if n == nil {
			return -1
		}
		return *n
	}
	known := map[string]way{}
	for _, p := range rib.Paths {
		known[p.Peer.PeerID] = way{Path: p.ASPath.String, Communities: p.Community.String, Large: p.LargeCommunity.String, MED: number(p.Metric), LocalPref: number(p.LocPrf)}
	}
	return known, nil
}

// routed waits until the router knows a prefix exactly so, from the nodes named by their numbers over eBGP and iBGP.
func routed(t *testing.T, prefix string, outside, inside way, by ...int) {
	t.Helper()
	want := map[string]way{}
	for _, n := range by {
		if outside != (way{}) {
			want[fmt.Sprintf("192.168.222.1%d", n)] = outside
		}
		if inside != (way{}) {
			want[fmt.Sprintf("172.30.0.1%d", n)] = inside
		}
	}
	eventually(t, "the router's ways to "+prefix, func() error {
		got, err := ways(prefix)
		if err == nil && !maps.Equal(got, want) {
			err = fmt.Errorf("-want +got:\n%s", cmp.Diff(want, got))
		}
		return err
	})
}

// silent says which neighbours have sent UPDATEs since before, of those that begin with a prefix of address.
func silent(t *testing.T, before map[string]int, neighbours string) {
	t.Helper()
	for address, n := range updates(t) {
		if strings.HasPrefix(address, neighbours) && n != before[address] {
			t.Errorf("%s sent %d UPDATEs, which the change does not concern", address, n-before[address])
		}
	}
}

func TestAdvertisementAttributesReachEachPeerAsWritten(t *testing.T) {
	twoPeers(t, 51)
	apply(t, object("v1beta1", "Community", "routes", `{communities: [{name: ours, value: "5:6"}, {name: quiet, value: NO_ADVERTISE}, {name: wide, value: "large:7:8:9"}]}`))
	advertise(t, "routes", `{ipAddressPools: [routes], med: 50, asPathPrepend: 2, localPref: 250, communities: [no-export, "1234:1", "large:1:2:3", ours, quiet, wide]}`)
	apply(t, service("routes", "routes", ""))
	prefix := addresses(t, "routes", 1)[0] + "/32"
	outside := way{Path: "64500 64500 64500", Communities: "5:6 1234:1 no-export no-advertise", Large: "1:2:3 7:8:9", MED: 50, LocalPref: -1}
	inside := way{Path: "Local", Communities: outside.Communities, Large: outside.Large, MED: 50, LocalPref: 250}
	routed(t, prefix, outside, inside, 1, 2, 3)

	// A second advertisement adds to the first, for the peers that it names alone.
	before := updates(t)
	advertise(t, "more", `{ipAddressPools: [routes], peers: [outside], med: 50, asPathPrepend: 2, localPref: 250, communities: ["9:9", "1234:1"]}`)
	both := outside
	both.Communities = "5:6 9:9 1234:1 no-export no-advertise"
	routed(t, prefix, both, inside, 1, 2, 3)
	silent(t, before, "172.30.")
	for field, value := range map[string]string{"med": "60", "asPathPrepend": "1", "localPref": "240"} {
		out, err := tryKubectl("", "patch", "bgpadvertisement", "more", inSystem, "--type=merge", "-p", `{"spec":{"`+field+`":`+value+`}}`)
		if err == nil || !strings.Contains(err.Error()+out, `BGPAdvertisement "routes"`) {
			t.Errorf("%s that contradicts the other advertisement: %s, %v", field, out, err)
		}
	}
	kubectl(t, "delete", "bgpadvertisement", "more", inSystem)
	routed(t, prefix, outside, inside, 1, 2, 3)
	silent(t, before, "172.30.")

	// 0 is a MED, nothing is none; the greatest number of each field.
	advertise(t, "routes", `{ipAddressPools: [routes], med: 0}`)
	routed(t, prefix, way{Path: "64500", MED: 0, LocalPref: -1}, way{Path: "Local", MED: 0, LocalPref: 100}, 1, 2, 3)
	advertise(t, "routes", `{ipAddressPools: [routes]}`)
	routed(t, prefix, way{Path: "64500", MED: -1, LocalPref: -1}, way{Path: "Local", MED: -1, LocalPref: 100}, 1, 2, 3)
	advertise(t, "routes", `{ipAddressPools: [routes], med: 4294967295, asPathPrepend: 10, localPref: 4294967295}`)
	routed(t, prefix, way{Path: strings.TrimSpace(strings.Repeat("64500 ", 11)), MED: 4294967295, LocalPref: -1},
		way{Path: "Local", MED: 4294967295, LocalPref: 4294967295}, 1, 2, 3)
}

func TestAdvertisementSelectorsFollowLabels(t *testing.T) {
	twoPeers(t, 52)
	advertise(t, "routes", `{ipAddressPoolSelectors: [{matchLabels: {routes: "yes"}}], serviceSelectors: [{matchLabels: {routes: "yes"}}],
		nodeSelectors: [{matchLabels: {routes: "yes"}}]}`)
	apply(t, service("routes", "routes", ""))
	apply(t, service("unselected", "routes", ""))
	prefix, other := addresses(t, "routes", 1)[0]+"/32", addresses(t, "unselected", 1)[0]+"/32"
	outside, inside := way{Path: "64500", MED: -1, LocalPref: -1}, way{Path: "Local", MED: -1, LocalPref: 100}
	t.Cleanup(func() { kubectl(t, "label", "nodes", "--all", "routes-") })

	kubectl(t, "label", "node", "node1", "routes=yes")
	kubectl(t, "label", "service", "routes", "routes=yes")
	routed(t, prefix, outside, inside, 1)
	before := updates(t)
	kubectl(t, "label", "node", "node2", "routes=yes")
	routed(t, prefix, outside, inside, 1, 2)
	kubectl(t, "label", "node", "node2", "routes-")
	routed(t, prefix, outside, inside, 1)
	for _, unconcerned := range []string{"192.168.222.11", "172.30.0.11", "192.168.222.13", "172.30.0.13"} {
		silent(t, before, unconcerned)
	}
	kubectl(t, "label", "ipaddresspool", inSystem, "routes", "routes=no", "--overwrite")
	routed(t, prefix, outside, inside)
	kubectl(t, "label", "ipaddresspool", inSystem, "routes", "routes=yes", "--overwrite")
	routed(t, prefix, outside, inside, 1)
	kubectl(t, "label", "service", "routes", "routes-")
	routed(t, prefix, outside, inside)
	kubectl(t, "label", "service", "unselected", "routes=yes")
	routed(t, other, outside, inside, 1)
	kubectl(t, "delete", "bgpadvertisement", "routes", inSystem)
	routed(t, other, outside, inside)
}

func TestAChangedAdvertisementIsSentToWhomItConcerns(t *testing.T) {
	twoPeers(t, 53)
	const count = 50
	advertise(t, "out", `{ipAddressPools: [routes], peers: [outside], serviceSelectors: [{matchExpressions: [{key: special, operator: DoesNotExist}]}]}`)
	advertise(t, "in", `{ipAddressPools: [routes], peers: [inside]}`)
	advertise(t, "special", `{ipAddressPools: [routes], peers: [outside], serviceSelectors: [{matchLabels: {special: "yes"}}]}`)
	var all []string
	for i := range count {
		all = append(all, service(fmt.Sprintf("routes%d", i), "routes", ""))
	}
	apply(t, strings.Join(all, "\n"))
	special := addresses(t, "routes0", 1)[0] + "/32"
	kubectl(t, "label", "service", "routes0", "special=yes")
	outside, inside := way{Path: "64500", MED: -1, LocalPref: -1}, way{Path: "Local", MED: -1, LocalPref: 100}
	accepted(t, map[string]int{"192.168.222.": count, "172.30.": count})

	before := updates(t)
	advertise(t, "special", `{ipAddressPools: [routes], peers: [outside], serviceSelectors: [{matchLabels: {special: "yes"}}], communities: ["1:1"]}`)
	changed := outside
	changed.Communities = "1:1"
	routed(t, special, changed, inside, 1, 2, 3)
	silent(t, before, "172.30.")
	for address, n := range updates(t) {
		if strings.HasPrefix(address, "192.168.222.") && n != before[address]+1 {
			t.Errorf("%s sent %d UPDATEs for one changed route", address, n-before[address])
		}
	}

	// A peer comes and goes among 50 routes: the others hear nothing of it.
	before = updates(t)
	apply(t, object("v1beta2", "BGPPeer", "third", `{peerAddress: "fd00:222::1", peerASN: 64501, myASN: 64500, dualStackAddressFamily: true}`))
	advertise(t, "third", `{ipAddressPools: [routes], peers: [third]}`)
	accepted(t, map[string]int{"192.168.222.": count, "172.30.": count, "fd00:": count})
	kubectl(t, "delete", "bgppeer", "third", inSystem)
	established(t, 2*nodes)
	if diff := cmp.Diff(before, updates(t)); diff != "" {
		t.Errorf("UPDATEs by neighbour, -before +after a third peer:\n%s", diff)
	}
}

// accepted waits until each session with an address that begins so carries that many IPv4 prefixes.
func accepted(t *testing.T, want map[string]int) {
	t.Helper()
	eventually(t, "prefixes by session", func() error {
		out, err := tryIn("router", "vtysh", "-c", "show bgp ipv4 unicast summary json")
		if err != nil {
			return err
		}
		var summary struct {
			Peers map[string]struct {
				State  string
				PfxRcd int
			}
		}
		if err := json.Unmarshal([]byte(out), &summary); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		for _, start := range slices.Sorted(maps.Keys(want)) {
			n := 0
			for address, p := range summary.Peers {
				if strings.HasPrefix(address, start) && p.State == "Established" && p.PfxRcd == want[start] {
					n++
				}
			}
			if n != nodes {
				return fmt.Errorf("%d of %d sessions from %s carry %d prefixes: %v", n, nodes, start, want[start], summary.Peers)
			}
		}
		return nil
	})
}

// TestTheGuardIsNotInTheWay of whoever changes what is announced: a pool grows, shrinks, gets another name.
func TestTheGuardIsNotInTheWay(t *testing.T) {
	from := map[string]int{}
	for i := range nodes {
		part := fmt.Sprintf("speaker/node%d", i+1)
		_, end, err := logged(part, 0)
		if err != nil {
			t.Fatal(err)
		}
		from[part] = end
	}
	twoPeers(t, 54)
	advertise(t, "routes", `{ipAddressPoolSelectors: [{matchLabels: {routes: "yes"}}]}`)
	var all []string
	for i := range 4 {
		all = append(all, service(fmt.Sprintf("routes%d", i), "routes", ""))
	}
	apply(t, strings.Join(all, "\n"))
	both := func(n int) map[string]int { return map[string]int{"192.168.222.": n, "172.30.": n} }
	accepted(t, both(4))
	spec := func(addresses string) {
		kubectl(t, "patch", "ipaddresspool", "routes", inSystem, "--type=merge", "-p", `{"spec":{"addresses":["`+addresses+`"]}}`)
	}
	spec("198.51.54.0-198.51.54.1")
	accepted(t, both(2))
	spec("198.51.54.0/23")
	accepted(t, both(4))
	apply(t, object("v1beta1", "IPAddressPool", "second", `{addresses: [198.51.56.0/24]}`))
	kubectl(t, "label", "ipaddresspool", inSystem, "second", "routes=yes")
	apply(t, service("another", "second", ""))
	accepted(t, both(5))
	advertise(t, "routes", `{ipAddressPoolSelectors: [{matchLabels: {routes: "yes"}}], aggregationLength: 24}`)
	accepted(t, both(2))
	advertise(t, "routes", `{ipAddressPoolSelectors: [{matchLabels: {routes: "yes"}}]}`)
	accepted(t, both(5))

	// From the saved state alone, and with the centre back.
	lab(t, "kill", "apiserver/1")
	t.Cleanup(func() { _, _ = tryLab("start", "apiserver/1") }) // it may run
	lab(t, "kill", "speaker/node1")
	lab(t, "start", "speaker/node1")
	accepted(t, both(5))
	lab(t, "start", "apiserver/1")
	apply(t, service("after", "second", ""))
	accepted(t, both(6))
	for part, from := range from {
		lines, _, err := logged(part, from)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if text := fmt.Sprint(l); strings.Contains(text, "guard") && strings.Contains(text, "198.51.5") {
				t.Errorf("%s: %v", part, l)
			}
		}
	}
}
