package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// configurationState waits until the state of a component has that result and its summary says so, and returns it.
func configurationState(t *testing.T, name, result, says string) (summary string) {
	t.Helper()
	eventually(t, name+" "+result, func() error {
		out, err := tryKubectl("", "get", "configurationstate", name, inSystem, "-o", "jsonpath={.status.result} {.status.errorSummary}")
		if err != nil {
			return err
		}
		if !strings.HasPrefix(out, result+" ") || !strings.Contains(out, says) {
			return fmt.Errorf("it is %s", out)
		}
		summary = strings.TrimPrefix(out, result+" ")
		return nil
	})
	return summary
}

// storeRevision is the revision of the apiserver's etcd: that of a list which it has read just now.
func storeRevision(t *testing.T) string {
	t.Helper()
	var list struct {
		Metadata struct{ ResourceVersion string }
	}
	if err := json.Unmarshal([]byte(kubectl(t, "get", "--raw", "/apis/metallb.io/v1beta1/communities")), &list); err != nil {
		t.Fatal(err)
	}
	return list.Metadata.ResourceVersion
}

// still is for how long the store is as it was when nothing is left to be written: conditions of an object and counters of a pool
// are written once a second at most.
const still = 3 * time.Second

// atRest waits until nothing is left to be written about what there is, and returns the revision of the store then: the conditions
// of objects and the counters of pools come a moment after what they are about.
func atRest(t *testing.T) (revision string) {
	t.Helper()
	var since time.Time
	eventually(t, "the store coming to rest", func() error {
		if now := storeRevision(t); now != revision {
			revision, since = now, time.Now()
		}
		if err := told(); err != nil {
			return err
		}
		if rest := time.Since(since); rest < still {
			return fmt.Errorf("at revision %s for %s", revision, rest)
		}
		return nil
	})
	return revision
}

// told is nil if the conditions of all objects, and the counters of all pools, are about them as they are.
func told() error {
	out, err := tryKubectl("", "get", inSystem, "ipaddresspools,l2advertisements,bgpadvertisements,bgppeers,bfdprofiles,communities,ipallocations", "-o", "json")
	if err != nil {
		return err
	}
	var list struct {
		Items []struct {
			Kind     string
			Metadata struct {
				Name       string
				Generation int64
			}
			Spec   struct{ Pool string }
			Status struct {
				AssignedIPv4, AssignedIPv6 int64
				Conditions                 []struct {
					Type               string
					ObservedGeneration int64
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	assigned, counted := map[string]int64{}, map[string]int64{}
	for _, o := range list.Items {
		if o.Kind == "IPAllocation" {
			assigned[o.Spec.Pool]++
			continue
		}
		if o.Kind == "IPAddressPool" {
			counted[o.Metadata.Name] = o.Status.AssignedIPv4 + o.Status.AssignedIPv6
		}
		ready := false
		for _, c := range o.Status.Conditions {
			ready = ready || c.Type == "Ready" && c.ObservedGeneration == o.Metadata.Generation
		}
		if !ready {
			return fmt.Errorf("%s %s has no condition Ready yet", o.Kind, o.Metadata.Name)
		}
	}
	for pool, n := range counted {
		if n != assigned[pool] {
			return fmt.Errorf("IPAddressPool %s counts %d addresses of %d", pool, n, assigned[pool])
		}
	}
	return nil
}

// costsNothing does something that must cost the store nothing, and so leave it at its revision. What somebody else writes at that
// moment is no cost of it, which there would be each time.
func costsNothing(t *testing.T, what string, do func()) {
	t.Helper()
	atRest(t)
	const times = 3
	var went []string
	for range times {
		before := storeRevision(t)
		do()
		after := storeRevision(t)
		if after == before {
			return
		}
		went = append(went, before+" to "+after)
	}
	t.Errorf("%s: etcd went from revision %s", what, strings.Join(went, ", and from "))
}

// TestConfigurationStateFollowsTheSpeakers, at no cost to etcd.
func TestConfigurationStateFollowsTheSpeakers(t *testing.T) {
	for i := range nodes {
		configurationState(t, fmt.Sprintf("speaker-node%d", i+1), "Valid", "")
	}
	configurationState(t, "controller", "Valid", "")
	t.Cleanup(func() {
		if t.Failed() {
			_, _ = tryLab("start", "speaker/node1") // it may run
		}
	})
	costsNothing(t, "a speaker that comes and goes", func() {
		lab(t, "kill", "speaker/node1")
		killed := time.Now()
		configurationState(t, "speaker-node1", "Unknown", "has not been connected to this replica of the apiserver since ")
		t.Logf("Unknown after %s", time.Since(killed).Round(time.Millisecond))
		lab(t, "start", "speaker/node1")
		configurationState(t, "speaker-node1", "Valid", "")
	})
	if out := kubectl(t, "get", "configurationstates", inSystem); !strings.Contains(out, "NAME") || !strings.Contains(strings.Join(strings.Fields(out), " "), "RESULT ERRORSUMMARY AGE") {
		t.Errorf("table: %s", out)
	}
	if out := kubectl(t, "get", "configurationstates", inSystem, "-l", "metallb.io/node-name=node2", "-o", "name"); out != "configurationstate.metallb.io/speaker-node2\n" {
		t.Errorf("by label: %s", out)
	}
	kubectl(t, "wait", "--for=jsonpath={.status.result}=Valid", "configurationstate/speaker-node1", inSystem, "--timeout=30s")
	if out, err := tryKubectl("", "delete", "configurationstate", "controller", inSystem); err == nil || !strings.Contains(out, "MethodNotAllowed") {
		t.Errorf("delete: %v, %s", err, out)
	}
	if out := kubectl(t, "explain", "configurationstate.status.result"); !strings.Contains(out, "refused") {
		t.Errorf("explain: %s", out)
	}
}

// TestConfigurationStateSaysWhatANodeCannotDo, and shows no secret.
func TestConfigurationStateSaysWhatANodeCannotDo(t *testing.T) {
	apply(t, object("v1beta2", "BGPPeer", "unnumbered", `{myASN: 64500, peerASN: 64501, interface: nothing0, sourceAddress: 192.0.2.1, password: s3cr3t}`))
	summary := configurationState(t, "speaker-node2", "Invalid", "configuration error: BGPPeer unnumbered: source address 192.0.2.1: ")
	if strings.Contains(summary, "s3cr3t") {
		t.Errorf("it shows the password: %s", summary)
	}
	if out := kubectl(t, "get", "configurationstate", "speaker-node2", inSystem, "-o", `jsonpath={.status.conditions[?(@.type=="configReconcilerValid")].reason}`); out != "ConfigurationError" {
		t.Errorf("reason %s", out)
	}
	kubectl(t, "delete", "bgppeer", "unnumbered", inSystem)
	configurationState(t, "speaker-node2", "Valid", "")
}

// TestConfigurationStateOfTheController goes by its Lease.
func TestConfigurationStateOfTheController(t *testing.T) {
	configurationState(t, "controller", "Valid", "")
	t.Cleanup(func() { lab(t, "start", "controller"); configurationState(t, "controller", "Valid", "") })
	lab(t, "kill", "controller")
	configurationState(t, "controller", "Unknown", "has not been renewed since ")
}

// TestNamespaceIsDeletedBesideLiveKinds: whoever deletes what a namespace holds leaves alone what cannot be deleted.
func TestNamespaceIsDeletedBesideLiveKinds(t *testing.T) {
	kubectl(t, "create", "namespace", "passing")
	kubectl(t, "delete", "namespace", "passing", "--timeout="+long.String())
}
