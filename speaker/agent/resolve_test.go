package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFirstStartWithoutDNS: a node that was switched on, with no saved state, finds the centre by the file while names do not
// resolve; and the file may come, and change, later.
func TestFirstStartWithoutDNS(t *testing.T) {
	a := newAuthority(t)
	r := newRig(t, a, "centre.example:7473")
	r.opts.resolve = func(context.Context, string) ([]string, error) { return nil, errors.New("no DNS") }
	r.opts.AddressFile = filepath.Join(t.TempDir(), "addresses")
	r.start()
	write := func(content string) {
		t.Helper()
		tmp := r.opts.AddressFile + ".tmp"
		if err := errors.Join(os.WriteFile(tmp, []byte(content), 0o644), os.Rename(tmp, r.opts.AddressFile)); err != nil {
			t.Fatal(err)
		}
	}
	write("127.0.0.1:1\n") // where the centre was, once
	c := startCentre(t, a, "")
	write("nonsense\n" + c.address + "\n")
	c.next().lead("L", 5).full(route("r1", "1"))
	r.routes.holds(t, "r1@1")
}

// TestNamesGoBeforeTheFile.
func TestNamesGoBeforeTheFile(t *testing.T) {
	r := newRig(t, newAuthority(t), "centre.example:7473")
	r.opts.resolve = func(context.Context, string) ([]string, error) { return []string{"192.0.2.1"}, nil }
	r.opts.AddressFile = filepath.Join(t.TempDir(), "addresses")
	if err := os.WriteFile(r.opts.AddressFile, []byte("192.0.2.2:7473\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.start()
	got := r.agent.resolveAll(t.Context(), nil, map[string]string{})
	if diff := cmp.Diff(map[string][]string{"centre.example:7473": {"192.0.2.1:7473"}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAddressesOfAFile(t *testing.T) {
	got := parseAddresses("192.0.2.2:7473\r\n\n[2001:db8::1]:7473\n192.0.2.2:7473\nname:7473\n192.0.2.3\n192.0.2.4:0\n# x")
	if diff := cmp.Diff([]string{"192.0.2.2:7473", "[2001:db8::1]:7473"}, got); diff != "" {
		t.Error(diff)
	}
}
