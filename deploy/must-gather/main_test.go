package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-lb/ingot/deploy/must-gather/archive"
)

// asKubectl makes the test's own program play kubectl, as its value says.
const asKubectl = "MUST_GATHER_TEST_KUBECTL"

func TestMain(m *testing.M) {
	switch os.Getenv(asKubectl) {
	case "":
		os.Exit(m.Run())
	case "dead":
		fmt.Fprintln(os.Stderr, "connection refused, token: hunter2hunter2")
		os.Exit(1)
	case "stuck":
		play(os.Args[1:])
	}
}

// play is a cluster with one Service a page, and three speakers: one hangs, and one has a client that says so.
func play(args []string) {
	line := strings.Join(args, " ")
	list := func(kind string, items ...string) {
		fmt.Printf(`{"kind":"%sList","apiVersion":"v1","metadata":{},"items":[%s]}`, kind, strings.Join(items, ","))
	}
	speaker := func(n int) string {
		return fmt.Sprintf(`{"metadata":{"name":"speaker-%d","labels":{"component":"speaker"}},"spec":{"nodeName":"node%[1]d","containers":[{"name":"speaker"},{"name":"frr"}]},"status":{"containerStatuses":[{"name":"frr","restartCount":1}]}}`, n)
	}
	switch {
	case strings.Contains(line, "/api/v1/services?") && !strings.Contains(line, "continue="):
		fmt.Print(`{"kind":"ServiceList","apiVersion":"v1","metadata":{"continue":"more"},"items":[{"metadata":{"namespace":"a","name":"one"},"spec":{"type":"LoadBalancer"}}]}`)
	case strings.Contains(line, "/api/v1/services?"):
		list("Service", `{"metadata":{"namespace":"a","name":"two"},"spec":{"type":"LoadBalancer"}}`, `{"metadata":{"namespace":"a","name":"inside"},"spec":{"type":"ClusterIP"}}`)
	case strings.Contains(line, "/secrets?"):
		list("Secret", `{"metadata":{"name":"s"},"data":{"password":"aHVudGVyMmh1bnRlcjI="}}`)
	case strings.Contains(line, "/namespaces/elsewhere/pods?"):
		list("Pod", speaker(1), speaker(2), speaker(3))
	case strings.Contains(line, "apiservices?"):
		list("APIService", `{"metadata":{"name":"v1beta1.metallb.io"},"spec":{"group":"metallb.io","service":{"namespace":"elsewhere"}}}`)
	case strings.Contains(line, "exec") && strings.Contains(line, "speaker-2"):
		<-time.After(time.Hour)
	case strings.Contains(line, "exec") && strings.Contains(line, "speaker-3"):
		fmt.Fprintln(os.Stderr, "rpc error: code = DeadlineExceeded desc = context deadline exceeded")
		os.Exit(1)
	case strings.Contains(line, "/apis/metallb.io"):
		fmt.Fprintln(os.Stderr, "service unavailable")
		os.Exit(1)
	case strings.Contains(line, "get --raw /api"):
		list("Thing")
	default:
		fmt.Println("answer to", line, "by hunter2hunter2")
	}
}

// gather runs the program against a kubectl that is played, and returns the tree and the entries of its index.
func gather(t *testing.T, kubectl string, args ...string) (string, []archive.Entry) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asKubectl, kubectl)
	root := filepath.Join(t.TempDir(), "out")
	if err := run(context.Background(), append([]string{"--output", root, "--kubectl", self, "--namespace", ""}, args...)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root + ".tar.gz"); err != nil {
		t.Error(err)
	}
	var index struct{ Entries []archive.Entry }
	content, err := os.ReadFile(filepath.Join(root, "index.json"))
	if err == nil {
		err = json.Unmarshal(content, &index)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), "hunter2") || strings.Contains(string(content), "aHVudGVyMmh1bnRlcjI") {
			t.Errorf("%s has the password:\n%s", path, content)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return root, index.Entries
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Error(err)
	}
	return string(content)
}

