package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// eventOf waits for an event about an object and returns what wrote it, "TYPE COMPONENT MESSAGE". The same said again, as by a
// controller that began another term, counts once.
func eventOf(t *testing.T, namespace, name, reason string) string {
	t.Helper()
	var event string
	eventually(t, "event "+reason+" about "+name, func() error {
		out, err := tryKubectl("", "get", "events", "-n", namespace, "--field-selector", "reason="+reason+",involvedObject.name="+name,
			"-o", `jsonpath={range .items[*]}{.type} {.source.component} {.message}{"\n"}{end}`)
		if err != nil {
			return err
		}
		if out == "" {
			return fmt.Errorf("none")
		}
		event = strings.Join(slices.Compact(strings.Split(strings.TrimSpace(out), "\n")), "\n")
		return nil
	})
	return event
}

// versions are the resource versions of the default namespace's Services: they tell of every write.
func versions(t *testing.T) string {
	t.Helper()
	return kubectl(t, "get", "services", "-o", `jsonpath={range .items[*]}{.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`)
}

func TestExhaustedPoolServesWhoWaitsOnceAnAddressIsFreed(t *testing.T) {
	apply(t, `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {namespace: metallb-system, name: small}
spec:
  addresses: [198.51.60.7-198.51.60.8]
`)
	for _, name := range []string{"small1", "small2", "small3"} {
		apply(t, service(name, "small", ""))
		if name != "small3" {
			addresses(t, name, 1)
		}
	}
	want := `Warning metallb-controller Failed to allocate IP for "default/small3": no available IPs in pool small: of its 2 IPv4 addresses 2 in use, most by namespaces default (2)`
	if diff := cmp.Diff(want, eventOf(t, "default", "small3", "AllocationFailed")); diff != "" {
		t.Errorf("event, -want +got:\n%s", diff)
	}

	// A controller that starts anew takes over what there is: nothing moves, nothing is written.
	before := versions(t)
	lab(t, "kill", "controller")
	lab(t, "start", "controller")
	kubectl(t, "annotate", "service", "small3", "e2e=poke") // once this is dealt with, so is everything before
	apply(t, service("probe", "", "  loadBalancerIP: 203.0.113.1"))
	eventOf(t, "default", "probe", "AllocationFailed")
	unpoked := func(versions string) (lines []string) {
		for line := range strings.Lines(versions) {
			if !strings.HasPrefix(line, "small3") && !strings.HasPrefix(line, "probe") {
				lines = append(lines, line)
			}
		}
		return lines
	}
	if diff := cmp.Diff(unpoked(before), unpoked(versions(t))); diff != "" {
		t.Errorf("resource versions of settled Services, -before +after the controller's restart:\n%s", diff)
	}

	kubectl(t, "delete", "service", "small1")
	if got := addresses(t, "small3", 1)[0]; got != "198.51.60.7" {
		t.Errorf("who waited got %s, want the freed 198.51.60.7", got)
	}
}

func TestAggregateStaysUntilItsLastServiceGoes(t *testing.T) {
	apply(t, bgp(61))
	// An aggregate must not reach beyond the pool, so the pool gets all of it first.
	kubectl(t, "patch", "ipaddresspool", "pool61", "-n", "metallb-system", "--type=merge", "-p",
		`{"spec":{"addresses":["198.51.61.0/24","2001:db8:61::/64"]}}`)
	kubectl(t, "patch", "bgpadvertisement", "advertisement61", "-n", "metallb-system", "--type=merge", "-p",
		`{"spec":{"aggregationLength":24,"aggregationLengthV6":64,"communities":["65001:100","large:64500:1:2"]}}`)
	apply(t, service("part1", "pool61", dualStack))
	apply(t, service("part2", "pool61", dualStack))
	addresses(t, "part1", 2)
	addresses(t, "part2", 2)
	prefixes := []string{"198.51.61.0/24", "2001:db8:61::/64"}
	for _, prefix := range prefixes {
		announcedBy(t, prefix, nodes)
	}
	var route struct {
		Paths []struct {
			Community      struct{ String string }
			LargeCommunity struct{ String string }
		}
	}
	out := in(t, "router", "vtysh", "-c", "show bgp ipv4 unicast "+prefixes[0]+" json")
	if err := json.Unmarshal([]byte(out), &route); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, p := range route.Paths {
		if p.Community.String != "65001:100" || p.LargeCommunity.String != "64500:1:2" {
			t.Errorf("communities %q and %q, want 65001:100 and 64500:1:2", p.Community.String, p.LargeCommunity.String)
		}
	}

	established(t, 2*nodes)
	before := updates(t)
	kubectl(t, "delete", "service", "part1")
	apply(t, service("part3", "pool61", "")) // planned after the deletion: once it is known, so is that
	addresses(t, "part3", 1)
	eventOf(t, "default", "part3", "nodeAssigned")
	if diff := cmp.Diff(before, updates(t)); diff != "" {
		t.Errorf("BGP UPDATEs that the router received, -before +after the aggregate changed its Services:\n%s", diff)
	}
	kubectl(t, "delete", "service", "part2", "part3")
	for _, prefix := range prefixes {
		announcedBy(t, prefix, 0)
	}
}

func TestWhatCannotBeAnnouncedIsSaid(t *testing.T) {
	apply(t, layer2(220))
	kubectl(t, "patch", "l2advertisement", "lan220", "-n", "metallb-system", "--type=merge", "-p", `{"spec":{"interfaces":["nope"]}}`)
	apply(t, service("nowhere", "lan220", ""))
	address := addresses(t, "nowhere", 1)[0]
	got := eventOf(t, "default", "nowhere", "announceFailed")
	if want := fmt.Sprintf("Warning metallb-speaker the interfaces specified by LB IP %q doesn't exist in assigned node ", address); !strings.HasPrefix(got, want) {
		t.Errorf("event %q, want %q", got, want)
	}
	if mac, err := arp(address); err == nil {
		t.Errorf("%s answers for %s, which no interface is for", mac, address)
	}
	kubectl(t, "patch", "l2advertisement", "lan220", "-n", "metallb-system", "--type=merge", "-p", `{"spec":{"interfaces":["eth1"]}}`)
	answering(t, address)

	apply(t, bgp(62))
	apply(t, service("secretive", "pool62", ""))
	routed := addresses(t, "secretive", 1)[0]
	announcedBy(t, routed, nodes)
	kubectl(t, "patch", "bgppeer", "peer62", "-n", "metallb-system", "--type=merge", "-p", `{"spec":{"passwordSecret":{"name":"absent"}}}`)
	announcedBy(t, routed, 0) // never with an empty password
	want := `Warning metallb-speaker passwordSecret: Secret "absent" does not exist in the system namespace`
	if diff := cmp.Diff(want, eventOf(t, "metallb-system", "peer62", "invalidPassword")); diff != "" {
		t.Errorf("event, -want +got:\n%s", diff)
	}
	kubectl(t, "patch", "bgppeer", "peer62", "-n", "metallb-system", "--type=merge", "-p", `{"spec":{"passwordSecret":null}}`)
	announcedBy(t, routed, nodes)
}
