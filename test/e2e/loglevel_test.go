package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// talkers are the parts whose logs follow the MetalLB object, and where each says what its level is.
var talkers = map[string]struct{ place, metrics string }{
	"apiserver/1":   {"control", "http://172.30.0.2:7472/metrics"},
	"controller":    {"control", "http://127.0.0.1:7480/metrics"},
	"webhooks":      {"control", "http://127.0.0.1:7481/metrics"},
	"speaker/node1": {"node1", "http://127.0.0.1:7472/metrics"},
	"speaker/node3": {"node3", "http://127.0.0.1:7472/metrics"},
}

// TestLogLevelFollowsTheMetalLBObject up and down through all levels and without a restart, in every program, while a BGP
// session and a BFD session stay what they are; a speaker whose centre is away remembers it, and takes a request for a limited
// time; nothing that is secret is written at any level.
func TestLogLevelFollowsTheMetalLBObject(t *testing.T) {
	const secret = "planted-in-the-log"
	noNeighbours(t)
	routerBFD(t)
	apply(t, bfdProfile(patient))
	apply(t, bfdBGPPeer(`, bfdProfile: watch`))
	apply(t, object("v1beta2", "BGPPeer", "nobody", `{myASN: 64500, peerASN: 64501, peerAddress: 192.168.222.99, password: `+secret+`, `+bfdOnNode1+`}`))
	watched(t, "node1", "up", isUp)
	session := upWith(t, node1V4, neighbour{})
	first, err := bfdOf(node1V4, "")
	if err != nil {
		t.Fatal(err)
	}
	before := map[string]string{}
	status, err := cluster.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range status.Parts {
		before[p.Name] = fmt.Sprint(p.PIDs)
	}

	t.Cleanup(func() { kubectl(t, "delete", "metallb", "--all", inSystem) })
	if _, err := tryKubectl(theMetalLB, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	marks := map[string]int{}
	for _, step := range []struct{ level, has, hasNot string }{
		{"debug", "debug", ""},
		{"all", "debug", ""},
		{"warn", "", "debug info"},
		{"none", "", "debug info warn error"},
		{"all", "debug", ""},
		{"error", "", "debug info warn"},
		{"info", "", "debug"},
		{"", "", "debug"},
	} {
		patch := `{"spec":{"logLevel":null}}`
		inForce := `ingot_log_level{by="--log-level",level="info"} 1`
		if step.level != "" {
			patch = `{"spec":{"logLevel":"` + step.level + `"}}`
			inForce = `ingot_log_level{by="MetalLB object",level="` + step.level + `"} 1`
		}
		kubectl(t, "patch", "metallb", "metallb", inSystem, "--type=merge", "-p", patch)
		for part, at := range talkers {
			eventually(t, part+" at "+step.level, func() error {
				if out, err := tryIn(at.place, "curl", "-sS", at.metrics); err != nil || !strings.Contains(out, inForce) {
					return errors.Join(fmt.Errorf("no %s", inForce), err)
				}
				return nil
			})
			content, err := os.ReadFile(filepath.Join(labDir, "log", part+".log"))
			if err != nil {
				t.Fatal(err)
			}
			marks[part] = strings.LastIndexByte(string(content), '\n') + 1
		}
		provoke(t)
		for part := range talkers {
			if part == "speaker/node3" { // has nothing to do
				continue
			}
			check := func() error {
				lines, _, err := logged(part, marks[part])
				if err != nil {
					t.Fatal(err)
				}
				seen := map[string]bool{}
				for _, line := range lines {
					seen[fmt.Sprint(line["level"])] = true
				}
				for _, level := range strings.Fields(step.hasNot) {
					if seen[level] {
						t.Errorf("%s at %s writes at %s", part, step.level, level)
					}
				}
				for _, level := range strings.Fields(step.has) {
					if !seen[level] {
						return fmt.Errorf("%d lines, none at %s", len(lines), level)
					}
				}
				return nil
			}
			eventually(t, part+" at "+step.level, check)
		}
	}

	t.Run("speaker alone", func(t *testing.T) { levelOfASpeakerAlone(t) })

	if now := upWith(t, node1V4, neighbour{}); !now.same(session) {
		t.Errorf("the BGP session is another one: %+v, was %+v", now, session)
	}
	counters, err := bfdOf(node1V4, " counters")
	now, err2 := bfdOf(node1V4, "")
	if err := errors.Join(err, err2); err != nil || now.ID != first.ID || now.RemoteID != first.RemoteID || counters.SessionDown != 0 {
		t.Errorf("BFD: %+v, was %+v, counters %+v: %v", now, first, counters, err)
	}
	if status, err = cluster.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range status.Parts {
		if pids := fmt.Sprint(p.PIDs); pids != before[p.Name] && p.Name != "apiserver/1" {
			t.Errorf("%s: processes %s, were %s", p.Name, pids, before[p.Name])
		}
	}
	for part := range talkers {
		content, err := os.ReadFile(filepath.Join(labDir, "log", part+".log"))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), secret) {
			t.Errorf("%s wrote a password", part)
		}
	}
}

