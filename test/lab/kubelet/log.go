package kubelet

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/test/lab/kubelet/logs"
)

// logs is where the logs of a Pod's containers are.
func (k *Kubelet) logs(pod *corev1.Pod) string {
	return filepath.Join(k.State, "log", pod.Namespace+"_"+pod.Name+"_"+string(pod.UID))
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
	path, before, process, written, state := i.logPath, i.before, i.process, i.log, i.state
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
		options.Ended = func() bool { return process == nil || !process.Alive() && written.Whole() }
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
