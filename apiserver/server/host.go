package server

import (
	"context"
	"fmt"
	"log/slog"

	genericserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// hostConfig says how to reach the host cluster: by a kubeconfig, or as a Pod of it.
func hostConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("host cluster: %w; outside of a Pod, use --kubeconfig", err)
		}
		return config, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("host cluster: --kubeconfig: %w", err)
	}
	return config, nil
}

// hostCluster delegates to the host cluster: authentication (request headers of the kube-apiserver, TokenReview),
// authorization (SubjectAccessReview), admission policies and webhooks, priority and fairness.
type hostCluster struct {
	kubeconfig string
	log        *slog.Logger
	// failed hears why it takes so long.
	failed func(error)
}

// apply implements Config.Host. Upstream gives up when the ConfigMap with the request-header CA cannot be read, or
// goes on with everybody anonymous; neither is for us, so it is asked until it answers.
func (h *hostCluster) apply(ctx context.Context, config *genericserver.RecommendedConfig) error {
	core := genericoptions.NewCoreAPIOptions()
	core.CoreAPIKubeconfigPath = h.kubeconfig
	if err := core.ApplyTo(config); err != nil {
		return fmt.Errorf("host cluster: %w", err)
	}
	kube, err := kubernetes.NewForConfig(config.ClientConfig)
	if err != nil {
		return fmt.Errorf("client of the host cluster: %w", err)
	}
	dyn, err := dynamic.NewForConfig(config.ClientConfig)
	if err != nil {
		return fmt.Errorf("client of the host cluster: %w", err)
	}

	authentication := genericoptions.NewDelegatingAuthenticationOptions()
	authentication.RemoteKubeConfigFile = h.kubeconfig
	err = persist(ctx, h.log, "authentication settings of the host cluster", h.failed, func(context.Context) error {
		// A failed attempt leaves CAs behind: each begins with a fresh copy.
		serving, info := *config.SecureServing, config.Authentication
		if err := authentication.ApplyTo(&info, &serving, config.OpenAPIConfig); err != nil {
			return err
		}
		config.SecureServing, config.Authentication = &serving, info
		return nil
	})
	if err != nil {
		return err
	}

	authorization := genericoptions.NewDelegatingAuthorizationOptions()
	authorization.RemoteKubeConfigFile = h.kubeconfig
	if err := authorization.ApplyTo(&config.Authorization); err != nil {
		return fmt.Errorf("delegated authorization: %w", err)
	}
	if err := genericoptions.NewFeatureOptions().ApplyTo(&config.Config, kube, config.SharedInformerFactory); err != nil {
		return fmt.Errorf("priority and fairness: %w", err)
	}
	config.EnableProfiling = false
	err = genericoptions.NewAdmissionOptions().ApplyTo(&config.Config, config.SharedInformerFactory, kube, dyn,
		utilfeature.DefaultFeatureGate, config.EffectiveVersion)
	if err != nil {
		return fmt.Errorf("admission: %w", err)
	}
	return nil
}
