package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/lab/netns"
	"github.com/ingot-lb/ingot/test/lab/topology"
)

// inside says that this is the process whose /run and network are its own.
const inside = "INGOT_TEST_NETWORK"

// TestMain runs the tests in a process of their own, because a lab's namespaces have names below /run.
func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Env = os.Stdout, os.Stderr, append(os.Environ(), inside+"=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	var failed *exec.ExitError
	if err := cmd.Run(); errors.As(err, &failed) {
		os.Exit(failed.ExitCode())
	} else if err != nil {
		fmt.Fprintln(os.Stderr, "namespaces (this needs root):", err)
		os.Exit(1)
	}
}

// TestPodsReachEachOther over both families, wherever they are, with the addresses that they have; and so do nodes, and the
// kube-apiserver's place.
func TestPodsReachEachOther(t *testing.T) {
	if err := unix.Mount("test", "/run", "tmpfs", 0, ""); err != nil { // its own, each time that it is run
		t.Fatal(err)
	}
	plan, err := topology.Deployed(2)
	if err != nil {
		t.Fatal(err)
	}
	n, err := Build(plan)
	if err != nil {
		t.Fatal(err)
	}
	plugins := map[string]*Pods{}
	var places []*netns.Namespace
	addresses := map[string][]netip.Addr{}
	for i, node := range append([]string{topology.Control}, plan.Nodes()...) {
		if plugins[node], err = n.Pods(node, topology.PodCIDRs(i)); err != nil {
			t.Fatal(err)
		}
		place, err := n.Place(node)
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, place)
		for _, name := range []string{"a-" + node, "b-" + node} {
			pod, own, err := plugins[node].Attach(name)
			if err != nil {
				t.Fatal(err)
			}
			if again, _, err := plugins[node].Attach(name); again != pod || err != nil {
				t.Errorf("%s has another namespace the second time: %v", name, err)
			}
			places, addresses[name] = append(places, pod), own
			serve(t, pod, name)
		}
	}
	for _, from := range places {
		for name, own := range addresses {
			for _, address := range own {
				// A cable carries nothing until the kernel has noticed that both of its ends are up.
				await.Success(t, "the answer of "+name+" to "+from.Name, func() error { return ask(from, address, name) })
			}
		}
	}
	gone := addresses["a-node1"]
	if err := plugins["node1"].Detach("a-node1"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(netns.Dir, "a-node1")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the namespace of a Pod that has gone: %v", err)
	}
	_, next, err := plugins["node1"].Attach("c-node1")
	if err != nil || next[0] == gone[0] || next[0] == addresses["b-node1"][0] {
		t.Errorf("the next Pod has %v after %v: %v", next, gone, err)
	}
}

// serve answers every connection with a name, until the test ends.
func serve(t *testing.T, in *netns.Namespace, name string) {
	t.Helper()
	err := in.Do(func() error {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "[::]:80")
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return // closed
				}
				_, _ = io.WriteString(conn, name) // who asked will miss it
				_ = conn.Close()
			}
		}()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func ask(from *netns.Namespace, address netip.Addr, want string) error {
	conn, err := from.DialContext(context.Background(), "tcp", netip.AddrPortFrom(address, 80).String())
	if err != nil {
		return err
	}
	defer conn.Close()
	got, err := io.ReadAll(conn)
	if err == nil && string(got) != want {
		err = fmt.Errorf("%q answers", got)
	}
	return err
}
