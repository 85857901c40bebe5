package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// allocated lists the IPAllocations that selectors select, as "address=namespace/service[,…]", one a line.
func allocated(t testing.TB, selectors ...string) string {
	t.Helper()
	out, err := tryAllocated(selectors...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryAllocated(selectors ...string) (string, error) {
	return tryKubectl("", append([]string{"get", "ipallocations", "-n", "metallb-system", "-o",
		`jsonpath={range .items[*]}{.spec.address}={range .spec.services[*]}{.namespace}/{.name},{end}{"\n"}{end}`}, selectors...)...)
}

func TestAllocationsSayWhoHoldsWhat(t *testing.T) {
	apply(t, object("v1beta1", "IPAddressPool", "ledger", `{addresses: [198.51.61.0/28, "2001:db8:61::/124"]}`))
	apply(t, service("ledger1", "ledger", ""))
	shared := func(name string, port int) string {
		return fmt.Sprintf(`{apiVersion: v1, kind: Service, metadata: {name: %s, annotations: {metallb.io/address-pool: ledger, metallb.io/allow-shared-ip: k}},
			spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: %d}]}}`+"\n---\n", name, port)
	}
	one := addresses(t, "ledger1", 1)[0]
	apply(t, shared("ledger2", 81)+shared("ledger3", 82))
	two := addresses(t, "ledger2", 1)[0]
	if three := addresses(t, "ledger3", 1)[0]; three != two {
		t.Fatalf("ledger2 has %s, ledger3 %s: they are to share", two, three)
	}
	first, both := one+"=default/ledger1,\n", two+"=default/ledger2,default/ledger3,\n"
	for _, tt := range []struct {
		selectors []string
		want      string
	}{
		{[]string{"--field-selector", "pool=ledger"}, first + both},
		{[]string{"--field-selector", "pool=ledger,namespace=default,service=default/ledger3"}, both},
		{[]string{"--field-selector", "service=default/ledger1"}, first},
		{[]string{"-l", "ingot.io/pool=ledger,ingot.io/service=ledger1"}, first},
		{[]string{"--field-selector", "pool=ledger,namespace=other"}, ""},
	} {
		if diff := cmp.Diff(tt.want, allocated(t, tt.selectors...)); diff != "" {
			t.Errorf("%q, -want +got:\n%s", tt.selectors, diff)
		}
	}
	table := kubectl(t, "get", "ipa", "-n", "metallb-system", "--field-selector", "service=default/ledger2")
	if got, want := strings.Join(strings.Fields(table)[:6], " "), "NAME ADDRESS POOL SERVICES SHARED AGE"; got != want {
		t.Errorf("columns %q, want %q", got, want)
	}
	if out, err := tryKubectl("", "annotate", "ipallocation", "-n", "metallb-system", one, "a=b"); err == nil || !strings.Contains(out, "the server does not allow this method") {
		t.Errorf("an allocation was written: %v: %s", err, out)
	}

	kubectl(t, "delete", "service", "ledger1")
	eventually(t, "release of what a deleted Service had", func() error {
		out, err := tryAllocated("--field-selector", "pool=ledger")
		if err == nil && out != both {
			err = fmt.Errorf("%s", out)
		}
		return err
	})
}

// TestARecreatedServiceGetsItsAddressBack, also from a controller that has been started anew since.
func TestARecreatedServiceGetsItsAddressBack(t *testing.T) {
	apply(t, object("v1beta1", "IPAddressPool", "sticky", `{addresses: [198.51.62.0/28]}`))
	apply(t, service("sticky1", "sticky", "")+service("sticky2", "sticky", ""))
	address := map[string]string{}
	for _, name := range []string{"sticky1", "sticky2"} {
		address[name] = addresses(t, name, 1)[0]
	}
	kubectl(t, "delete", "service", "sticky1", "sticky2")
	eventually(t, "release", func() error {
		out, err := tryAllocated("--field-selector", "pool=sticky")
		if err == nil && out != "" {
			err = fmt.Errorf("%s", out)
		}
		return err
	})
	lab(t, "kill", "controller")
	lab(t, "start", "controller")
	for _, name := range []string{"sticky2", "sticky1"} {
		apply(t, service(name, "sticky", ""))
		if got := addresses(t, name, 1)[0]; got != address[name] {
			t.Errorf("%s had %s and got %s", name, address[name], got)
		}
	}
}

// TestLostLedgerIsMadeAgain: while it is not there nothing is withdrawn, and no Service is written.
func TestLostLedgerIsMadeAgain(t *testing.T) {
	routed, lan := settled(t, 130)
	owner, before := answering(t, lan), versions(t)
	sent := updates(t)
	ledger := allocated(t, "--field-selector", "namespace=default")
	stays := func() error {
		hops, err := nextHops(routed)
		if err != nil {
			return err
		}
		if len(hops) != nodes {
			return fmt.Errorf("the router has only %v", hops)
		}
		mac, err := arp(lan)
		if err == nil && mac != owner {
			err = fmt.Errorf("%s answers for %s, not %s", mac, lan, owner)
		}
		return err
	}
	etcd := func(t *testing.T, what string) {
		t.Helper()
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + filepath.Join(labDir, "apiserver-1", "run", "etcd.sock")}})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := client.Delete(t.Context(), what, clientv3.WithPrefix()); err != nil {
			t.Fatal(err)
		}
	}
	for name, lose := range map[string]func(*testing.T){
		"deleted":                 func(t *testing.T) { kubectl(t, "delete", "ipallocations", "-n", "metallb-system", "--all") },
		"gone from etcd":          func(t *testing.T) { etcd(t, "/ingot/ledger") },
		"its entries gone":        func(t *testing.T) { etcd(t, "/ingot/ledger/") },
		"gone without controller": func(t *testing.T) { lab(t, "kill", "controller"); etcd(t, "/ingot/ledger") },
		"gone, and the apiserver": func(t *testing.T) {
			etcd(t, "/ingot/ledger/")
			lab(t, "kill", "apiserver/1")
			lab(t, "start", "apiserver/1")
		},
		"deleted, and two killed": func(t *testing.T) {
			kubectl(t, "delete", "ipallocations", "-n", "metallb-system", "--all")
			lab(t, "kill", "controller")
			lab(t, "kill", "apiserver/1")
			lab(t, "start", "apiserver/1")
			lab(t, "start", "controller")
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			lose(t)
			always(t, "announcements while the ledger is lost", 4*time.Second, stays)
			if strings.Contains(name, "without") {
				lab(t, "start", "controller")
			}
			eventually(t, "the ledger as it was", func() error {
				out, err := tryAllocated("--field-selector", "namespace=default")
				if err == nil && out != ledger {
					err = fmt.Errorf("%s", cmp.Diff(ledger, out))
				}
				return err
			})
			obeying(t)
			always(t, "announcements once it is there again", 2*time.Second, stays)
		})
	}
	if diff := cmp.Diff(before, versions(t)); diff != "" {
		t.Errorf("resource versions of Services, -before +after:\n%s", diff)
	}
	if diff := cmp.Diff(sent, updates(t)); diff != "" {
		t.Errorf("BGP UPDATEs by neighbour, -before +after:\n%s", diff)
	}
}

// TestForgedStatusIsNotAnnounced: what somebody writes into a status that the controller did not give stays unannounced,
// whether or not another Service holds it.
func TestForgedStatusIsNotAnnounced(t *testing.T) {
	apply(t, bgp(140))
	apply(t, service("honest", "pool140", ""))
	honest := addresses(t, "honest", 1)[0]
	announcedBy(t, honest, nodes)
	lab(t, "kill", "controller") // which would take it away at once
	t.Cleanup(func() { lab(t, "start", "controller") })
	apply(t, service("forger", "pool140", ""))
	kubectl(t, "patch", "service", "forger", "--subresource=status", "--type=merge", "-p", `{"status":{"loadBalancer":{"ingress":[{"ip":"198.51.140.150"}]}}}`)
	const want = "Warning metallb-speaker 198.51.140.150 is allocated to nobody: the controller did not give it to the Service"
	if diff := cmp.Diff(want, eventOf(t, "default", "forger", "notAllocated")); diff != "" {
		t.Errorf("event, -want +got:\n%s", diff)
	}
	hops, err := nextHops("198.51.140.150")
	if err != nil || len(hops) != 0 {
		t.Errorf("the router has %v to a forged address, error %v", hops, err)
	}
}
