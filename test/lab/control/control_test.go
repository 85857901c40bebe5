package control

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The directory's name is longer than a unix socket's may be.
func longDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCallReachesTheHandlerAndErrorsComeBack(t *testing.T) {
	dir := longDir(t)
	listener, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var asked Request
	go Serve(t.Context(), listener, func(_ context.Context, r Request) (any, error) {
		if r.Verb == Kill {
			return nil, errors.New("no part " + r.Part)
		}
		asked = r
		return LabPlaces{PID: 7, Names: []string{"node1"}}, nil
	}, slog.New(slog.DiscardHandler))

	var got LabPlaces
	want := Request{Verb: Places, Place: "node1"}
	if err := Call(t.Context(), dir, want, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(LabPlaces{PID: 7, Names: []string{"node1"}}, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if err := Call(t.Context(), dir, Request{Verb: Kill, Part: "x"}, nil); err == nil || err.Error() != "no part x" {
		t.Errorf("error = %v, want the handler's", err)
	}
}

func TestHangingUpEndsTheRequest(t *testing.T) {
	dir := longDir(t)
	listener, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	began, ended := make(chan struct{}), make(chan struct{})
	go Serve(t.Context(), listener, func(ctx context.Context, _ Request) (any, error) {
		close(began)
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-began
		cancel()
	}()
	if err := Call(ctx, dir, Request{Verb: Status}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call returns %v", err)
	}
	<-ended
}

func TestNoLab(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "absent")} {
		if err := Call(t.Context(), dir, Request{Verb: Status}, nil); !errors.Is(err, ErrNotRunning) {
			t.Errorf("Call without a lab = %v, want ErrNotRunning", err)
		}
	}
}
