// Command l2bench runs the fault matrix of layer 2 on a lab of its own (docs/figures.md), and prints a table.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ingot-lb/ingot/test/lab/labtest"
	"github.com/ingot-lb/ingot/test/matrix"
)

// options are the command's.
type options struct {
	bin, out string
	dir      string
	runs     int
	only     *regexp.Regexp
	loss     time.Duration
	table    bool
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "where the programs are")
	flag.StringVar(&o.out, "out", ".cache/bench-l2.jsonl", "where records are kept; a series that was interrupted is gone on with")
	flag.IntVar(&o.runs, "runs", 2, "how often each fault is tried")
	flag.StringVar(&o.dir, "dir", "", "where the lab is built, and its logs stay; default: somewhere, and nothing stays")
	only := flag.String("faults", "", "the faults to try, as a regular expression; default: all")
	flag.DurationVar(&o.loss, "loss", matrix.Loss, "how long frames are lost for")
	flag.BoolVar(&o.table, "table", false, "print the table of what is in the file, and measure nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if o.only, err = regexp.Compile(*only); err == nil {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "l2bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	build, err := identity(o.bin)
	if err != nil {
		return err
	}
	done, err := records(o.out, build)
	if err != nil {
		return err
	}
	if !o.table {
		if err := measure(ctx, o, build, done); err != nil {
			return err
		}
		if done, err = records(o.out, build); err != nil {
			return err
		}
	}
	return matrix.Print(os.Stdout, matrix.Summarize(done))
}

// records are those in the file that are of this build. Those of others are left alone.
func records(path, build string) ([]matrix.Record, error) {
	all, err := matrix.Load(path)
	if err != nil {
		return nil, err
	}
	mine := slices.DeleteFunc(slices.Clone(all), func(r matrix.Record) bool { return r.Build != build })
	if n := len(all) - len(mine); n > 0 {
		fmt.Fprintf(os.Stderr, "%s: %d records of other builds do not count\n", path, n)
	}
	return mine, nil
}

// job is one fault of one run.
type job struct {
	run    int
	fault  matrix.Fault
	victim string
}

// jobs are those that are not done yet.
func jobs(o options, done []matrix.Record) []job {
	var all []job
	for run := 1; run <= o.runs; run++ {
		for i, f := range matrix.Faults(o.loss) {
			has := slices.ContainsFunc(done, func(r matrix.Record) bool { return r.Run == run && r.Fault == f.Name })
			if !has && o.only.MatchString(f.Name) {
				all = append(all, job{run, f, fmt.Sprintf("node%d", (run+i)%3+1)})
			}
		}
	}
	return all
}

func measure(ctx context.Context, o options, build string, done []matrix.Record) (err error) {
	todo := jobs(o, done)
	if len(todo) == 0 {
		return nil
	}
	if os.Geteuid() != 0 {
		return errors.New("the lab is made of network namespaces, which needs root")
	}
	if err := os.MkdirAll(filepath.Dir(o.out), 0o755); err != nil {
		return err
	}
	dir := o.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "ingot-l2bench-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	bin, err := filepath.Abs(o.bin)
	if err != nil {
		return err
	}
	l, err := labtest.Start(ctx, filepath.Join(bin, "lab"), dir, labtest.Options{Nodes: 3, Progress: os.Stderr})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Down(context.WithoutCancel(ctx))) }()
	if err := matrix.Prefer(); err != nil {
		return err
	}
	m, err := matrix.Open(ctx, dir, l.KubeConfig(), build)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close(context.WithoutCancel(ctx))) }()
	began := time.Now()
	for i, j := range todo {
		settling := time.Now()
		if err := m.Settle(ctx); err != nil {
			return err
		}
		settled, trying := time.Since(settling), time.Now()
		r, err := m.Try(ctx, j.fault, j.victim)
		if err != nil {
			return err
		}
		for k := range r {
			r[k].Run = j.run
		}
		if err := matrix.Append(o.out, r); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%4.0fs  %d/%d  run %d  %s on %s: %s (settled in %.1fs, took %.1fs)\n", time.Since(began).Seconds(), i+1, len(todo),
			j.run, j.fault.Name, j.victim, outcome(r), settled.Seconds(), time.Since(trying).Seconds())
	}
	return nil
}

// outcome is what a run of a fault has shown, in a line.
func outcome(records []matrix.Record) string {
	var parts []string
	for _, s := range matrix.Summarize(records) {
		part := fmt.Sprintf("gap %s ms (prober's %s), %d lost, %d at once for %s ms, %d moves", s.ClientWorst, s.ProbeWorst, s.Lost, s.AtOnce, s.Overlap, s.Moves)
		if len(s.Misses) > 0 {
			part += " [" + strings.Join(s.Misses, ", ") + "]"
		}
		parts = append(parts, part)
	}
	for _, r := range records {
		parts = append(append(parts, r.Wrong...), r.Unsettled...)
	}
	return strings.Join(parts, "; ")
}

// identity tells builds of the measured programs apart.
func identity(bin string) (string, error) {
	h := sha256.New()
	for _, program := range []string{"apiserver", "controller", "speaker"} {
		f, err := os.Open(filepath.Join(bin, program))
		if err != nil {
			return "", fmt.Errorf("%w: run make build", err)
		}
		_, err = io.Copy(h, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:6]), nil
}
