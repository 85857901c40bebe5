package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-lb/ingot/speaker/listen"
)

type adoptFunc func(extra []string) ([]string, error)

func (f adoptFunc) Adopt(_ context.Context, extra []string) ([]string, error) { return f(extra) }

// serveAdmin serves a on a socket that it returns.
func serveAdmin(t *testing.T, a *admin) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "run", "admin.sock")
	l, err := listen.Unix(socket)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serveHTTP(ctx, l, a.handler()) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("admin socket: %v", err)
		}
	})
	return socket
}

func TestAdoptOverTheSocket(t *testing.T) {
	a := &admin{}
	socket := serveAdmin(t, a)
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v, want mode 0600", info, err)
	}

	if _, err := Adopt(t.Context(), socket, AdoptRequest{}); err == nil || !strings.Contains(err.Error(), "still starting") {
		t.Errorf("adopt while starting: %v", err)
	}

	a.adopter.Store(&adopter{lineage: "new", Adopter: adoptFunc(func(extra []string) ([]string, error) {
		return append([]string{"reported"}, extra...), nil
	})})
	got, err := Adopt(t.Context(), socket, AdoptRequest{Lineages: []string{"given"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(AdoptResponse{Lineage: "new", Supersedes: []string{"reported", "given"}}, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}

	a.adopter.Store(&adopter{Adopter: adoptFunc(func([]string) ([]string, error) { return nil, errors.New("etcd is away") })})
	if _, err := Adopt(t.Context(), socket, AdoptRequest{}); err == nil || err.Error() != "etcd is away" {
		t.Errorf("adopt that fails: %v", err)
	}
}
