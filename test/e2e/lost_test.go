package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// giveUp says that the store of a lineage is given up.
func giveUp(t *testing.T, lineage string) {
	t.Helper()
	kubectl(t, "annotate", "--overwrite", "configmap", "-n", "metallb-system", "ingot-lineage", "ingot.io/give-up-lineage="+lineage)
}

// stored is what the group has, in YAML, without what a restoration may change.
func stored(t *testing.T) string {
	t.Helper()
	out := kubectl(t, "get", "-n", "metallb-system", "-o", "yaml",
		"ipaddresspools,addresspools,bgppeers,bgpadvertisements,l2advertisements,bfdprofiles,communities,ipreservations,ipallocations")
	return regexp.MustCompile(`(?m)^ *resourceVersion: .*\n`).ReplaceAllString(out, "")
}

// announcements are those of one address by BGP and one by layer 2, as the router and the client see them.
type announcements struct {
	routed, lan, owner string
	updates            map[string]int
}

func (a announcements) check() error {
	if hops, err := nextHops(a.routed); err != nil || len(hops) != nodes {
		return fmt.Errorf("the router has %v for %s (%v)", hops, a.routed, err)
	}
	if mac, err := arp(a.lan); err != nil || mac != a.owner {
		return fmt.Errorf("%q answers for %s, not %s (%v)", mac, a.lan, a.owner, err)
	}
	return nil
}

// lose takes the apiserver's store away, starts it, and returns when it has said what is wrong.
func lose(t *testing.T) (started <-chan error, said string) {
	t.Helper()
	lab(t, "kill", "apiserver/1")
	if err := os.RemoveAll(filepath.Join(labDir, "apiserver-1")); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ended := make(chan struct{})
	go func() { _, err := tryLab("start", "apiserver/1"); done <- err; close(ended) }()
	t.Cleanup(func() {
		if t.Failed() { // the tests after this one want a store
			_, _ = tryKubectl("", "annotate", "--overwrite", "configmap", "-n", "metallb-system", "ingot-lineage", "ingot.io/restore=ingot-export")
		}
		<-ended
	})
	eventually(t, "the refusal on /readyz", func() error {
		var err error
		said, err = tryIn("control", "curl", "-sS", "--max-time", "3", "http://172.30.0.2:7472/readyz")
		if err == nil && !strings.Contains(said, "[-]lineage failed: there is no store, but this cluster has had one") {
			err = fmt.Errorf("it says %s", said)
		}
		return err
	})
	return done, said
}

// exported waits until the Secret has the store as it is now.
func exported(t *testing.T) {
	t.Helper()
	now := float64(time.Now().Unix()) + 1
	eventually(t, "an export of the store", func() error {
		out, err := tryIn("control", "curl", "-sS", "--max-time", "3", "http://172.30.0.2:7472/metrics")
		if err != nil {
			return err
		}
		var current float64
		_, rest, _ := strings.Cut(out, "\ningot_export_current_timestamp_seconds ")
		if _, err := fmt.Sscan(rest, &current); err != nil || current < now {
			return fmt.Errorf("current at %f, %v; it is %f", current, err, now)
		}
		return nil
	})
}

// TestLostStoreIsRestored: an apiserver on an empty directory serves nothing and says why and what to do; speakers go on.
// Restored from an export, the group is what it was, to the uid and the age, and not one UPDATE was sent.
func TestLostStoreIsRestored(t *testing.T) {
	routed, lan := settled(t, 60)
	a := announcements{routed: routed, lan: lan, owner: answering(t, lan), updates: updates(t)}
	obeying(t)
	held, err := speakerState("node1")
	if err != nil {
		t.Fatal(err)
	}
	atRest(t)
	before := stored(t)
	file := filepath.Join(t.TempDir(), "export.yaml")
	in(t, "control", filepath.Join(bin, "apiserver"), "export", "--to-file="+file)
	exported(t)

	started, said := lose(t)
	for _, names := range []string{held.Lineage, filepath.Join(labDir, "apiserver-1"), "ingot.io/restore=ingot-export", "ingot.io/give-up-lineage=" + held.Lineage} {
		if !strings.Contains(said, names) {
			t.Errorf("the refusal does not name %q: %s", names, said)
		}
	}
	eventually(t, "an event", func() error {
		out, err := tryKubectl("", "get", "events", "-n", "metallb-system", "--field-selector=reason=StoreRefused,involvedObject.name=ingot-lineage", "-o", "name")
		if err == nil && out == "" {
			err = fmt.Errorf("there is none")
		}
		return err
	})
	if out, err := tryKubectl("", "get", "ipaddresspools", "-n", "metallb-system", "--request-timeout=5s"); err == nil {
		t.Errorf("without a store the API answers %s", out)
	}
	if out, err := tryIn("control", filepath.Join(bin, "apiserver"), "export"); err == nil {
		t.Errorf("there is no store, and export prints %s", out)
	}
	always(t, "announcements without a store", 3*time.Second, a.check)

	kubectl(t, "annotate", "configmap", "-n", "metallb-system", "ingot-lineage", "ingot.io/restore=ingot-export")
	if err := <-started; err != nil {
		t.Fatalf("start after the restoration: %v", err)
	}
	obeying(t)
	if diff := cmp.Diff(before, stored(t)); diff != "" {
		t.Errorf("the group, -before +after:\n%s", diff)
	}
	always(t, "announcements after the restoration", 4*time.Second, a.check)
	if diff := cmp.Diff(a.updates, updates(t)); diff != "" {
		t.Errorf("BGP UPDATEs by neighbour, -before +after:\n%s", diff)
	}
	if now, err := speakerState("node1"); err != nil || now.Lineage != held.Lineage || now.Refusing != "" {
		t.Errorf("node1: %+v, %v", now, err)
	}

	// What is restored works: the allocator goes on from it, and there is no second restoration.
	apply(t, service("after60", "pool60", ""))
	if got := addresses(t, "after60", 1)[0]; got == routed {
		t.Errorf("the new Service got %s, which another has", got)
	}
	if out, err := tryIn("control", filepath.Join(bin, "apiserver"), "restore", "--from-file="+file); err == nil || !strings.Contains(err.Error(), "there is a store already") {
		t.Errorf("a second restoration: %v, %s", err, out)
	}
}
