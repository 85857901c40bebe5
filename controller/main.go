// Command controller gives addresses out of IPAddressPools to Services of type LoadBalancer. `controller operator` installs
// what a MetalLB object says.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/kubernetes"

	"github.com/ingot-lb/ingot/controller/report"
	"github.com/ingot-lb/ingot/controller/service"
)

// version and, where known, branch are set when linking.
var version, branch = "dev", ""

// options are the flags.
type options struct {
	replica
	class        string
	unknownPools service.UnknownPools
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	program, run, args := "controller", control, os.Args[1:]
	if len(args) > 0 && args[0] == "operator" {
		program, run, args = "controller operator", operate, args[1:]
	}
	if err := run(ctx, flag.NewFlagSet(program, flag.ExitOnError), args); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
		os.Exit(1)
	}
}

// control is `controller`: it gives addresses to Services.
func control(ctx context.Context, fs *flag.FlagSet, args []string) error {
	o := options{unknownPools: service.UnknownPoolFallback}
	if err := o.addTo(fs, report.Lease); err != nil {
		return err
	}
	fs.StringVar(&o.namespace, "namespace", envOr("METALLB_NAMESPACE", "metallb-system"), "the system namespace, where pools are (env METALLB_NAMESPACE)")
	fs.StringVar(&o.class, "lb-class", "", "handle only Services of this loadBalancerClass; empty: those without one")
	fs.Var(&o.unknownPools, "unknown-pool", "what becomes of Services that ask for a pool that does not exist: `fallback` to any that assigns automatically, or pending")
	if err := o.parse(fs, args); err != nil {
		return err
	}
	log, level, err := o.newLog()
	if err != nil {
		return err
	}
	log.Info("MetalLB controller starting (Ingot "+version+")", built()...)
	w, err := build(o, log)
	if err != nil {
		return err
	}
	err = o.work(ctx, w, log, level)
	log.Info("controller stopped", "op", "shutdown")
	return err
}

// build makes the parts.
func build(o options, log *slog.Logger) (worker, error) {
	config, hc, err := o.connect("ingot-controller")
	if err != nil {
		return worker{}, err
	}
	client, err := kubernetes.NewForConfigAndClient(service.Compact(config), hc)
	if err != nil {
		return worker{}, fmt.Errorf("client of Kubernetes: %w", err)
	}
	pools, err := service.NewPoolClient(config, hc)
	if err != nil {
		return worker{}, fmt.Errorf("client of metallb.io: %w", err)
	}
	options := service.Options{Ledger: service.NewLedger(pools, o.namespace), Client: client, Pools: pools, Namespace: o.namespace, Class: o.class, UnknownPools: o.unknownPools, Log: log}
	if o.leaderElect {
		options.Identity = o.id
	}
	controller := service.New(options)
	return worker{lease: report.Lease, run: controller.Run, ready: controller.Ready, metrics: controller, client: client, metallb: pools}, nil
}
