// Package labtest drives a lab from Go: a thin layer over the program bin/lab, which does everything.
package labtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ingot-lb/ingot/test/lab/control"
)

// Lab is a lab that is up.
type Lab struct {
	program, dir string
}

// Options are those of `lab up`. Zero values are its defaults.
type Options struct {
	Nodes      int
	APIServers int
	Router     string    // frr or none
	Without    []string  // any of apiserver, controller, speaker, webhooks
	Args       []string  // PROGRAM=ARGUMENT
	Kubelets   bool      // an ordinary cluster with nothing of ours in it
	Manifests  []string  // what is installed into such a cluster: directories and files
	Progress   io.Writer // where the steps are shown; nil: nowhere
}

// Start builds a lab in dir with the program at path, and returns when all of it is ready. The error has the end of
// the log of what failed. If ctx ends before, nothing is left.
func Start(ctx context.Context, program, dir string, o Options) (*Lab, error) {
	l := &Lab{program: program, dir: dir}
	args := []string{"up"}
	if o.Nodes > 0 {
		args = append(args, "--nodes="+strconv.Itoa(o.Nodes))
	}
	if o.APIServers > 0 {
		args = append(args, "--apiservers="+strconv.Itoa(o.APIServers))
	}
	if o.Router != "" {
		args = append(args, "--router="+o.Router)
	}
	if len(o.Without) > 0 {
		args = append(args, "--without="+strings.Join(o.Without, ","))
	}
	if o.Kubelets {
		args = append(args, "--kubelets")
	}
	for _, from := range o.Manifests {
		args = append(args, "--from-manifests="+from)
	}
	for _, arg := range o.Args {
		args = append(args, "--arg="+arg)
	}
	if _, err := l.run(ctx, o.Progress, nil, args...); err != nil {
		return nil, err
	}
	return l, nil
}

// Dir is where the lab is kept.
func (l *Lab) Dir() string { return l.dir }

// KubeConfig is the path of an administrator's kubeconfig that works in this process.
func (l *Lab) KubeConfig() string { return filepath.Join(l.dir, "kubeconfig") }

// AuditLogs are the files of the kube-apiserver's audit log of what our ServiceAccounts asked for, the current one last. What is
// older than the files that are kept is gone.
func (l *Lab) AuditLogs() ([]string, error) {
	rotated, err := filepath.Glob(filepath.Join(l.dir, "log", "audit", "audit-*.log"))
	return append(rotated, filepath.Join(l.dir, "log", "audit", "audit.log")), err
}

// Down ends the lab. Nothing of it is left but its logs.
func (l *Lab) Down(ctx context.Context) error { return l.verb(ctx, "down") }

// Status says how every part is. Ready is false if any is not well or a cable is cut.
func (l *Lab) Status(ctx context.Context) (control.LabStatus, error) {
	var s control.LabStatus
	// The exit status says no more than Ready does.
	out, err := l.run(ctx, nil, nil, "status", "--output=json")
	if decoded := json.Unmarshal([]byte(out), &s); decoded != nil && err == nil {
		err = decoded
	} else if decoded == nil {
		err = nil
	}
	return s, err
}

// Exec runs a program in a place and returns what it wrote to standard output. The error has what it wrote to
// standard error, and wraps an *exec.ExitError with its exit status.
func (l *Lab) Exec(ctx context.Context, place string, command ...string) (string, error) {
	return l.ExecInput(ctx, nil, place, command...)
}

// ExecInput is Exec with standard input.
func (l *Lab) ExecInput(ctx context.Context, stdin io.Reader, place string, command ...string) (string, error) {
	return l.run(ctx, nil, stdin, append([]string{"exec", place, "--"}, command...)...)
}

// Kill ends a part by SIGKILL and returns when it is gone.
func (l *Lab) Kill(ctx context.Context, part string) error { return l.verb(ctx, "kill", part) }

// Stop ends a part by SIGTERM and returns when it is gone.
func (l *Lab) Stop(ctx context.Context, part string) error { return l.verb(ctx, "stop", part) }

// StartPart starts a part and returns when it is ready.
func (l *Lab) StartPart(ctx context.Context, part string) error { return l.verb(ctx, "start", part) }

// Pause stops a part where it is.
func (l *Lab) Pause(ctx context.Context, part string) error { return l.verb(ctx, "pause", part) }

// Resume lets a paused part go on.
func (l *Lab) Resume(ctx context.Context, part string) error { return l.verb(ctx, "resume", part) }

// Cut pulls a place's cable out of the switch of a link, lan or mgmt; "": of both.
func (l *Lab) Cut(ctx context.Context, place, link string) error {
	return l.verb(ctx, "cut", place, "--link="+link)
}

// Heal puts it back.
func (l *Lab) Heal(ctx context.Context, place, link string) error {
	return l.verb(ctx, "heal", place, "--link="+link)
}

// Token is a fresh token of a node's speaker for an audience, valid for expiry, which may be negative.
func (l *Lab) Token(ctx context.Context, node, audience string, expiry time.Duration) (string, error) {
	out, err := l.run(ctx, nil, nil, "token", node, "--audience="+audience, fmt.Sprintf("--expiry=%d", int(expiry.Seconds())))
	return strings.TrimSpace(out), err
}

// Run runs any verb of the lab and returns what it wrote to standard output.
func (l *Lab) Run(ctx context.Context, args ...string) (string, error) {
	return l.run(ctx, nil, nil, args...)
}

func (l *Lab) verb(ctx context.Context, args ...string) error {
	_, err := l.Run(ctx, args...)
	return err
}

// run runs the program. A ctx that ends interrupts it as a user would, so that it can clean up.
func (l *Lab) run(ctx context.Context, progress io.Writer, stdin io.Reader, args ...string) (string, error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, l.program, append([]string{"--dir", l.dir}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if args[0] == "exec" {
		cmd.Cancel = func() error { return cmd.Process.Kill() } // the program inside is killed with it
	}
	cmd.WaitDelay = 2 * time.Minute // far above what an interrupted lab takes to clean up
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	if progress != nil {
		cmd.Stdout = io.MultiWriter(&out, progress)
	}
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("lab %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}
