// Command controller gives addresses out of IPAddressPools to Services of type LoadBalancer. `controller operator` installs
// what a MetalLB object says.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/ingot-lb/ingot/controller/election"
	"github.com/ingot-lb/ingot/controller/loglevel"
	"github.com/ingot-lb/ingot/controller/probes"
	"github.com/ingot-lb/ingot/controller/report"
	"github.com/ingot-lb/ingot/controller/service"
	"github.com/ingot-lb/ingot/speaker/backoff"
	"github.com/ingot-lb/ingot/speaker/logging"
	"github.com/ingot-lb/ingot/speaker/logging/kubelog"
)

// version and, where known, branch are set when linking.
var version, branch = "dev", ""

// options are the flags.
type options struct {
	kubeconfig, namespace, class, metricsAddress, logLevel, id string
	leaderElect                                                bool
	unknownPools                                               service.UnknownPools
	monitored                                                  monitored
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "operator" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if err := operate(ctx, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "controller operator:", err)
			os.Exit(1)
		}
		return
	}
	o := options{unknownPools: service.UnknownPoolFallback}
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file`; empty: in-cluster")
	flag.StringVar(&o.namespace, "namespace", envOr("METALLB_NAMESPACE", "metallb-system"), "the system namespace, where pools are (env METALLB_NAMESPACE)")
	flag.StringVar(&o.class, "lb-class", "", "handle only Services of this loadBalancerClass; empty: those without one")
	flag.StringVar(&o.metricsAddress, "metrics-address", ":7472", "where to serve /metrics, /healthz and /readyz, in plain HTTP but for --metrics-tls; empty: nowhere")
	o.monitored.addTo(flag.CommandLine)
	// A Pod's name outlives its containers, so that a restarted one goes on with the lease it has.
	host, err := os.Hostname()
	if err != nil {
		fmt.Fprintln(os.Stderr, "controller: the name of this host:", err)
		os.Exit(1)
	}
	flag.StringVar(&o.id, "id", host, "this replica's `name`, for leader election; no two may have the same")
	flag.StringVar(&o.logLevel, "log-level", "info", "all, debug, info, warn, error or none")
	flag.Var(&o.unknownPools, "unknown-pool", "what becomes of Services that ask for a pool that does not exist: `fallback` to any that assigns automatically, or pending")
	flag.BoolVar(&o.leaderElect, "leader-elect", true, "work only while holding the Lease metallb-controller, so that replicas may stand by")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "controller:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	level, err := logging.NewLevel(o.logLevel)
	if err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	log := logging.New(os.Stdout, level)
	level.Tell(log)
	logging.Libraries(log)
	kubelog.Adopt(log, level)
	overTLS, err := o.monitored.options(log)
	if err != nil {
		return err
	}
	log.Info("MetalLB controller starting (Ingot "+version+")", "version", version, "commit", commit(), "branch", branch,
		"goversion", runtime.Compiler+" / "+runtime.Version()+" / "+runtime.GOARCH)

	controller, elected, metallb, err := build(o, log)
	if err != nil {
		return err
	}
	if o.metricsAddress != "" {
		ready := func() error {
			if o.leaderElect && elected.Standby() {
				return nil
			}
			return controller.Ready()
		}
		server, err := probes.Listen(ctx, probes.Options{
			Address: o.metricsAddress, Metrics: probes.Collectors{controller, level}, Ready: ready,
			TLS: overTLS, Client: elected.Client, Log: log,
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
		loglevel.Follow(following, metallb, o.namespace, level, log)
	}()
	if o.leaderElect {
		err = elected.Run(ctx, controller.Run)
	} else {
		err = runAlone(ctx, controller.Run)
	}
	unfollow()
	<-followed
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	log.Info("controller stopped", "op", "shutdown")
	return err
}

// runAlone works until ctx ends, without standing for election: if another controller does the same, both say so in turn.
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

// build makes the parts, and a client of metallb.io.
func build(o options, log *slog.Logger) (*service.Controller, *election.Election, rest.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("reading the cluster's address and our credentials: %w", err)
	}
	config.UserAgent = "ingot-controller/" + version
	config.QPS = -1 // the server's priority and fairness decides, and every retry of ours backs off
	hc, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("HTTP client: %w", err)
	}
	client, err := kubernetes.NewForConfigAndClient(service.Compact(config), hc)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("client of Kubernetes: %w", err)
	}
	pools, err := service.NewPoolClient(config, hc)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("client of metallb.io: %w", err)
	}
	options := service.Options{Ledger: service.NewLedger(pools, o.namespace), Client: client, Pools: pools, Namespace: o.namespace, Class: o.class, UnknownPools: o.unknownPools, Log: log}
	if o.leaderElect {
		options.Identity = o.id
	}
	controller := service.New(options)
	return controller, &election.Election{Lease: report.Lease, Client: client, Namespace: o.namespace, Identity: o.id, Log: log}, pools, nil
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
