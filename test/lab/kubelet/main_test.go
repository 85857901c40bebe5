package kubelet_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/ingot-lb/ingot/deploy/image"
	"github.com/ingot-lb/ingot/test/kubeapi"
	"github.com/ingot-lb/ingot/test/lab/kubelet"
	"github.com/ingot-lb/ingot/test/lab/kubelet/container"
	"github.com/ingot-lb/ingot/test/lab/pki"
	"github.com/ingot-lb/ingot/test/lab/process"
	"github.com/ingot-lb/ingot/test/loopback"
)

const (
	nodeName  = "node1"
	backOff   = 200 * time.Millisecond
	namespace = "default"
)

// The cluster that all tests share: a kube-apiserver, and one node, which has one address with all of its Pods.
var (
	address = loopback.Address()
	config  *rest.Config
	client  kubernetes.Interface
	node    *remoteNode
)

// TestMain is four programs: the tests, a node's kubelet in namespaces of its own, the shim, and what runs in containers.
func TestMain(m *testing.M) {
	switch {
	case os.Args[0] == "/program":
		program(os.Args[1:])
	case len(os.Args) > 2 && os.Args[1] == "container":
		container.Main(os.Args[2:])
	case len(os.Args) > 2 && os.Args[1] == "node":
		runNode(os.Args[2])
	default:
		os.Exit(withCluster(m.Run))
	}
}

func fail(err error) {
	if err != nil {
		panic(err)
	}
}

// withCluster runs the tests in a cluster.
func withCluster(run func() int) int {
	if os.Geteuid() != 0 {
		panic("containers need root")
	}
	dir, err := os.MkdirTemp("", "kubelet")
	fail(err)
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	addresses := []net.IP{address.AsSlice()}
	keys, err := pki.New(filepath.Join(dir, "pki"), []string{"localhost"}, addresses)
	fail(err)
	fail(errors.Join(keys.Serving("kubelet", addresses), keys.Client("kubelet-client", "kube-apiserver", "system:masters")))
	api, err := kubeapi.Start(ctx, dir, "--kubelet-client-certificate="+keys.Path("kubelet-client.crt"),
		"--kubelet-client-key="+keys.Path("kubelet-client.key"), "--kubelet-certificate-authority="+keys.Path("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP")
	fail(err)
	defer api.Stop()
	config = api.Admin()
	client, err = kubernetes.NewForConfig(config)
	fail(err)
	_, err = client.CoreV1().ServiceAccounts(namespace).Create(ctx,
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{})
	fail(err)
	fail(awaitService(ctx))
	node, err = startNode(nodeConfig{Host: config.Host, Token: config.BearerToken, Dir: dir, Address: address})
	fail(err)
	defer node.end()
	fail(awaitNode(ctx))
	return run()
}

// awaitService waits for the API's own Service, which containers are told of and the kube-apiserver makes in its own time.
func awaitService(ctx context.Context) error {
	return wait.PollUntilContextCancel(ctx, 10*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().Services(namespace).Get(ctx, "kubernetes", metav1.GetOptions{})
		return err == nil, nil
	})
}

// awaitNode waits until the kube-apiserver knows where to ask the node for logs and sessions.
func awaitNode(ctx context.Context) error {
	return wait.PollUntilContextCancel(ctx, 10*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		n, err := client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
		return err == nil && n.Status.DaemonEndpoints.KubeletEndpoint.Port != 0 && len(n.Status.Addresses) > 0, nil
	})
}

// nodeConfig is what the node's process is told.
type nodeConfig struct {
	Host, Token, Dir string
	Address          netip.Addr
}

// remoteNode is the process of a node's kubelet: the first of a pid namespace, whose end takes every container along.
type remoteNode struct {
	dir     string
	process *exec.Cmd
	verbs   *json.Encoder
	answers *json.Decoder
}

func startNode(c nodeConfig) (*remoteNode, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "node", string(text))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &remoteNode{dir: c.Dir, process: cmd, verbs: json.NewEncoder(in), answers: json.NewDecoder(bufio.NewReader(out))}, cmd.Start()
}

func (n *remoteNode) end() {
	_ = n.process.Process.Kill() // there is nothing more to lose
	_ = n.process.Wait()
}

// root is a path of the node.
func (n *remoteNode) root(path string) string { return filepath.Join(n.dir, "root", path) }

