// Package e2e proves Ingot's promises on a whole cluster: real kube-apiserver, kube-proxy, FRR and packets, in a lab
// of network namespaces (test/lab). Every test leaves the cluster as it found it.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/lab/labtest"
)

// Places and addresses of the lab (docs/lab.md).
const (
	routerV4 = "192.168.222.1"
	routerV6 = "fd00:222::1"
	clientV4 = "10.78.0.2" // the client's address behind the router
	nodes    = 3
)

// long bounds every wait. It is far above what anything takes, so that no test depends on the machine's speed.
const long = 90 * time.Second

var (
	bin     string // where the programs are
	labDir  string
	cluster *labtest.Lab
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(webhookEnv); dir != "" {
		fmt.Fprintln(os.Stderr, "e2e webhook:", serveWebhook(dir))
		os.Exit(1)
	}
	status, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		status = 1
	}
	os.Exit(status)
}

func run(m *testing.M) (status int, err error) {
	if os.Geteuid() != 0 {
		return 1, errors.New("the lab is made of network namespaces, which needs root: run the tests as root")
	}
	if bin, err = filepath.Abs("../../bin"); err != nil {
		return 1, err
	}
	for _, program := range []string{"lab", "kube", "kubectl", "apiserver", "controller", "speaker", "webhooks", "must-gather", "grpcurl"} {
		if _, err := os.Stat(filepath.Join(bin, program)); err != nil {
			return 1, fmt.Errorf("%w: run make build grpcurl", err)
		}
	}
	if labDir, err = os.MkdirTemp("", "ingot-e2e-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(labDir)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cluster, err = labtest.Start(ctx, filepath.Join(bin, "lab"), labDir, labtest.Options{Nodes: nodes, Args: []string{"apiserver=--export-interval=5s"}, Progress: os.Stderr})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, endCouple(), cluster.Down(context.Background())) }()
	status = m.Run()
	return status, errors.Join(readAudit(cluster), readCouple(), judgeRights())
}

// output runs a command and returns what it wrote; on failure the error has it too.
func output(stdin string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(labDir, "kubeconfig"))
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}

// tryLab runs a verb of the lab.
func tryLab(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	return cluster.Run(ctx, args...)
}

