// Package netns gives tests network namespaces with cables between them, and programs that run inside. It needs
// root, and fails the test that asks without: a test that skips proves nothing.
package netns

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Namespace is a network namespace that lasts as long as its test.
type Namespace struct {
	name string
}

var count atomic.Uint32

// New makes a namespace with its loopback interface up.
func New(t testing.TB, name string) Namespace {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("this test makes network namespaces and so needs root; run it as root")
	}
	n := Namespace{fmt.Sprintf("ingot-%d-%d-%s", os.Getpid(), count.Add(1), name)}
	run(t, "ip", "netns", "add", n.name)
	t.Cleanup(func() { run(t, "ip", "netns", "del", n.name) })
	n.Run(t, "ip", "link", "set", "lo", "up")
	// Addresses are usable at once.
	n.Run(t, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
	return n
}

// Cable connects an interface of a to one of b; both are up, with the given addresses.
func Cable(t testing.TB, a Namespace, aInterface string, aAddresses []string, b Namespace, bInterface string, bAddresses []string) {
	t.Helper()
	run(t, "ip", "link", "add", aInterface, "netns", a.name, "type", "veth", "peer", "name", bInterface, "netns", b.name)
	a.Configure(t, aInterface, aAddresses...)
	b.Configure(t, bInterface, bAddresses...)
}

// Configure gives an interface addresses and sets it up.
func (n Namespace) Configure(t testing.TB, name string, addresses ...string) {
	t.Helper()
	for _, a := range addresses {
		args := []string{"ip", "addr", "add", a, "dev", name}
		if strings.Contains(a, ":") {
			args = append(args, "nodad")
		}
		n.Run(t, args...)
	}
	n.Run(t, "ip", "link", "set", name, "up")
}

// Run runs a command in the namespace and returns what it printed. The test ends if it fails.
func (n Namespace) Run(t testing.TB, args ...string) string {
	t.Helper()
	return run(t, append([]string{"ip", "netns", "exec", n.name}, args...)...)
}

// Command prepares a command in the namespace. It is killed when ctx ends, and when the test process dies.
func (n Namespace) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", n.name}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func run(t testing.TB, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out.String())
	}
	return out.String()
}

// Eventually waits until check returns nil, and ends the test with its last error otherwise.
func Eventually(t testing.TB, within time.Duration, check func() error) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			if err := check(); err != nil { // who was not let run for so long has not looked for as long
				t.Fatalf("not within %s: %v", within, err)
			}
			return
		case <-tick.C:
		}
	}
}

// LinkLocal waits until an interface has a link-local IPv6 address, and returns it without a zone.
func (n Namespace) LinkLocal(t testing.TB, name string) netip.Addr {
	t.Helper()
	var a netip.Addr
	Eventually(t, time.Minute, func() error {
		fields := strings.Fields(n.Run(t, "ip", "-6", "-o", "addr", "show", "dev", name, "scope", "link"))
		if len(fields) < 4 {
			return fmt.Errorf("%s has no link-local address", name)
		}
		prefix, err := netip.ParsePrefix(fields[3])
		a = prefix.Addr()
		return err
	})
	return a
}
