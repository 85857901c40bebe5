package kubelet_test

import (
	"bufio"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/ingot-lb/ingot/test/await"
)

func TestExec(t *testing.T) {
	makePod(t, "exec", func(p *corev1.Pod) {
		p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsUser: ptr(int64(1000)), AllowPrivilegeEscalation: ptr(false)}
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "X", Value: "y"}}
	})
	awaitRunning(t, "exec")
	for _, c := range []struct {
		in      string
		tty     bool
		command []string
		out     string
		errs    string
		status  int
	}{
		{command: []string{"/program", "exit", "42"}, out: "exiting with 42\n", errs: "complaining\n", status: 42},
		{command: []string{"/program", "read"}, in: "hello", out: "hello"},
		// What is typed at a terminal is shown, too.
		{command: []string{"/program", "terminal"}, in: "x\n", tty: true, out: "x\r\nterminal: true\r\n"},
		{command: []string{"none"}, status: -1, errs: `exec: "none": executable file not found in $PATH`},
	} {
		url := execution("exec", c.in, c.tty, c.command)
		socket, err := remotecommand.NewWebSocketExecutor(config, "GET", url.String())
		if err != nil {
			t.Fatal(err)
		}
		spdy, err := remotecommand.NewSPDYExecutor(config, "POST", url)
		if err != nil {
			t.Fatal(err)
		}
		for name, way := range map[string]remotecommand.Executor{"WebSocket": socket, "SPDY": spdy} {
			out, errs, status := runBy(t, way, c.in, c.tty)
			if out != c.out || status != c.status || !strings.Contains(errs, c.errs) {
				t.Errorf("%q by %s: %q, %q, %d", c.command, name, out, errs, status)
			}
		}
	}
	var got report
	mustJSON(t, ask(t, "exec", "report"), &got)
	if got.User != 1000 || got.PID == 1 || !got.NoNewPrivileges || valueOf(got.Env, "X") != "y" || got.Hostname != "exec" {
		t.Errorf("what is executed finds %+v", got)
	}
}

func TestLogs(t *testing.T) {
	makePod(t, "logs", func(*corev1.Pod) {})
	awaitRunning(t, "logs")
	await.True(t, "its first line", func() bool { return logsOf(t, "logs", corev1.PodLogOptions{}) == "waiting\n" })
	if got := logsOf(t, "logs", corev1.PodLogOptions{TailLines: ptr(int64(0))}); got != "" {
		t.Errorf("the last 0 lines: %q", got)
	}
	if got := logsOf(t, "logs", corev1.PodLogOptions{Timestamps: true}); !strings.HasSuffix(got, "Z waiting\n") {
		t.Errorf("with times: %q", got)
	}
	stream, err := client.CoreV1().Pods(namespace).GetLogs("logs", &corev1.PodLogOptions{Follow: true}).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	lines := bufio.NewScanner(stream)
	if !lines.Scan() || lines.Text() != "waiting" {
		t.Errorf("followed: %q, %v", lines.Text(), lines.Err())
	}
	node.do(t, "hold", "logs", "main")
	node.do(t, "kill", "logs", "main")
	if lines.Scan() {
		t.Errorf("after the end: %q", lines.Text())
	}
	if _, err := client.CoreV1().Pods(namespace).GetLogs("logs", &corev1.PodLogOptions{Previous: true}).Stream(t.Context()); err == nil ||
		!strings.Contains(err.Error(), `previous terminated container "main" in pod "logs" not found`) {
		t.Errorf("the log of a start before the first: %v", err)
	}
}
