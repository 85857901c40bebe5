package kubelet

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"

	"github.com/ingot-lb/ingot/test/lab/kubelet/container"
)

// idleTimeout is how long nothing may go over a stream.
const idleTimeout = 4 * time.Hour

func (k *Kubelet) serveExec(w http.ResponseWriter, r *http.Request) {
	p, i, err := k.asked(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	p.mu.Lock()
	running := i.running
	p.mu.Unlock()
	if !running {
		http.Error(w, fmt.Sprintf("container not found (%q)", i.name), http.StatusInternalServerError)
		return
	}
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeExec(w, r, &executor{p, i}, p.key.Name, string(p.uid), i.name, r.URL.Query()["command"], options,
		idleTimeout, remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

// executor executes commands in one container.
type executor struct {
	pod      *pod
	instance *instance
}

// ExecInContainer implements remotecommand.Executor.
func (e *executor) ExecInContainer(ctx context.Context, _, _, _ string, command []string, in io.Reader, out, errs io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	e.pod.mu.Lock()
	as, process := e.instance.as, e.instance.process
	e.pod.mu.Unlock()
	as.Args = command
	talk := container.IO{In: in, TTY: tty}
	if out != nil {
		talk.Out = out
	}
	if errs != nil {
		talk.Err = errs
	}
	if tty {
		as.Env = append(slices.Clone(as.Env), "TERM=xterm")
		sizes := make(chan container.Terminal)
		talk.Resize = sizes
		go func() {
			defer close(sizes)
			for {
				select {
				case <-ctx.Done():
					return
				case size, ok := <-resize:
					if !ok {
						return
					}
					select {
					case sizes <- container.Terminal{Columns: size.Width, Rows: size.Height}:
					case <-ctx.Done():
						return
					}
				}
			}
		}()
	}
	status, err := e.pod.k.runtime.Run(ctx, process.PID(), as, talk)
	if err != nil {
		return fmt.Errorf("failed to exec in container: %w", err)
	}
	if code := exitCode(status); code != 0 {
		return utilexec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
	}
	return nil
}

func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

func (k *Kubelet) servePortForward(w http.ResponseWriter, r *http.Request) {
	key := types.NamespacedName{Namespace: r.PathValue("namespace"), Name: r.PathValue("pod")}
	i := slices.IndexFunc(k.Containers(), func(c Container) bool { return c.Pod == key })
	if i < 0 {
		http.Error(w, fmt.Sprintf("pod %s is not on node %s", key, k.NodeName), http.StatusNotFound)
		return
	}
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, forwarder{k, key}, key.Name, "", options,
		idleTimeout, remotecommand.DefaultStreamCreationTimeout, portforward.SupportedProtocols)
}

// forwarder connects to the ports of one Pod.
type forwarder struct {
	k   *Kubelet
	key types.NamespacedName
}

// PortForward implements portforward.PortForwarder: it connects to the port from within the Pod's network.
func (f forwarder) PortForward(ctx context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	var sandbox *Sandbox
	for _, p := range f.k.all() {
		p.mu.Lock()
		if p.key == f.key && !p.gone {
			sandbox = p.sandbox
		}
		p.mu.Unlock()
	}
	if sandbox == nil {
		return fmt.Errorf("pod %s has no network", f.key)
	}
	dial := (&net.Dialer{}).DialContext
	if sandbox.Network != nil {
		dial = sandbox.Network.DialContext
	}
	conn, err := dial(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		return err
	}
	defer conn.Close()
	done := make(chan error, 2)
	go func() { _, err := io.Copy(conn, stream); done <- err }()
	go func() { _, err := io.Copy(stream, conn); done <- err }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return nil
	}
}
