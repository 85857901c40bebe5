// Package control is how `lab` talks to the wrapper of a running lab: one request and one response, each a JSON
// object, over a unix socket in the lab's directory.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Socket is the name of the socket in the lab's directory.
const Socket = "lab.sock"

// The verbs of a Request.
const (
	Status = "status"
	Places = "places"
	Kill   = "kill"
	Stop   = "stop"
	Start  = "start"
	Pause  = "pause"
	Resume = "resume"
	Cut    = "cut"
	Heal   = "heal"
	Token  = "token"
	Down   = "down"
)

// Request asks for one thing. Which fields count depends on the verb.
type Request struct {
	Verb     string `json:"verb"`
	Part     string `json:"part,omitempty"`
	Place    string `json:"place,omitempty"`
	Link     string `json:"link,omitempty"`
	Audience string `json:"audience,omitempty"`
	// Expiry is the life of a token, which may be negative: a token that has expired already.
	Expiry time.Duration `json:"expiry,omitempty"`
}

type response struct {
	Error  string          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// ErrNotRunning is that no lab runs in a directory.
var ErrNotRunning = errors.New("no lab runs there; start one with: lab up")

// Handler answers one request. ctx ends when the asker hangs up.
type Handler func(ctx context.Context, r Request) (result any, err error)

// Listen makes the socket in dir, mode 0600, in place of one that a dead lab left.
func Listen(dir string) (net.Listener, error) {
	path, done, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("the control socket: %w", err)
	}
	listener.SetUnlinkOnClose(false) // the path is gone by then: whoever owns dir removes it
	return listener, os.Chmod(path, 0o600)
}

// Serve answers requests until the listener is closed.
func Serve(ctx context.Context, listener net.Listener, handle Handler, log *slog.Logger) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				log.Error("control socket", "error", err)
			}
			return
		}
		go func() {
			defer conn.Close()
			if err := answer(ctx, conn, handle); err != nil {
				log.Warn("control connection", "error", err)
			}
		}()
	}
}

func answer(ctx context.Context, conn net.Conn, handle Handler) error {
	var request Request
	if err := json.NewDecoder(conn).Decode(&request); err != nil {
		return fmt.Errorf("reading a request: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		// The asker says nothing more: the end, or whatever error, is that it has gone.
		_, _ = io.Copy(io.Discard, conn)
		cancel()
	}()
	var reply response
	result, err := handle(ctx, request)
	if err != nil {
		reply.Error = err.Error()
	} else if reply.Result, err = json.Marshal(result); err != nil {
		return fmt.Errorf("answering %s: %w", request.Verb, err)
	}
	if err := json.NewEncoder(conn).Encode(reply); err != nil {
		return fmt.Errorf("answering %s: %w", request.Verb, err)
	}
	return nil
}

// Call asks the lab in dir, and decodes the answer into result unless that is nil. It returns ErrNotRunning, wrapped
// with the directory, if there is no lab.
func Call(ctx context.Context, dir string, request Request, result any) error {
	conn, err := dial(ctx, dir)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(request); err != nil {
		return fmt.Errorf("asking the lab in %s: %w", dir, err)
	}
	var reply response
	if err := json.NewDecoder(conn).Decode(&reply); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("the lab in %s ended before it answered", dir)
		}
		return fmt.Errorf("the lab in %s: %w", dir, err)
	}
	if reply.Error != "" {
		return errors.New(reply.Error)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(reply.Result, result)
}

func dial(ctx context.Context, dir string) (net.Conn, error) {
	path, done, err := socketPath(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNotRunning)
	}
	if err != nil {
		return nil, err
	}
	defer done()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNotRunning)
	}
	if err != nil {
		return nil, fmt.Errorf("the lab in %s: %w", dir, err)
	}
	return conn, nil
}

// socketPath names the socket in dir by way of an open directory, because a unix socket's name may only have 107
// bytes and directories of tests are longer. The path is good until done is called.
func socketPath(dir string) (path string, done func(), err error) {
	open, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return filepath.Join(fmt.Sprintf("/proc/self/fd/%d", open.Fd()), Socket), func() { _ = open.Close() }, nil
}
