package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/ingot-lb/ingot/controller/election"
	"github.com/ingot-lb/ingot/controller/loglevel"
	"github.com/ingot-lb/ingot/controller/operator"
	"github.com/ingot-lb/ingot/controller/operator/render"
	"github.com/ingot-lb/ingot/controller/probes"
	"github.com/ingot-lb/ingot/controller/service"
	"github.com/ingot-lb/ingot/speaker/logging"
	"github.com/ingot-lb/ingot/speaker/logging/kubelog"
)

// operatorOptions are the flags of `controller operator`.
type operatorOptions struct {
	kubeconfig, namespace, metricsAddress, logLevel, id string
	leaderElect                                         bool
	monitored                                           monitored
}

// operate is `controller operator`: it installs what the MetalLB object says.
func operate(ctx context.Context, args []string) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("the name of this host: %w", err)
	}
	var o operatorOptions
	fs := flag.NewFlagSet("controller operator", flag.ExitOnError)
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file`; empty: in-cluster")
	fs.StringVar(&o.namespace, "namespace", envOr("OPERATOR_NAMESPACE", envOr("METALLB_NAMESPACE", "metallb-system")), "the system namespace (env OPERATOR_NAMESPACE)")
	fs.StringVar(&o.metricsAddress, "metrics-address", ":7472", "where to serve /metrics, /healthz and /readyz, in plain HTTP but for --metrics-tls; empty: nowhere")
	o.monitored.addTo(fs)
	fs.StringVar(&o.id, "id", host, "this replica's `name`, for leader election; no two may have the same")
	fs.StringVar(&o.logLevel, "log-level", "info", "all, debug, info, warn, error or none")
	fs.BoolVar(&o.leaderElect, "leader-elect", true, "work only while holding the Lease "+operator.Lease+", so that replicas may stand by")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
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
	settings, err := settingsFrom(os.Getenv, o.namespace)
	if err != nil {
		return err
	}
	log.Info("MetalLB operator starting (Ingot "+version+")", "version", version, "commit", commit(), "branch", branch,
		"goversion", runtime.Compiler+" / "+runtime.Version()+" / "+runtime.GOARCH, "images", settings.Images)

	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return fmt.Errorf("reading the cluster's address and our credentials: %w", err)
	}
	config.UserAgent = "ingot-operator/" + version
	config.QPS = -1 // as the controller's
	hc, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("HTTP client: %w", err)
	}
	client, err := kubernetes.NewForConfigAndClient(config, hc)
	if err != nil {
		return fmt.Errorf("client of Kubernetes: %w", err)
	}
	objects, err := dynamic.NewForConfigAndClient(config, hc)
	if err != nil {
		return fmt.Errorf("client of Kubernetes: %w", err)
	}
	metallb, err := service.NewPoolClient(config, hc)
	if err != nil {
		return fmt.Errorf("client of metallb.io: %w", err)
	}
	op := operator.New(operator.Options{Client: client, Dynamic: objects, Settings: settings, ApiserverImage: os.Getenv("APISERVER_IMAGE"),
		Version: version, OperatorCondition: os.Getenv("OPERATOR_CONDITION_NAME"), Log: log})
	elected := &election.Election{Client: client, Namespace: o.namespace, Lease: operator.Lease, Identity: o.id, Log: log}
	if o.metricsAddress != "" {
		ready := func() error {
			if o.leaderElect && elected.Standby() {
				return nil
			}
			return op.Ready()
		}
		server, err := probes.Listen(ctx, probes.Options{
			Address: o.metricsAddress, Metrics: probes.Collectors{op, level}, Ready: ready, TLS: overTLS, Client: client, Log: log,
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
	defer func() {
		unfollow()
		<-followed
	}()
	if o.leaderElect {
		err = elected.Run(ctx, op.Run)
	} else {
		err = runAlone(ctx, op.Run)
	}
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	log.Info("operator stopped", "op", "shutdown")
	return err
}

// settingsFrom are the settings that the environment has, by the names that MetalLB's operator knows.
func settingsFrom(env func(string) string, namespace string) (render.Settings, error) {
	s := render.Settings{Namespace: namespace, MetricsPort: 7472, Images: map[string]string{}}
	var errs []error
	for component, name := range map[string]string{render.Controller: "CONTROLLER_IMAGE", render.Speaker: "SPEAKER_IMAGE", render.Webhooks: "WEBHOOKS_IMAGE"} {
		if s.Images[component] = env(name); s.Images[component] == "" {
			errs = append(errs, fmt.Errorf("%s is not set: it names the image of %s", name, component))
		}
	}
	if text := env("METRICS_PORT"); text != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			errs = append(errs, fmt.Errorf("METRICS_PORT %q is not a port", text))
		}
		s.MetricsPort = int32(port)
	}
	truth := func(name string) bool {
		text := env(name)
		if text == "" {
			return false
		}
		is, err := strconv.ParseBool(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %q is neither true nor false", name, text))
		}
		return is
	}
	s.NetworkPolicies = !truth("DISABLE_NETWORK_POLICIES")
	s.Enforce = truth("WEBHOOKS_ENFORCE")
	return s, errors.Join(errs...)
}
