package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// insideEnv has the name of the namespace that a test binary was started in by Inside.
const insideEnv = "INGOT_TEST_INSIDE"

// Inside is TestMain's body for a package whose tests run in a namespace of their own, as a whole process: sockets that
// they open from whatever goroutine are in it. It runs the test binary again there.
func Inside(m *testing.M) {
	if os.Getenv(insideEnv) != "" {
		os.Exit(m.Run())
	}
	code, err := inside()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tests in a network namespace (this needs root):", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func inside() (code int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	name := fmt.Sprintf("ingot-%d-inside", os.Getpid())
	if err := exec.Command("ip", "netns", "add", name).Run(); err != nil {
		return 0, fmt.Errorf("ip netns add %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, exec.Command("ip", "netns", "del", name).Run()) }()
	prepare := "ip link set lo up && sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 && exec \"$@\""
	cmd := exec.Command("ip", append([]string{"netns", "exec", name, "sh", "-c", prepare, "sh", self}, os.Args[1:]...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideEnv+"="+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return failed.ExitCode(), nil
	}
	return 0, err
}

// Here is the namespace of the test process, for tests of a package whose TestMain is Inside.
func Here(t testing.TB) Namespace {
	t.Helper()
	name := os.Getenv(insideEnv)
	if name == "" {
		t.Fatal("this test runs in no namespace of its own")
	}
	return Namespace{name}
}

// Do runs f on a thread in the namespace: sockets that f opens belong to it for good. The thread goes back to where it came
// from; it must not end, because what it started ends with it (Pdeathsig), and it may be the process's first.
func (n Namespace) Do(t testing.TB, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		back, err := n.enter()
		if err == nil {
			err = f()
			if returned := back(); returned != nil {
				done <- errors.Join(err, returned)
				return // locked: nobody else is to run in the wrong namespace
			}
		}
		runtime.UnlockOSThread()
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("in namespace %s: %v", n.name, err)
	}
}

// enter moves the thread into the namespace. back returns it.
func (n Namespace) enter() (back func() error, err error) {
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	there, err := os.Open(filepath.Join("/run/netns", n.name))
	if err != nil {
		return nil, errors.Join(err, home.Close())
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, errors.Join(fmt.Errorf("setns: %w", err), home.Close())
	}
	return func() error {
		return errors.Join(unix.Setns(int(home.Fd()), unix.CLONE_NEWNET), home.Close())
	}, nil
}
