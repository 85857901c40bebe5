package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strconv"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/ingot-lb/ingot/controller/operator"
	"github.com/ingot-lb/ingot/controller/operator/render"
	"github.com/ingot-lb/ingot/controller/service"
)

// operate is `controller operator`: it installs what the MetalLB object says.
func operate(ctx context.Context, fs *flag.FlagSet, args []string) error {
	var o replica
	if err := o.addTo(fs, operator.Lease); err != nil {
		return err
	}
	fs.StringVar(&o.namespace, "namespace", envOr("OPERATOR_NAMESPACE", envOr("METALLB_NAMESPACE", "metallb-system")), "the system namespace (env OPERATOR_NAMESPACE)")
	if err := o.parse(fs, args); err != nil {
		return err
	}
	log, level, err := o.newLog()
	if err != nil {
		return err
	}
	settings, err := settingsFrom(os.Getenv, o.namespace)
	if err != nil {
		return err
	}
	log.Info("MetalLB operator starting (Ingot "+version+")", append(built(), "images", settings.Images)...)
	w, err := buildOperator(o, settings, log)
	if err != nil {
		return err
	}
	err = o.work(ctx, w, log, level)
	log.Info("operator stopped", "op", "shutdown")
	return err
}

func buildOperator(o replica, settings render.Settings, log *slog.Logger) (worker, error) {
	config, hc, err := o.connect("ingot-operator")
	if err != nil {
		return worker{}, err
	}
	client, err := kubernetes.NewForConfigAndClient(config, hc)
	if err != nil {
		return worker{}, fmt.Errorf("client of Kubernetes: %w", err)
	}
	objects, err := dynamic.NewForConfigAndClient(config, hc)
	if err != nil {
		return worker{}, fmt.Errorf("client of Kubernetes: %w", err)
	}
	metallb, err := service.NewPoolClient(config, hc)
	if err != nil {
		return worker{}, fmt.Errorf("client of metallb.io: %w", err)
	}
	op := operator.New(operator.Options{Client: client, Dynamic: objects, Settings: settings, ApiserverImage: os.Getenv("APISERVER_IMAGE"),
		Version: version, OperatorCondition: os.Getenv("OPERATOR_CONDITION_NAME"), Log: log})
	return worker{lease: operator.Lease, run: op.Run, ready: op.Ready, metrics: op, client: client, metallb: metallb}, nil
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
