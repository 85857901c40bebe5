package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/lab/control"
	"github.com/ingot-lb/ingot/test/lab/labtest"
)

// onlyKubernetes leaves out our own programs, which this package's tests are not about.
var onlyKubernetes = []string{"apiserver", "controller", "speaker", "webhooks"}

// program is bin/lab as `make build` makes it.
func program(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("a lab is made of network namespaces, which needs root: run the tests as root")
	}
	path, err := filepath.Abs("../../bin/lab")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make build", err)
	}
	return path
}

// descendants are the host's processes that belong to a lab in dir, by their command lines.
func descendants(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(line), dir) && !strings.HasPrefix(file, fmt.Sprintf("/proc/%d/", os.Getpid())) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// eventually waits for a condition, for far longer than it takes to come about.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	await.SuccessWithin(t, 90*time.Second, what, check)
}

// ready waits until all of a lab is well, and returns its status. What has ended does not come back by itself.
func ready(t *testing.T, lab *labtest.Lab) (status control.LabStatus) {
	t.Helper()
	eventually(t, "a lab whose parts are well", func() (err error) {
		if status, err = lab.Status(t.Context()); err == nil && !status.Ready {
			err = fmt.Errorf("%+v", status)
		}
		return err
	})
	return status
}

// Two labs with the same names and addresses inside live side by side, and neither leaves anything.
func TestTwoLabsSideBySide(t *testing.T) {
	path := program(t)
	var labs []*labtest.Lab
	for range 2 {
		dir := filepath.Join(t.TempDir(), "lab")
		lab, err := labtest.Start(t.Context(), path, dir, labtest.Options{Nodes: 2, Without: onlyKubernetes})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := lab.Down(context.WithoutCancel(t.Context())); err != nil && !strings.Contains(err.Error(), "no lab runs") {
				t.Error(err)
			}
		})
		labs = append(labs, lab)
	}
	for _, lab := range labs {
		status := ready(t, lab)
		for _, p := range status.Parts {
			for _, pid := range p.PIDs {
				if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil {
					t.Errorf("%s: the host has no process %d", p.Name, pid)
				}
			}
		}
		if out, err := lab.Exec(t.Context(), "router", "vtysh", "-c", "show bgp summary"); err != nil {
			t.Errorf("vtysh: %s, %v", out, err)
		}
	}
	if _, err := labtest.Start(t.Context(), path, labs[0].Dir(), labtest.Options{}); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a second lab up in one directory: %v", err)
	}

	if err := labs[0].Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := descendants(t, labs[0].Dir()); len(left) > 0 {
		t.Errorf("lab down left %s", left)
	}
	status := ready(t, labs[1]) // the other lab's end did not change this one

	// Killing the one process that owns all has the same effect.
	wrapper, err := os.FindProcess(status.PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := wrapper.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the killed lab's processes", func() error {
		if left := descendants(t, labs[1].Dir()); len(left) > 0 {
			return fmt.Errorf("still there: %s", left)
		}
		return nil
	})
	if _, err := labs[1].Exec(t.Context(), "client", "true"); err == nil || !strings.Contains(err.Error(), control.ErrNotRunning.Error()) {
		t.Errorf("exec in a dead lab: %v", err)
	}
}

