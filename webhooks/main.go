// Command webhooks says of Services, when they are written, what the controller would say of them later.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/ingot-lb/ingot/certs/handshake"
	"github.com/ingot-lb/ingot/certs/monitoring"
	"github.com/ingot-lb/ingot/controller/service"
	"github.com/ingot-lb/ingot/speaker/logging"
	"github.com/ingot-lb/ingot/speaker/logging/kubelog"
	"github.com/ingot-lb/ingot/webhooks/server"
)

// version is set when linking.
var version = "dev"

// linger is about what it takes until a Pod that is being deleted is in nobody's list of endpoints.
const linger = time.Second

func main() {
	o := server.Options{UnknownPools: service.UnknownPoolFallback}
	var level string
	flag.StringVar(&o.Kubeconfig, "kubeconfig", "", "kubeconfig `file`; empty: in-cluster")
	flag.StringVar(&o.Namespace, "namespace", envOr("METALLB_NAMESPACE", "metallb-system"), "the system namespace, where pools and peers are (env METALLB_NAMESPACE)")
	flag.StringVar(&o.Class, "lb-class", "", "say something of Services of this loadBalancerClass only; empty: of those without one")
	flag.StringVar(&o.Address, "bind-address", ":9443", "where to serve admission, over TLS")
	flag.StringVar(&o.Service, "service-name", "webhooks", "the Service through which the kube-apiserver asks, which the certificate names")
	flag.StringVar(&o.MetricsAddress, "metrics-address", ":7472", "where to serve /metrics, /healthz and /readyz, in plain HTTP but for --metrics-tls; empty: nowhere")
	flag.BoolVar(&o.Monitoring.TLS, monitoring.TLSFlag, false, monitoring.TLSUsage)
	flag.StringVar(&o.Monitoring.CertDir, monitoring.CertDirFlag, "", monitoring.CertDirUsage)
	o.Limits.AddFlags(func(v handshake.Value, name, usage string) { flag.Var(v, name, usage) })
	flag.StringVar(&o.CertFile, "tls-cert-file", "", "`file` with the certificate to serve by, with its chain, re-read when it changes; empty: the one in the Secret SERVICE-tls, which the apiserver issues")
	flag.StringVar(&o.KeyFile, "tls-private-key-file", "", "`file` with the key of --tls-cert-file")
	flag.StringVar(&o.CAFile, "tls-ca-file", "", "`file` with the CA that --tls-cert-file must be signed by; empty: any")
	flag.Var(&o.UnknownPools, "unknown-pool", "as the controller's: `fallback` or pending")
	flag.BoolVar(&o.Enforce, "enforce", false, "refuse Services with something wrong, in every namespace; otherwise in those with the label ingot.io/enforce=true")
	flag.StringVar(&level, "log-level", "info", "all, debug, info, warn, error or none")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, level, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "webhooks:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o server.Options, level string, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	if (o.CertFile == "") != (o.KeyFile == "") || o.CAFile != "" && o.CertFile == "" {
		return errors.New("--tls-cert-file and --tls-private-key-file need each other, and --tls-ca-file both")
	}
	if err := o.Limits.Validate(); err != nil {
		return err
	}
	var err error
	if o.Level, err = logging.NewLevel(level); err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	o.Log = logging.New(os.Stdout, o.Level)
	o.Level.Tell(o.Log)
	logging.Libraries(o.Log)
	kubelog.Adopt(o.Log, o.Level)
	o.Version, o.Linger = version, linger
	o.Log.Info("Ingot webhooks starting ("+version+")", "version", version, "goversion",
		runtime.Compiler+" / "+runtime.Version()+" / "+runtime.GOARCH)
	err = server.Run(ctx, o)
	o.Log.Info("webhooks stopped", "op", "shutdown")
	return err
}

func envOr(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}
