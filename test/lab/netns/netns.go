// Package netns makes network namespaces and does things in them: sockets, programs and settings belong to the
// namespace of the thread that makes them, so that one process can live in many.
package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Dir is where namespaces have their names, as ip-netns(8) has it.
const Dir = "/run/netns"

// Namespace is a network namespace that this process holds open.
type Namespace struct {
	Name string

	file   *os.File
	handle *netlink.Handle
}

// Create makes a namespace of that name, with its loopback up. It lives until Dir is unmounted.
func Create(name string) (*Namespace, error) {
	path := filepath.Join(Dir, name)
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		return nil, fmt.Errorf("naming namespace %s: %w", name, err)
	}
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		return unix.Mount(threadNamespace(), path, "", unix.MS_BIND, "")
	})
	if err != nil {
		return nil, fmt.Errorf("making namespace %s: %w", name, err)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening namespace %s: %w", name, err)
	}
	return open(name, file)
}

// Attach opens a namespace that another process, in a mount namespace of its own, has made by Create.
func Attach(pid int, name string) (*Namespace, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/root%s/%s", pid, Dir, name))
	if err != nil {
		return nil, fmt.Errorf("opening namespace %s: %w", name, err)
	}
	return open(name, file)
}

// Nameless makes a namespace that has no file, and goes with this process or with Close. The name is for messages.
func Nameless(name string) (*Namespace, error) {
	var file *os.File
	err := onOwnThread(func() (err error) {
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			file, err = os.Open(threadNamespace())
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("making namespace %s: %w", name, err)
	}
	return open(name, file)
}

// Delete takes away the name, and lets go of the namespace. It goes with the last process in it.
func (n *Namespace) Delete() error {
	path := filepath.Join(Dir, n.Name)
	err := unix.Unmount(path, unix.MNT_DETACH)
	if err == nil {
		err = os.Remove(path)
	}
	if err = errors.Join(err, n.Close()); err != nil {
		return fmt.Errorf("deleting namespace %s: %w", n.Name, err)
	}
	return nil
}

// Close lets go of the namespace.
func (n *Namespace) Close() error {
	n.handle.Close()
	return n.file.Close()
}

func open(name string, file *os.File) (*Namespace, error) {
	n := &Namespace{Name: name, file: file}
	// A netlink socket stays in the namespace it was opened in.
	err := n.Do(func() (err error) {
		n.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("netlink in namespace %s: %w", name, err)
	}
	lo, err := n.handle.LinkByName("lo")
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", name, err)
	}
	if err := n.handle.LinkSetUp(lo); err != nil {
		return nil, fmt.Errorf("namespace %s: lo: %w", name, err)
	}
	return n, nil
}

// Handle speaks netlink in the namespace.
func (n *Namespace) Handle() *netlink.Handle { return n.handle }

// FD is the namespace as a file, for netlink messages that name another namespace.
func (n *Namespace) FD() int { return int(n.file.Fd()) }

// Do runs f on a thread that is in the namespace. Threads that f starts goroutines on are not.
func (n *Namespace) Do(f func() error) error {
	return onOwnThread(func() error {
		if err := unix.Setns(n.FD(), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering namespace %s: %w", n.Name, err)
		}
		return f()
	})
}

// onOwnThread runs f on a thread that ends with it, so that no other goroutine ever meets what f did to the thread.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

// DialContext connects from within the namespace. The address must be numeric: a name would be resolved outside.
func (n *Namespace) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := n.Do(func() (err error) {
		conn, err = (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Set writes a value below /proc/sys, as the namespace sees it.
func (n *Namespace) Set(path, value string) error {
	return n.Do(func() error {
		if err := os.WriteFile(filepath.Join("/proc/sys", path), []byte(value), 0o644); err != nil {
			return fmt.Errorf("namespace %s: %w", n.Name, err)
		}
		return nil
	})
}

// threadNamespace is the network namespace of the calling thread, as a file.
func threadNamespace() string {
	return fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
}