// lab runs a verb of the lab that must succeed.
func lab(t testing.TB, args ...string) string {
	t.Helper()
	switch args[0] {
	case "kill", "stop", "pause", "cut":
		tend(t)
	}
	out, err := tryLab(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tryIn runs a command in a place of the lab.
func tryIn(place string, command ...string) (string, error) {
	return tryLab(append([]string{"exec", place, "--"}, command...)...)
}

// in runs a command in a place of the lab that must succeed.
func in(t testing.TB, place string, command ...string) string {
	t.Helper()
	out, err := tryIn(place, command...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tryKubectl runs kubectl with stdin.
func tryKubectl(stdin string, args ...string) (string, error) {
	return output(stdin, filepath.Join(bin, "kubectl"), args...)
}

// kubectl runs kubectl, which must succeed.
func kubectl(t testing.TB, args ...string) string {
	t.Helper()
	out, err := tryKubectl("", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// apply applies manifests and deletes them when the test ends.
func apply(t testing.TB, manifests string) {
	t.Helper()
	tend(t) // if it fails itself
	if _, err := tryKubectl(manifests, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := tryKubectl(manifests, "delete", "--ignore-not-found", "--wait", "-f", "-"); err != nil {
			t.Error(err)
		}
	})
	tend(t)
}

// eventually waits until check returns nil.
func eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	await.SuccessWithin(t, long, what, check)
}

// always checks for a while that something stays true; it is for what must not happen.
func always(t testing.TB, what string, window time.Duration, check func() error) {
	t.Helper()
	for end := time.Now().Add(window); time.Now().Before(end); pause() {
		if err := check(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// pause is the interval of polling.
func pause() {
	<-time.After(100 * time.Millisecond)
}

// ingress returns the addresses of a Service of the default namespace.
func ingress(name string) ([]string, error) {
	out, err := tryKubectl("", "get", "service", name, "-o", "jsonpath={.status.loadBalancer.ingress[*].ip}")
	return strings.Fields(out), err
}

// addresses waits until a Service has n addresses.
func addresses(t testing.TB, name string, n int) []string {
	t.Helper()
	var got []string
	eventually(t, "addresses of Service "+name, func() error {
		var err error
		if got, err = ingress(name); err != nil {
			return err
		}
		if len(got) != n {
			return fmt.Errorf("has %v, want %d", got, n)
		}
		return nil
	})
	return got
}

// fetch returns what a curl from the client gets from an address.
func fetch(address string) (string, error) {
	if strings.Contains(address, ":") {
		address = "[" + address + "]"
	}
	return tryIn("client", "curl", "-sS", "--max-time", "3", "http://"+address+"/")
}

// reachable waits until a curl from the client reaches a pod, and returns its answer.
func reachable(t testing.TB, address string) string {
	t.Helper()
	var body string
	eventually(t, "curl "+address, func() error {
		var err error
		body, err = fetch(address)
		return err
	})
	return body
}

// nextHops returns the next hops that FRR's RIB has for a prefix.
func nextHops(prefix string) ([]string, error) {
	family := "ipv4"
	if strings.Contains(prefix, ":") {
		family = "ipv6"
	}
	out, err := tryIn("router", "vtysh", "-c", "show bgp "+family+" unicast "+prefix+" json")
	if err != nil {
		return nil, err
	}
	var rib struct {
		Paths []struct {
			Valid    bool
			Peer     struct{ PeerID string }
			Nexthops []struct {
				IP    string
				Scope string
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &rib); err != nil {
		return nil, fmt.Errorf("show bgp %s: %w: %s", prefix, err, out)
	}
	var hops []string
	for _, path := range rib.Paths {
		if path.Valid {
			hops = append(hops, path.Peer.PeerID)
		}
	}
	return hops, nil
}

// announcedBy waits until exactly n nodes announce a prefix to the router.
func announcedBy(t testing.TB, prefix string, n int) []string {
	t.Helper()
	var hops []string
	eventually(t, fmt.Sprintf("%d paths to %s", n, prefix), func() error {
		var err error
		if hops, err = nextHops(prefix); err != nil {
			return err
		}
		if len(hops) != n {
			return fmt.Errorf("the router has %v", hops)
		}
		return nil
	})
	return hops
}

// updates returns how many BGP UPDATE messages the router has received from each neighbour since its session came up.
func updates(t testing.TB) map[string]int {
	t.Helper()
	counts, err := tryUpdates()
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

func tryUpdates() (map[string]int, error) {
	out, err := tryIn("router", "vtysh", "-c", "show bgp neighbors json")
	if err != nil {
		return nil, err
	}
	var neighbours map[string]struct {
		BgpState     string
		MessageStats struct{ UpdatesRecv int }
	}
	if err := json.Unmarshal([]byte(out), &neighbours); err != nil {
		return nil, fmt.Errorf("show bgp neighbors: %w: %s", err, out)
	}
	counts := map[string]int{}
	for name, n := range neighbours {
		if n.BgpState == "Established" {
			counts[name] = n.MessageStats.UpdatesRecv
		}
	}
	return counts, nil
}

// established waits until the router has n BGP sessions.
func established(t testing.TB, n int) {
	t.Helper()
	eventually(t, "BGP sessions", func() error {
		up, err := tryUpdates()
		if err == nil && len(up) != n {
			err = fmt.Errorf("%d of %d are up", len(up), n)
		}
		return err
	})
}

// arp returns the MAC address that answers for an address on the LAN.
func arp(address string) (string, error) {
	out, err := tryIn("client", "arping", "-c", "1", "-w", "2", "-I", "eth0", address)
	if err != nil {
		return "", err
	}
	_, rest, ok := strings.Cut(out, "[")
	mac, _, closed := strings.Cut(rest, "]")
	if !ok || !closed {
		return "", fmt.Errorf("arping %s: %s", address, out)
	}
	return strings.ToLower(mac), nil
}

// answering waits until somebody answers ARP for an address.
func answering(t testing.TB, address string) string {
	t.Helper()
	var mac string
	eventually(t, "ARP answer for "+address, func() error {
		var err error
		mac, err = arp(address)
		return err
	})
	return mac
}
