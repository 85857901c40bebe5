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

// TestConfigurationStateFollowsTheSpeakers, at no cost to etcd.
func TestConfigurationStateFollowsTheSpeakers(t *testing.T) {
	for i := range nodes {
		configurationState(t, fmt.Sprintf("speaker-node%d", i+1), "Valid", "")
	}
	configurationState(t, "controller", "Valid", "")
	var before string
	eventually(t, "nothing being written any more", func() error { // statuses of what tests before this one left
		last := before
		if before = storeRevision(t); before != last {
			return fmt.Errorf("revision %s", before)
		}
		return nil
	})

	t.Cleanup(func() {
		if t.Failed() {
			_, _ = tryLab("start", "speaker/node1") // it may run
		}
	})
	for range 3 {
		lab(t, "kill", "speaker/node1")
		killed := time.Now()
		configurationState(t, "speaker-node1", "Unknown", "has not been connected to this replica of the apiserver since ")
		t.Logf("Unknown after %s", time.Since(killed).Round(time.Millisecond))
		lab(t, "start", "speaker/node1")
		configurationState(t, "speaker-node1", "Valid", "")
	}
	if after := storeRevision(t); after != before {
		t.Errorf("etcd went from revision %s to %s while a speaker came and went", before, after)
	}
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
	kubectl(t, "delete", "namespace", "passing", "--timeout=60s")
}
