// Package bird runs BIRD in a network namespace, as a router of another kind than FRR (test/frr) that tests speak with.
package bird

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/netns"
)

// Router is a running BIRD, which lasts as long as its test.
type Router struct {
	directory string
}

// Start runs BIRD in a namespace. What it says is shown when the test fails.
func Start(t testing.TB, n netns.Namespace, config string) *Router {
	t.Helper()
	if _, err := exec.LookPath("bird"); err != nil {
		t.Fatalf("BIRD is needed as a router (test/packages installs it): %v", err)
	}
	// Not t.TempDir, whose name may be too long for a socket's.
	dir, err := os.MkdirTemp("", "ingot-bird")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &Router{dir}
	r.write(t, config)
	ctx, cancel := context.WithCancel(context.Background())
	var said bytes.Buffer
	cmd := n.Command(ctx, "bird", "-f", "-c", r.file("conf"), "-s", r.file("ctl"), "-P", r.file("pid"))
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel() // SIGKILL
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("BIRD said:\n%s", said.String())
		}
	})
	await.Success(t, "BIRD answers", func() error {
		_, err := r.Ask("show", "status")
		return err
	})
	return r
}

func (r *Router) file(name string) string { return filepath.Join(r.directory, "bird."+name) }

func (r *Router) write(t testing.TB, config string) {
	t.Helper()
	if err := os.WriteFile(r.file("conf"), []byte("log stderr all;\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Configure replaces the configuration, and ends the test if BIRD refuses it.
func (r *Router) Configure(t testing.TB, config string) {
	t.Helper()
	r.write(t, config)
	out, err := r.Ask("configure")
	if err == nil && !bytes.Contains([]byte(out), []byte("Reconfigur")) {
		err = fmt.Errorf("BIRD says %s", out)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Ask runs a command of BIRD's shell and returns what it printed.
func (r *Router) Ask(words ...string) (string, error) {
	out, err := exec.Command("birdc", append([]string{"-s", r.file("ctl")}, words...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("birdc %q: %w: %s", words, err, out)
	}
	return string(out), nil
}
