package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/ingot-lb/ingot/controller/election"
	"github.com/ingot-lb/ingot/controller/loglevel"
	"github.com/ingot-lb/ingot/controller/probes"
	"github.com/ingot-lb/ingot/speaker/backoff"
	"github.com/ingot-lb/ingot/speaker/logging"
	"github.com/ingot-lb/ingot/speaker/logging/kubelog"
)

// replica is what the controller and the operator have alike: one of several that stand for election, whose log follows the MetalLB
// object, and which serves metrics. The fields are flags.
type replica struct {
	kubeconfig, namespace, metricsAddress, logLevel, id string
	leaderElect                                         bool
	monitored                                           monitored
}

// addTo adds the flags, but for the namespace, whose default comes from variables of different names.
func (r *replica) addTo(fs *flag.FlagSet, lease string) error {
	// A Pod's name outlives its containers, so that a restarted one goes on with the lease it has.
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("the name of this host: %w", err)
	}
	fs.StringVar(&r.kubeconfig, "kubeconfig", "", "kubeconfig `file`; empty: in-cluster")
	fs.StringVar(&r.metricsAddress, "metrics-address", ":7472", "where to serve /metrics, /healthz and /readyz, in plain HTTP but for --metrics-tls; empty: nowhere")
	r.monitored.addTo(fs)
	fs.StringVar(&r.id, "id", host, "this replica's `name`, for leader election; no two may have the same")
	fs.StringVar(&r.logLevel, "log-level", "info", "all, debug, info, warn, error or none")
	fs.BoolVar(&r.leaderElect, "leader-elect", true, "work only while holding the Lease "+lease+", so that replicas may stand by")
	return nil
}

// parse takes the flags, and nothing else.
func (r *replica) parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	return r.monitored.limits.Validate()
}

// newLog makes the log, to which libraries write as well.
func (r *replica) newLog() (*slog.Logger, *logging.Level, error) {
	level, err := logging.NewLevel(r.logLevel)
	if err != nil {
		return nil, nil, fmt.Errorf("--log-level: %w", err)
	}
	log := logging.New(os.Stdout, level)
	level.Tell(log)
	logging.Libraries(log)
	kubelog.Adopt(log, level)
	return log, level, nil
}

// connect reads where the cluster is, and who we are there.
func (r *replica) connect(agent string) (*rest.Config, *http.Client, error) {
	config, err := clientcmd.BuildConfigFromFlags("", r.kubeconfig)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the cluster's address and our credentials: %w", err)
	}
	config.UserAgent = agent + "/" + version
	config.QPS = -1 // the server's priority and fairness decides, and every retry of ours backs off
	hc, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, nil, fmt.Errorf("HTTP client: %w", err)
	}
	return config, hc, nil
}

// worker is what a replica has to do.
type worker struct {
	lease   string
	run     func(context.Context) error
	ready   func() error
	metrics prometheus.Collector
	client  kubernetes.Interface
	metallb rest.Interface // of metallb.io, for the level of the log
}

// work has w run while this replica leads, and serves its metrics and probes all the time, until ctx ends.
func (r *replica) work(ctx context.Context, w worker, log *slog.Logger, level *logging.Level) error {
	elected := &election.Election{Client: w.client, Namespace: r.namespace, Lease: w.lease, Identity: r.id, Log: log}
	if r.metricsAddress != "" {
		ready := func() error {
			if r.leaderElect && elected.Standby() {
				return nil
			}
			return w.ready()
		}
		server, err := probes.Listen(ctx, probes.Options{
			Address: r.metricsAddress, Metrics: probes.Collectors{w.metrics, level}, Ready: ready, TLS: r.monitored.options(log), Client: w.client, Log: log,
		})
		if err != nil {
			return err
		}
		defer server.Stop()
	}
	following, unfollow := context.WithCancel(ctx)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		loglevel.Follow(following, w.metallb, r.namespace, level, log)
	}()
	defer func() {
		unfollow()
		<-followed
	}()
	term := runAlone
	if r.leaderElect {
		term = elected.Run
	}
	if err := term(ctx, w.run); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// runAlone works until ctx ends, without standing for election: if another one does the same, both say so in turn.
func runAlone(ctx context.Context, work func(context.Context) error) error {
	retry := backoff.Backoff{First: time.Second, Most: 30 * time.Second}
	for {
		if err := work(ctx); err != nil {
			return err
		}
		if err := retry.Wait(ctx); err != nil {
			return err
		}
	}
}

// built says what this program was made of and by what, for the first line of its log.
func built() []any {
	return []any{"version", version, "commit", commit(), "branch", branch, "goversion", runtime.Compiler + " / " + runtime.Version() + " / " + runtime.GOARCH}
}

// commit that this program was built from, if it was built where that is known.
func commit() string {
	info, _ := debug.ReadBuildInfo()
	if info != nil {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return ""
}

func envOr(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}
