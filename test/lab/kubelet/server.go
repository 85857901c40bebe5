package kubelet

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"

	"github.com/ingot-lb/ingot/test/lab/kubelet/container"
	"github.com/ingot-lb/ingot/test/lab/kubelet/logs"
)

const (
	idleTimeout   = 4 * time.Hour // of a stream that nothing goes over
	administrator = "system:masters"
)

// logs is where the logs of a Pod's containers are.
func (k *Kubelet) logs(pod *corev1.Pod) string {
	return filepath.Join(k.State, "log", pod.Namespace+"_"+pod.Name+"_"+string(pod.UID))
}

// serve serves the kubelet's API, as far as kubectl needs it, until ctx ends.
func (k *Kubelet) serve(ctx context.Context, listener net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux.HandleFunc("GET /pods", k.servePods)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.serveLogs)
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", k.serveExec)
	mux.HandleFunc("/portForward/{namespace}/{pod}", k.servePortForward)
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			who := r.TLS.PeerCertificates[0].Subject
			if !slices.Contains(who.Organization, administrator) {
				http.Error(w, fmt.Sprintf("Forbidden (user=%s)", who.CommonName), http.StatusForbidden)
				return
			}
			mux.ServeHTTP(w, r)
		}),
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{k.Serving}, ClientCAs: k.Clients, ClientAuth: tls.RequireAndVerifyClientCert,
			NextProtos: []string{"http/1.1"}, // streams are upgrades
		},
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(k.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("the kubelet's API: %w", err)
	}
	return nil
}

func (k *Kubelet) servePods(w http.ResponseWriter, _ *http.Request) {
	list := corev1.PodList{}
	list.APIVersion, list.Kind = "v1", "PodList"
	for _, p := range k.all() {
		p.mu.Lock()
		list.Items = append(list.Items, *p.object)
		p.mu.Unlock()
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list) // who asked has hung up otherwise
}

// asked is what a request's path names.
func (k *Kubelet) asked(r *http.Request) (*pod, *instance, error) {
	return k.find(types.NamespacedName{Namespace: r.PathValue("namespace"), Name: r.PathValue("pod")}, r.PathValue("container"))
}

func (k *Kubelet) serveLogs(w http.ResponseWriter, r *http.Request) {
	p, i, err := k.asked(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	options, previous, err := logOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	path, before, process, state := i.logPath, i.before, i.process, i.state
	p.mu.Unlock()
	switch {
	case previous && before == "":
		http.Error(w, fmt.Sprintf("previous terminated container %q in pod %q not found", i.name, p.key.Name), http.StatusBadRequest)
		return
	case previous:
		path, process = before, nil
	case path == "":
		reason := "ContainerCreating"
		if state.Waiting != nil {
			reason = state.Waiting.Reason
		}
		http.Error(w, fmt.Sprintf("container %q in pod %q is waiting to start: %s", i.name, p.key.Name, reason), http.StatusBadRequest)
		return
	}
	if r.URL.Query().Get("follow") == "true" {
		options.Ended = func() bool { return process == nil || !process.Alive() }
	}
	w.Header().Set("Content-Type", "text/plain")
	out := flushing{w, http.NewResponseController(w)}
	w.WriteHeader(http.StatusOK)
	if err := errors.Join(out.control.Flush(), logs.Read(r.Context(), path, options, out)); err != nil && r.Context().Err() == nil {
		k.log.Warn("serving a log", "pod", p.key.String(), "container", i.name, "error", err)
	}
}

// logOptions are those of the API's PodLogOptions, as the kube-apiserver passes them on.
func logOptions(r *http.Request) (o logs.Options, previous bool, err error) {
	q := r.URL.Query()
	number := func(name string) *int64 {
		text := q.Get(name)
		if text == "" || err != nil {
			return nil
		}
		var n int64
		if n, err = strconv.ParseInt(text, 10, 64); err == nil && n < 0 {
			err = fmt.Errorf("%s: must be 0 or more", name)
		}
		return &n
	}
	o.Tail, o.Limit = number("tailLines"), number("limitBytes")
	if seconds := number("sinceSeconds"); seconds != nil {
		o.Since = time.Now().Add(-time.Duration(*seconds) * time.Second)
	}
	if text := q.Get("sinceTime"); text != "" && err == nil {
		o.Since, err = time.Parse(time.RFC3339, text)
	}
	o.Timestamps = q.Get("timestamps") == "true"
	switch q.Get("stream") {
	case corev1.LogStreamStdout:
		o.Stream = "stdout"
	case corev1.LogStreamStderr:
		o.Stream = "stderr"
	}
	return o, q.Get("previous") == "true", err
}

// flushing sends each line on its way.
type flushing struct {
	to      io.Writer
	control *http.ResponseController
}

func (f flushing) Write(text []byte) (int, error) {
	n, err := f.to.Write(text)
	return n, errors.Join(err, f.control.Flush())
}

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
