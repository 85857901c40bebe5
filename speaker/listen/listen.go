// Package listen keeps servers that only show things from standing in the way of what the speaker is for: a port
// that is taken is tried again, and said once, instead of ending the process.
package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

// Limits of the time between attempts to listen.
const (
	firstDelay = 500 * time.Millisecond
	maxDelay   = 30 * time.Second
)

// Open opens a listener.
type Open func(ctx context.Context) (net.Listener, error)

// TCP opens address, HOST:PORT.
func TCP(address string) Open {
	return func(ctx context.Context) (net.Listener, error) {
		var lc net.ListenConfig
		return lc.Listen(ctx, "tcp", address)
	}
}

// Unix opens a socket at path that only its owner can use. It takes the place of what a process before left there.
func Unix(path string) Open {
	return func(ctx context.Context) (net.Listener, error) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		// Nobody can reach into the directory while the socket has the permissions of its birth.
		dir, err := os.MkdirTemp(filepath.Dir(path), ".s-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "unix", filepath.Join(dir, "s"))
		if err != nil {
			return nil, err
		}
		if unix, ok := l.(*net.UnixListener); ok {
			unix.SetUnlinkOnClose(false)
		}
		if err := errors.Join(os.Chmod(filepath.Join(dir, "s"), 0o600), os.Rename(filepath.Join(dir, "s"), path)); err != nil {
			return nil, errors.Join(err, l.Close())
		}
		return at{l, path}, nil
	}
}

// at is a listener that was moved to path.
type at struct {
	net.Listener
	path string
}

// Addr returns where clients find the listener.
func (a at) Addr() net.Addr { return &net.UnixAddr{Name: a.path, Net: "unix"} }

// Keep opens a listener and hands it to serve, again and again until ctx ends. serve returns when ctx ends or the
// listener fails, and has closed it then. name is for the log.
func Keep(ctx context.Context, log *slog.Logger, name string, open Open, serve func(context.Context, net.Listener) error) {
	retry, said := backoff.Backoff{First: firstDelay, Most: maxDelay}, ""
	for {
		l, err := open(ctx)
		if err == nil {
			log.Info("listening", "server", name, "address", l.Addr().String())
			retry.Reset()
			said = ""
			if err = serve(ctx, l); err == nil {
				err = errors.New("the server ended")
			}
		}
		if ctx.Err() != nil {
			return
		}
		if text := fmt.Sprint(err); text != said {
			said = text
			log.Error("cannot serve; will go on trying", "server", name, "error", err)
		}
		if retry.Wait(ctx) != nil {
			return
		}
	}
}
