package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ingot-lb/ingot/test/lab/control"
)

// broken is why no test can do anything any more; "" while all can.
var broken string

// dumps is how many failures still show logs: the first ones say why, and the others would drown them.
var dumps = 3

// tend has the lab looked after if the test fails: the ends of logs say why, and what it took away comes back, so that the
// next test fails for reasons of its own alone. It is called by whatever changes the lab, after the cleanups that need it whole.
func tend(t testing.TB) {
	t.Helper()
	if broken != "" {
		t.Fatal(broken)
	}
	t.Cleanup(func() {
		if !t.Failed() || broken != "" {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*long)
		defer cancel()
		status, err := cluster.Status(ctx)
		if err == nil {
			if test, _, _ := strings.Cut(t.Name(), "/"); test != shown && dumps > 0 {
				dumps--
				shown = test
				t.Logf("out of order: [%s]\n%s", strings.Join(outOfOrder(status), "; "), logs(ctx))
			}
			err = mend(ctx, status)
		}
		if err != nil {
			broken = fmt.Sprintf("%s left a lab that cannot be mended: %v", t.Name(), err)
			t.Error(broken)
		}
	})
}

// shown is the test for which logs were shown last.
var shown string

// outOfOrder says what a lab lacks.
func outOfOrder(status control.LabStatus) []string {
	var out []string
	for _, p := range status.Parts {
		if p.Health != "ok" {
			out = append(out, fmt.Sprintf("%s (%s): %.200s", p.Name, p.State, p.Health))
		}
	}
	for _, place := range status.Places {
		for _, link := range place.Cut {
			out = append(out, "cut: "+place.Name+" "+link)
		}
	}
	return out
}

// logs are the ends of the logs that say most, short enough to be read where output is cut.
func logs(ctx context.Context) string {
	const lines, width = 6, 300
	var all strings.Builder
	for _, part := range []string{"apiserver/1", "kube-apiserver", "lab"} {
		out, err := cluster.Run(ctx, "logs", part, "-n", fmt.Sprint(lines))
		if err != nil {
			out = err.Error()
		}
		fmt.Fprintf(&all, "-- %s\n", part)
		for line := range strings.Lines(out) {
			fmt.Fprintf(&all, "%.*s\n", width, strings.TrimRight(line, "\n"))
		}
	}
	return all.String()
}

// mend starts, resumes and plugs in what is not, and waits until all is well and the aggregated API answers.
func mend(ctx context.Context, status control.LabStatus) error {
	var errs []error
	do := func(args ...string) {
		if _, err := cluster.Run(ctx, args...); err != nil {
			errs = append(errs, err)
		}
	}
	for _, place := range status.Places {
		for _, link := range place.Cut {
			do("heal", place.Name, "--link", link)
		}
	}
	for _, p := range status.Parts {
		switch p.State {
		case control.Dead:
			do("start", p.Name)
		case control.Paused:
			do("resume", p.Name)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for {
		status, err := cluster.Status(ctx)
		if err == nil {
			if out := outOfOrder(status); len(out) > 0 {
				err = errors.New(strings.Join(out, "; "))
			} else {
				_, err = tryKubectl("", "get", "ipaddresspools", "-A")
			}
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}
