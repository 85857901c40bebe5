// Program must-gather collects what is needed to find out what is wrong with the load balancer of a cluster, without its secrets,
// into a directory and a compressed file. In an image for `oc adm must-gather` it is /usr/bin/gather.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/ingot-lb/ingot/deploy/must-gather/archive"
	"github.com/ingot-lb/ingot/deploy/must-gather/collect"
	"github.com/ingot-lb/ingot/deploy/must-gather/redact"
)

// version is set by the linker.
var version = "dev"

// mounted is where `oc adm must-gather` fetches the result from.
const mounted = "/must-gather"

type options struct {
	collect.Options
	output, archive string
	kubectl         string
	deadline        time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "must-gather:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	started := time.Now().UTC()
	shared := o.place(mounted, started)
	secret := redact.New()
	tree, err := archive.New(o.output, shared, secret)
	if err != nil {
		return err
	}
	gatherer := collect.New(o.Options, tree, secret)
	limited, cancel := context.WithTimeout(ctx, o.deadline)
	defer cancel()
	gathered := gatherer.Run(limited)
	failed, all := tree.Failed()
	ended := time.Now().UTC()
	err = errors.Join(gathered,
		tree.Write(archive.Entry{Path: "version", Started: ended, Note: "of the program that collected this"}, []byte("ingot/must-gather\n"+version+"\n"), true),
		tree.Close(map[string]string{
			"version": version, "namespace": gatherer.Namespace(), "started": started.Format(time.RFC3339), "ended": ended.Format(time.RFC3339),
			"command": strings.Join(os.Args, " "), "asked": fmt.Sprint(all), "failed": fmt.Sprint(failed),
		}))
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d of %d things could not be collected; %s has what, when and why\n", failed, all, filepath.Join(o.output, "index.txt"))
	if o.archive != "none" {
		if err := archive.Tar(o.output, o.archive); err != nil {
			return err
		}
		fmt.Println(o.archive)
	}
	return nil
}

// place decides where to write, and says whether that is the volume which is mounted for it. That one is carried away as it is,
// so that a compressed file would only double it.
func (o *options) place(mounted string, now time.Time) (shared bool) {
	if o.output == "" {
		o.output = "ingot-must-gather-" + now.Format("20060102T150405Z")
		if info, err := os.Stat(mounted); err == nil && info.IsDir() {
			o.output = mounted
		}
	}
	o.output = filepath.Clean(o.output)
	shared = o.output == mounted
	if o.archive == "" {
		o.archive = o.output + ".tar.gz"
		if shared {
			o.archive = "none"
		}
	}
	return shared
}

func parse(args []string) (options, error) {
	o := options{Options: collect.Options{Progress: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }}}
	f := pflag.NewFlagSet("must-gather", pflag.ContinueOnError)
	var since string
	f.StringVarP(&o.output, "output", "o", "", "directory to write to, which must be empty; default "+mounted+" where there is one, else a new one here")
	f.StringVar(&o.archive, "archive", "", `compressed file to write; default the directory's name with .tar.gz, and none for `+mounted+`; "none" for none`)
	f.StringVarP(&o.Namespace, "namespace", "n", os.Getenv("METALLB_NAMESPACE"), "system namespace; default where the APIService of metallb.io points, else metallb-system")
	f.StringVar(&o.kubectl, "kubectl", os.Getenv("KUBECTL"), "kubectl or oc, and flags for it; default whichever is in PATH")
	f.StringVar(&o.Via, "via", os.Getenv("MUST_GATHER_VIA"), "program that reaches containers in kubectl's place: VIA exec NAMESPACE POD CONTAINER COMMAND…, VIA logs NAMESPACE POD CONTAINER current|previous")
	f.DurationVar(&o.StepTimeout, "step-timeout", 30*time.Second, "bounds one command")
	f.DurationVar(&o.deadline, "deadline", 20*time.Minute, "bounds everything; what was not asked by then is noted")
	f.IntVar(&o.LogBytes, "log-bytes", 20<<20, "how much of each log is kept, from its end")
	f.StringVar(&since, "since", "", "only logs newer than this, such as 2h")
	f.IntVar(&o.Parallel, "parallel", 8, "Pods that are asked at once")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("no arguments are taken: %q", f.Args())
	case o.Parallel < 1, o.LogBytes < 1, o.StepTimeout <= 0, o.deadline <= 0:
		return o, errors.New("--parallel, --log-bytes, --step-timeout and --deadline must be more than 0")
	}
	o.Since = collect.Environment()
	if since != "" {
		o.Since = "--since=" + since
	}
	o.Kubectl = strings.Fields(o.kubectl)
	if len(o.Kubectl) == 0 {
		o.Kubectl = []string{"kubectl"}
		if _, err := exec.LookPath("kubectl"); err != nil {
			o.Kubectl[0] = "oc"
		}
	}
	if _, err := exec.LookPath(o.Kubectl[0]); err != nil {
		return o, err
	}
	return o, nil
}
