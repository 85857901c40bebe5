// Package deployed installs Ingot as its users do, into a cluster with a scheduler, controllers and kubelets, and lives with it:
// rolls, undoes, drains, uninstalls.
package deployed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/lab/labtest"
)

// long bounds every wait. It is far above what anything takes, so that no test depends on the machine's speed.
const long = 5 * time.Minute

// within is long for kubectl, which is to say itself what it waits for in vain.
const within = "--timeout=270s"

const system = "metallb-system"

// The addresses of the sample's Services: one by layer 2, one by BGP in each family.
const (
	lan, routed, routed6 = "192.168.222.200", "198.51.100.10", "2001:db8:100::10"
	sample               = "../sample"
)

// cluster is a lab with kubelets.
type cluster struct {
	*labtest.Lab
	bin string
}

// start builds a lab with what a directory of deploy/ installs.
func start(t *testing.T, directory string) cluster {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the lab is made of network namespaces, which needs root: run the tests as root")
	}
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "ingot-deployed-")
	if err != nil {
		t.Fatal(err)
	}
	lab, err := labtest.Start(t.Context(), filepath.Join(bin, "lab"), dir, labtest.Options{Manifests: []string{directory}})
	if err != nil {
		t.Fatal(errors.Join(err, os.RemoveAll(dir)))
	}
	t.Cleanup(func() {
		if err := errors.Join(lab.Down(context.Background()), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return cluster{lab, bin}
}

// run runs a program with the cluster's kubeconfig and kubectl, and returns what it wrote; on failure the error has it too.
func (c cluster) run(dir, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.KubeConfig(), "PATH="+c.bin+":"+os.Getenv("PATH"))
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s%s", filepath.Base(name), strings.Join(args, " "), err, out.String(), complaints.String())
	}
	return out.String(), nil
}

func (c cluster) try(args ...string) (string, error) {
	return c.run("", filepath.Join(c.bin, "kubectl"), args...)
}

// kubectl runs kubectl, which must succeed.
func (c cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.try(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// rolledOut waits until workloads, as kubectl names them, are as their manifests say.
func (c cluster) rolledOut(t *testing.T, workloads ...string) {
	t.Helper()
	for _, workload := range workloads {
		if _, err := c.try("rollout", "status", "-n", system, workload, within); err != nil {
			pods, listed := c.try("get", "pods", "-n", system, "-o", "wide")
			t.Fatalf("%v\n%s%v", err, pods, listed)
		}
	}
}

// reached waits until the client gets an answer through every address of the sample.
func (c cluster) reached(t *testing.T) {
	t.Helper()
	// The aggregated API is there when its endpoints are.
	eventually(t, "the sample", func() error { _, err := c.try("apply", "-f", sample); return err })
	for _, url := range []string{"http://" + lan + "/", "http://" + routed + "/", "http://[" + routed6 + "]/"} {
		eventually(t, url, func() error {
			out, err := c.Exec(t.Context(), "client", "curl", "-sS", "--max-time", "2", url)
			if err == nil && !strings.HasPrefix(out, "node=") {
				err = fmt.Errorf("answers %q", out)
			}
			return err
		})
	}
}

// eventually waits until check returns nil.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	await.SuccessWithin(t, long, what, check)
}

// asking has the client ask for an address of each kind again and again, a new connection each time, until the function that it
// returns is called, which says how often it asked and how often it got nothing.
func (c cluster) asking(t *testing.T) func() (asked, lost int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var out string
	var asking sync.WaitGroup
	asking.Go(func() {
		const loop = `while :; do for a in %s %s; do curl -s -o /dev/null --max-time 3 http://$a/ && echo got || echo lost; done; sleep 0.02; done`
		out, _ = c.Exec(ctx, "client", "sh", "-c", fmt.Sprintf(loop, lan, routed)) // it is ended by cancel
	})
	t.Cleanup(cancel)
	return func() (asked, lost int) {
		cancel()
		asking.Wait()
		lost = strings.Count(out, "lost\n")
		return strings.Count(out, "got\n") + lost, lost
	}
}
