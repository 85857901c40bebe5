package kubelet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"

	"github.com/ingot-lb/ingot/test/await"
)

// pod makes a Pod on the node out of a manifest's spec, and takes it away after the test.
func makePod(t *testing.T, name string, change func(*corev1.Pod)) *corev1.Pod {
	t.Helper()
	grace := int64(1)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			NodeName: nodeName, ServiceAccountName: "default", TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{Name: "main", Image: "test/program", Args: []string{"wait"}}},
		},
	}
	change(p)
	made, err := client.CoreV1().Pods(namespace).Create(t.Context(), p, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := client.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
		await.True(t, name+" to go", func() bool {
			_, err := client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		})
		if t.Failed() {
			t.Logf("events of %s:\n%s", name, strings.Join(events(ctx, name), "\n"))
		}
	})
	return made
}

func getPod(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	p, err := client.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// awaitPod waits until a Pod is as it should be.
func awaitPod(t *testing.T, name, what string, ok func(*corev1.Pod) bool) *corev1.Pod {
	t.Helper()
	var p *corev1.Pod
	await.Success(t, name+": "+what, func() error {
		if p = getPod(t, name); ok(p) {
			return nil
		}
		text, err := json.Marshal(p.Status)
		return errors.Join(err, errors.New(string(text)))
	})
	return p
}

func awaitRunning(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	return awaitPod(t, name, "running", func(p *corev1.Pod) bool {
		return p.Status.Phase == corev1.PodRunning && p.Status.ContainerStatuses[0].State.Running != nil
	})
}

func condition(p *corev1.Pod, kind corev1.PodConditionType) corev1.ConditionStatus {
	for _, c := range p.Status.Conditions {
		if c.Type == kind {
			return c.Status
		}
	}
	return corev1.ConditionUnknown
}

// events are those of a Pod: reason and message.
func events(ctx context.Context, name string) (all []string) {
	list, err := client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + name})
	if err != nil {
		return []string{err.Error()}
	}
	for _, e := range list.Items {
		if e.Source.Component == "kubelet" && e.Source.Host == nodeName {
			all = append(all, e.Reason+": "+e.Message)
		}
	}
	return all
}

func awaitEvent(t *testing.T, name, want string) {
	t.Helper()
	await.Success(t, "the event "+want, func() error {
		all := strings.Join(events(t.Context(), name), "\n")
		if strings.Contains(all, want) {
			return nil
		}
		return errors.New(all)
	})
}

// logsOf is what `kubectl logs` shows.
func logsOf(t *testing.T, name string, o corev1.PodLogOptions) string {
	t.Helper()
	stream, err := client.CoreV1().Pods(namespace).GetLogs(name, &o).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	text, err := io.ReadAll(stream)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// run is `kubectl exec`: what the command says, and its exit status; -1: it was not run, and errs says why.
func run(t *testing.T, name, in string, tty bool, command ...string) (out, errs string, status int) {
	t.Helper()
	way, err := remotecommand.NewWebSocketExecutor(config, "GET", execution(name, in, tty, command).String())
	if err != nil {
		t.Fatal(err)
	}
	return runBy(t, way, in, tty)
}

// execution is what is asked of the kube-apiserver.
func execution(name, in string, tty bool, command []string) *url.URL {
	return client.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: "main", Command: command, Stdin: in != "", Stdout: true, Stderr: !tty, TTY: tty,
		}, scheme.ParameterCodec).URL()
}

func runBy(t *testing.T, way remotecommand.Executor, in string, tty bool) (out, errs string, status int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	o := remotecommand.StreamOptions{Stdout: &stdout, Tty: tty}
	if in != "" {
		o.Stdin = strings.NewReader(in)
	}
	if !tty {
		o.Stderr = &stderr
	}
	err := way.StreamWithContext(t.Context(), o)
	var exit utilexec.CodeExitError
	switch {
	case errors.As(err, &exit):
		status = exit.Code
	case err != nil:
		return stdout.String(), err.Error(), -1
	}
	return stdout.String(), stderr.String(), status
}

// ask is run where it should work.
func ask(t *testing.T, name string, command ...string) string {
	t.Helper()
	out, errs, status := run(t, name, "", false, append([]string{"/program"}, command...)...)
	if status != 0 {
		t.Fatalf("%q: exit status %d: %s", command, status, errs)
	}
	return out
}

func ptr[T any](v T) *T { return &v }

func mustJSON(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(fmt.Errorf("%w: %s", err, text))
	}
}