func TestADeadClusterIsNotedAndNothingIsAborted(t *testing.T) {
	_, entries := gather(t, "dead")
	failed := 0
	for _, e := range entries {
		if e.Error != "" {
			failed++
			if e.Exit != 1 || !strings.Contains(e.Error, "connection refused") {
				t.Errorf("%s: exit %d, %s", e.Command, e.Exit, e.Error)
			}
		}
	}
	if failed < 20 {
		t.Errorf("%d failures are noted, of more than 20 questions", failed)
	}
}

func TestPartsThatAreDownCostOneTimeout(t *testing.T) {
	root, entries := gather(t, "stuck", "--step-timeout", "10s")
	if all := read(t, root, "services/services.yaml"); !strings.Contains(all, "one") || !strings.Contains(all, "two") || strings.Contains(all, "inside") {
		t.Errorf("Services of type LoadBalancer of all pages:\n%s", all)
	}
	if got := read(t, root, "speakers/node1/vtysh/show-bgp-neighbor.txt"); !strings.Contains(got, "speaker-1 -c frr -- vtysh -c show bgp neighbor") {
		t.Errorf("the speaker that answers: %s", got)
	}
	if got := read(t, root, "namespaces/elsewhere/pods/speaker-1/frr/logs/previous.log"); !strings.Contains(got, "--previous") {
		t.Errorf("the previous log: %s", got)
	}
	late, unanswered, skipped, group := 0, 0, 0, false
	for _, e := range entries {
		switch {
		case strings.Contains(e.Error, "not done after") && strings.Contains(e.Command, "speaker-2"):
			late++
		case strings.Contains(e.Error, "DeadlineExceeded") && strings.Contains(e.Command, "speaker-3"):
			unanswered++
		case strings.Contains(e.Error, "did not answer another question"):
			skipped++
		case strings.Contains(e.Command, "/apis/metallb.io"):
			group = strings.Contains(e.Error, "service unavailable") && e.Exit == 1
		}
	}
	if late != 1 || unanswered != 1 || skipped < 40 || !group {
		t.Errorf("%d questions were ended and %d not answered, want 1 each; %d of more than 40 not begun; the group's failure is noted: %t", late, unanswered, skipped, group)
	}
}

func TestTheDeadlineEndsGatheringAndTheArchiveIsMade(t *testing.T) {
	_, entries := gather(t, "stuck", "--deadline", "1ns")
	for _, e := range entries {
		if e.Command != "" && !strings.Contains(e.Error, "not begun") {
			t.Errorf("%s: %q", e.Command, e.Error)
		}
	}
}

func TestFlagsAreChecked(t *testing.T) {
	for _, args := range [][]string{{"word"}, {"--parallel=0"}, {"--log-bytes=0"}, {"--step-timeout=0s"}, {"--kubectl", "no-such-program"}, {"--unknown"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
	t.Setenv("MUST_GATHER_SINCE", "2h")
	if o, err := parse([]string{"--kubectl", os.Args[0] + " --context c"}); err != nil || o.Since != "--since=2h" || len(o.Kubectl) != 3 {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestWhereItIsWritten(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	volume := t.TempDir()
	for _, c := range []struct {
		name, output, archive, mounted string
		wantOutput, wantArchive        string
		shared                         bool
	}{
		{"a workstation", "", "", filepath.Join(volume, "none"), "ingot-must-gather-20260102T030405Z", "ingot-must-gather-20260102T030405Z.tar.gz", false},
		{"in oc adm must-gather", "", "", volume, volume, "none", true},
		{"said", "here/", "", volume, "here", "here.tar.gz", false},
		{"both said", "here", "there.tgz", volume, "here", "there.tgz", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options{output: c.output, archive: c.archive}
			if shared := o.place(c.mounted, now); shared != c.shared || o.output != c.wantOutput || o.archive != c.wantArchive {
				t.Errorf("%s, %s, shared %t", o.output, o.archive, shared)
			}
		})
	}
}
