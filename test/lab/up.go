package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingot-lb/ingot/speaker/logging"
	"github.com/ingot-lb/ingot/test/lab/cluster"
)

// goodbye is how long a wrapper that is told to end may take.
const goodbye = 15 * time.Second

func upCommand(dir *string) *cobra.Command {
	var o cluster.Options
	var i installation
	c := &cobra.Command{
		Use:   "up",
		Short: "Build the lab; returns when every part is ready",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Dir = *dir
			self, err := os.Executable()
			if err != nil {
				return err
			}
			o.Bin = filepath.Dir(self)
			o.Kubelets = o.Kubelets || len(i.from) > 0
			return up(c.Context(), self, o, i, c.InOrStdin(), c.OutOrStdout())
		},
	}
	c.Flags().IntVar(&o.Nodes, "nodes", 3, "how many nodes")
	c.Flags().IntVar(&o.APIServers, "apiservers", 1, "how many replicas of our apiserver")
	c.Flags().StringVar(&o.Router, "router", "frr", "what the router runs: frr, or none (it only forwards)")
	c.Flags().StringSliceVar(&o.Without, "without", nil, "leave out any of apiserver, controller, speaker, webhooks")
	c.Flags().StringArrayVar(&o.Args, "arg", nil, "PROGRAM=ARGUMENT, such as apiserver=--log-level=debug: one more argument of one of them; may be repeated")
	c.Flags().BoolVar(&o.Kubelets, "kubelets", false, "an ordinary cluster with kubelets and a scheduler, and nothing of Ingot in it")
	c.Flags().StringArrayVar(&i.from, "from-manifests", nil, "apply a kustomization's directory, a file or - to such a cluster, and wait until its workloads are ready; may be repeated")
	c.Flags().DurationVar(&i.patience, "timeout", 3*time.Minute, "how long workloads of --from-manifests may take to be ready")
	return c
}

// up starts a wrapper and shows how it gets on. When it returns an error, or ctx ends, nothing of the lab is left but
// its logs.
func up(ctx context.Context, self string, o cluster.Options, i installation, in io.Reader, out io.Writer) error {
	if os.Geteuid() != 0 {
		return errors.New("the lab is made of network namespaces, which needs root: run it with sudo")
	}
	if err := errors.Join(o.Validate(), i.validate()); err != nil {
		return err
	}
	kubectl := filepath.Join(o.Bin, "kubectl")
	rendered, err := i.render(ctx, kubectl, in)
	if err != nil {
		return err
	}
	lock, err := cluster.Claim(o.Dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	began := time.Now()
	fmt.Fprintf(out, "lab in %s\n", o.Dir)
	wrapper, events, err := startWrapper(self, o, lock)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- follow(events, began, out) }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = errors.New("interrupted")
	}
	if err != nil {
		return errors.Join(err, endWrapper(wrapper), cluster.Sweep(o.Dir))
	}
	if len(i.from) > 0 {
		if err := i.install(ctx, kubectl, o.Dir, rendered, out, began); err != nil {
			return errors.Join(err, endWrapper(wrapper), cluster.Sweep(o.Dir))
		}
	}
	fmt.Fprintf(out, "ready after %.1fs\n\n  export KUBECONFIG=%s\n\n", time.Since(began).Seconds(), cluster.KubeConfig(o.Dir))
	return wrapper.Process.Release()
}

// startWrapper starts this program again as the wrapper. While it builds, it dies with this process.
func startWrapper(self string, o cluster.Options, lock *os.File) (*exec.Cmd, *os.File, error) {
	options, err := json.Marshal(o)
	if err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(filepath.Dir(cluster.LogFile(o.Dir, "lab")), 0o700); err != nil {
		return nil, nil, err
	}
	log, err := os.OpenFile(cluster.LogFile(o.Dir, "lab"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	// The forwarder listens in the network of this process: a socket stays where it was made.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer listener.Close()
	inherited, err := listener.(*net.TCPListener).File()
	if err != nil {
		return nil, nil, err
	}
	defer inherited.Close()
	events, tell, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer tell.Close()
	wrapper := exec.Command(self, "wrapper", string(options))
	wrapper.Stdout, wrapper.Stderr = log, log
	wrapper.ExtraFiles = []*os.File{tell, lock, inherited}
	wrapper.SysProcAttr = &syscall.SysProcAttr{Cloneflags: cluster.Flags, Setsid: true, Pdeathsig: syscall.SIGKILL}
	if err := wrapper.Start(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("starting the lab's process: %w", err), events.Close())
	}
	return wrapper, events, nil
}

// follow shows steps until the lab is ready, or returns why it will not be.
func follow(events io.ReadCloser, began time.Time, out io.Writer) error {
	defer events.Close()
	decoder := json.NewDecoder(events)
	for {
		var e cluster.Event
		if err := decoder.Decode(&e); err != nil {
			return fmt.Errorf("the lab's process ended unexpectedly; its log is log/lab.log in the lab's directory (%w)", err)
		}
		switch {
		case e.Error != "":
			return errors.New(e.Error)
		case e.Ready:
			return nil
		}
		fmt.Fprintf(out, "%6.1fs  %-28s took %.1fs\n", time.Since(began).Seconds(), e.Step, e.Took.Seconds())
	}
}

// endWrapper tells the wrapper to end, kills it if it does not, and returns when it and all of its namespace is gone.
func endWrapper(wrapper *exec.Cmd) error {
	if err := wrapper.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	kill := time.AfterFunc(goodbye, func() { _ = wrapper.Process.Kill() }) // Wait returns in any case
	defer kill.Stop()
	var exit *exec.ExitError
	if err := wrapper.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// wrapperCommand is what up starts.
func wrapperCommand() *cobra.Command {
	return &cobra.Command{
		Use: "wrapper OPTIONS", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var o cluster.Options
			if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
				return err
			}
			return cluster.Run(o, logging.New(os.Stderr, new(slog.LevelVar)))
		},
	}
}
