package listen

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestTakenPortIsTriedAgainUntilItIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		attempts := 0
		open := func(context.Context) (net.Listener, error) {
			if attempts++; attempts < 5 {
				return nil, errors.New("address already in use")
			}
			return fakeListener{}, nil
		}
		served := make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			Keep(ctx, slog.New(slog.DiscardHandler), "x", open, func(ctx context.Context, _ net.Listener) error {
				close(served)
				<-ctx.Done()
				return nil
			})
		}()
		select {
		case <-served:
		case <-time.After(time.Minute):
			t.Fatalf("not served after %d attempts", attempts)
		}
		cancel()
		<-ended
	})
}

func TestSocketTakesThePlaceOfAnOldOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dir", "s")
	for range 2 { // the second finds what the first left behind
		l, err := Unix(path)(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if l.Addr().String() != path {
			t.Errorf("address %v, want %s", l.Addr(), path)
		}
		accepted := make(chan error, 1)
		go func() {
			c, err := l.Accept()
			if err == nil {
				err = c.Close()
			}
			accepted <- err
		}()
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(<-accepted, c.Close(), l.Close()); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("socket %v, %v", info, err)
		}
	}
}

type fakeListener struct{ net.Listener }

func (fakeListener) Addr() net.Addr { return &net.TCPAddr{} }