// do has the node's process do something, and returns when it is done.
func (n *remoteNode) do(t *testing.T, verb, pod, name string) kubelet.Container {
	t.Helper()
	var a answer
	if err := errors.Join(n.verbs.Encode(request{verb, pod, name}), n.answers.Decode(&a)); err != nil {
		t.Fatal(err)
	}
	if a.Error != "" {
		t.Fatalf("%s %s %s: %s", verb, pod, name, a.Error)
	}
	return a.Container
}

type request struct{ Verb, Pod, Container string }

type answer struct {
	Error     string
	Container kubelet.Container
}

// runNode is the life of the node's process.
func runNode(text string) {
	var c nodeConfig
	fail(json.Unmarshal([]byte(text), &c))
	fail(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	fail(unix.Mount("proc", "/proc", "proc", 0, ""))
	self, err := os.Executable()
	fail(err)
	client, err := kubernetes.NewForConfig(&rest.Config{
		Host: c.Host, BearerToken: c.Token, QPS: -1, TLSClientConfig: rest.TLSClientConfig{Insecure: true},
	})
	fail(err)
	serving, err := tls.LoadX509KeyPair(filepath.Join(c.Dir, "pki", "kubelet.crt"), filepath.Join(c.Dir, "pki", "kubelet.key"))
	fail(err)
	ca, err := os.ReadFile(filepath.Join(c.Dir, "pki", "ca.crt"))
	fail(err)
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ca)
	reaper := process.NewReaper()
	go reaper.Run(context.Background())
	addresses := []netip.Addr{c.Address}
	k := kubelet.New(kubelet.Config{
		Client: client, NodeName: nodeName, Addresses: addresses,
		Sandbox: func(context.Context, *corev1.Pod) (*kubelet.Sandbox, error) {
			return &kubelet.Sandbox{Addresses: addresses}, nil
		},
		Image: func(reference string) (image.Image, bool) { return testImage(self), reference == "test/program" },
		Bin:   filepath.Dir(self), Root: filepath.Join(c.Dir, "root"), State: filepath.Join(c.Dir, "state"),
		Shim: []string{self, "container"}, Reaper: reaper, DNS: addresses, Serving: serving, Clients: clients,
		BackOff: backOff, Lease: 4 * time.Second, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	serveVerbs(k)
}

// testImage has this program.
func testImage(self string) image.Image {
	return image.Image{
		Name: "test/program", Package: "./" + filepath.Base(self), Entrypoint: []string{"/program"}, Env: []string{"PATH=/", "FROM_IMAGE=yes"},
		Files: []image.File{
			{Path: "etc", Mode: os.ModeDir | 0o755}, {Path: "etc/passwd", Mode: 0o644, Content: "root:x:0:0::/:/\n"},
			{Path: "link", Mode: os.ModeSymlink | 0o777, Target: "/program"}, {Path: "program", Mode: 0o755, Program: true},
			{Path: "tmp", Mode: os.ModeDir | 0o777},
		},
	}
}

// serveVerbs runs the kubelet, and does what is asked for on standard input.
func serveVerbs(k *kubelet.Kubelet) {
	var stop context.CancelFunc
	var ended chan error
	run := func() {
		ctx, cancel := context.WithCancel(context.Background())
		stop, ended = cancel, make(chan error, 1)
		go func() { ended <- k.Run(ctx) }()
	}
	run()
	requests, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var r request
		if requests.Decode(&r) != nil {
			return
		}
		key := types.NamespacedName{Namespace: namespace, Name: r.Pod}
		var a answer
		var err error
		switch r.Verb {
		case "hold":
			err = k.Hold(key, r.Container)
		case "release":
			err = k.Release(key, r.Container)
		case "kill":
			err = k.Kill(context.Background(), key, r.Container, syscall.SIGKILL)
		case "pause":
			err = k.Signal(key, r.Container, syscall.SIGSTOP)
		case "find":
			err = fmt.Errorf("no %s in %s", r.Container, r.Pod)
			for _, c := range k.Containers() {
				if c.Pod == key && c.Name == r.Container {
					a.Container, err = c, nil
				}
			}
		case "stop":
			stop()
			err = <-ended
		case "run":
			run()
		}
		if err != nil {
			a.Error = err.Error()
		}
		fail(answers.Encode(a))
	}
}

// valueOf is the value of a variable in an environment.
func valueOf(env []string, name string) string {
	for _, variable := range env {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}