// provoke has every program do something that it has debugging lines about.
func provoke(t *testing.T) {
	t.Helper()
	const name = "talk"
	pool := object("v1beta1", "IPAddressPool", name, `{addresses: [198.51.77.7/32], autoAssign: false}`)
	advertisement := object("v1beta1", "BGPAdvertisement", name, `{ipAddressPools: [talk]}`)
	for _, step := range [][]string{{"apply", "-f", "-"}, {"delete", "--wait", "-f", "-"}} {
		if _, err := tryKubectl(pool+"\n---\n"+advertisement+"\n---\n"+service(name, name, ""), step...); err != nil {
			t.Fatal(err)
		}
		if step[0] == "apply" {
			addresses(t, name, 1)
			announcedBy(t, "198.51.77.7/32", 1)
		}
	}
}

// levelOfASpeakerAlone: what the object said stays while the centre is away; a request goes before it, and says which level will
// return; the object's change is obeyed when the centre is back.
func levelOfASpeakerAlone(t *testing.T) {
	say := func(level string) {
		kubectl(t, "patch", "metallb", "metallb", inSystem, "--type=merge", "-p", `{"spec":{"logLevel":"`+level+`"}}`)
	}
	shows := func(want string) {
		t.Helper()
		eventually(t, "level "+want, func() error {
			out, err := tryIn("node1", filepath.Join(bin, "speaker"), "--grpc-socket=/run/ingot/node1/speaker.sock", "show", "state")
			if err != nil || !strings.Contains(out, want) {
				return errors.Join(fmt.Errorf("no %q in %s", want, out), err)
			}
			return nil
		})
	}
	say("debug")
	shows("debug (MetalLB object)")
	lab(t, "kill", "apiserver/1")
	t.Cleanup(func() {
		if _, err := tryLab("start", "apiserver/1"); err != nil && !strings.Contains(err.Error(), "runs already") {
			t.Error(err)
		}
	})
	shows("debug (MetalLB object)")
	request := func(duration string) {
		t.Helper()
		out := in(t, "node1", filepath.Join(bin, "grpcurl"), "-plaintext", "-unix", "-d", `{"level":"warn","duration":"`+duration+`"}`,
			"/run/ingot/node1/speaker.sock", "ingot.v1.SpeakerService/SetLogLevel")
		var answer struct{ Previous string }
		if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.Previous != "debug" {
			t.Errorf("previous level %q: %v", answer.Previous, err)
		}
	}
	request("600s")
	shows("warn (request")
	request("1s") // instead of the other
	shows("debug (MetalLB object)")
	lab(t, "start", "apiserver/1")
	eventually(t, "the aggregated API", func() error {
		_, err := tryKubectl("", "get", "metallb", inSystem)
		return err
	})
	say("info")
	shows("info (MetalLB object)")
}