// What the end-to-end tests lean on: programs in places, parts that die and return, cables, the workload's answers.
func TestLabDoesWhatItIsTold(t *testing.T) {
	lab, err := labtest.Start(t.Context(), program(t), filepath.Join(t.TempDir(), "lab"), labtest.Options{Nodes: 2, Router: "none", Without: onlyKubernetes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Down(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	kubectl := func(args ...string) string {
		t.Helper()
		out, err := lab.Exec(t.Context(), "control", append([]string{"kubectl"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}

	t.Run("exec passes input, output and exit status", func(t *testing.T) {
		out, err := lab.ExecInput(t.Context(), strings.NewReader("hello"), "client", "cat")
		if err != nil || out != "hello" {
			t.Errorf("cat = %q, %v", out, err)
		}
		var exit *exec.ExitError
		if _, err := lab.Exec(t.Context(), "client", "sh", "-c", "exit 7"); !errors.As(err, &exit) || exit.ExitCode() != 7 {
			t.Errorf("exit 7 = %v", err)
		}
		if _, err := lab.Exec(t.Context(), "nowhere", "true"); err == nil || !strings.Contains(err.Error(), "it has control, router, client, node1") {
			t.Errorf("an unknown place: %v", err)
		}
	})

	t.Run("the client reaches a pod through a node", func(t *testing.T) {
		kubectl("expose", "pod", "web-node1", "--name=web", "--port=80", "--type=NodePort", "--selector=app=web")
		port := kubectl("get", "service", "web", "-o", "jsonpath={.spec.ports[0].nodePort}")
		eventually(t, "the answer", func() error {
			out, err := lab.Exec(t.Context(), "client", "curl", "-sS", "--max-time", "3", "http://192.168.222.12:"+port+"/")
			if err == nil && !strings.HasPrefix(out, "node=node") {
				err = fmt.Errorf("answer %q", out)
			}
			return err
		})
	})

	t.Run("a dead server's pod is not ready, and is again after its start", func(t *testing.T) {
		ready := func(want string) {
			t.Helper()
			eventually(t, "readiness", func() error {
				got := kubectl("get", "pod", "web-node1", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
				if got != want {
					return fmt.Errorf("Ready is %q, want %q", got, want)
				}
				return nil
			})
		}
		if err := lab.Kill(t.Context(), "web/node1"); err != nil {
			t.Fatal(err)
		}
		if err := lab.Kill(t.Context(), "web/node1"); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Errorf("killing it again: %v", err)
		}
		ready("False")
		if err := lab.StartPart(t.Context(), "web/node1"); err != nil {
			t.Fatal(err)
		}
		ready("True")
	})

	t.Run("a paused part is neither running nor gone", func(t *testing.T) {
		if err := lab.Pause(t.Context(), "web/node2"); err != nil {
			t.Fatal(err)
		}
		status, err := lab.Status(t.Context())
		if err != nil || status.Ready {
			t.Errorf("status with a paused part: %+v, %v", status, err)
		}
		if err := lab.Resume(t.Context(), "web/node2"); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("a deleted pod's server ends", func(t *testing.T) {
		kubectl("delete", "pod", "web-node2")
		if err := lab.StartPart(t.Context(), "web/node2"); err != nil {
			t.Fatal(err)
		}
		kubectl("wait", "--for=condition=Ready", "pod/web-node2", "--timeout=90s")
	})

	t.Run("a cut cable carries nothing until it is healed", func(t *testing.T) {
		ping := func() error {
			_, err := lab.Exec(t.Context(), "client", "ping", "-c1", "-W1", "192.168.222.11")
			return err
		}
		if err := lab.Cut(t.Context(), "node1", "lan"); err != nil {
			t.Fatal(err)
		}
		if ping() == nil {
			t.Error("the node answers over a cut cable")
		}
		eventually(t, "an answer over the other cable", func() error {
			_, err := lab.Exec(t.Context(), "control", "ping", "-c1", "-W2", "172.30.0.11")
			return err
		})
		if err := lab.Heal(t.Context(), "node1", "lan"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "ping", ping)
	})

	t.Run("the control plane comes back with what it knew", func(t *testing.T) {
		for _, part := range []string{"kube-apiserver", "etcd"} {
			if err := lab.Kill(t.Context(), part); err != nil {
				t.Fatal(err)
			}
		}
		for _, part := range []string{"etcd", "kube-apiserver"} {
			if err := lab.StartPart(t.Context(), part); err != nil {
				t.Fatal(err)
			}
		}
		if out := kubectl("get", "nodes", "-o", "name"); out != "node/node1\nnode/node2\n" {
			t.Errorf("nodes: %q", out)
		}
	})
}

// A lab that is interrupted while it comes up leaves nothing but logs.
func TestInterruptedLabLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	// What is to be installed never gets ready, so that the interruption is not too late, whoever is slow.
	manifest := filepath.Join(t.TempDir(), "never.yaml")
	if err := os.WriteFile(manifest, []byte(never), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	first := writer(func(text []byte) {
		if strings.Contains(string(text), "etcd") { // some processes are there by now
			cancel()
		}
	})
	lab, err := labtest.Start(ctx, program(t), dir, labtest.Options{Nodes: 1, Manifests: []string{manifest}, Progress: first})
	if err == nil {
		t.Fatalf("an interrupted lab is up: %+v", lab)
	}
	if left := descendants(t, dir); len(left) > 0 {
		t.Errorf("left: %s", left)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "log" && e.Name() != "kubelet" && e.Name() != "lab.lock" { // kubelet: logs, too
			t.Errorf("left in the directory: %s", e.Name())
		}
	}
}

// never has an image that there is not.
const never = `apiVersion: apps/v1
kind: Deployment
metadata: {name: never, namespace: default}
spec:
  selector: {matchLabels: {app: never}}
  template:
    metadata: {labels: {app: never}}
    spec: {containers: [{name: never, image: images.example/none}]}
`

// writer is an io.Writer that hands on what is written.
type writer func([]byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}
