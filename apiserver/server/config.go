package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/healthz"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/util/compatibility"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/apiserver/live"
	"github.com/ingot-lb/ingot/apiserver/rules"
	"github.com/ingot-lb/ingot/apiserver/store"
	"github.com/ingot-lb/ingot/certs/handshake"
)

// Config is what the aggregated API is made of.
type Config struct {
	Store *store.Store
	// Judge gives early words to users; it is the one whose word is the store's law.
	Judge     *rules.Judge
	Namespace string
	// Live are the sets of objects that are served from memory, in version v1beta1.
	Live []*live.Set
	// Listener takes the API's connections; the server closes it.
	Listener net.Listener
	Cert     dynamiccertificates.CertKeyContentProvider
	// Limits are what TLS agrees to.
	Limits handshake.Limits
	// Checks are added to /readyz.
	Checks []healthz.HealthChecker
	// ShutdownDelay is how long the API still answers after it was told to end and /readyz turned red, for those who have
	// not seen that yet.
	ShutdownDelay time.Duration
	// Host adds what the host cluster decides: who callers are, what they may do, what is admitted. It must not
	// return before it has.
	Host func(context.Context, *genericserver.RecommendedConfig) error
}

// CompletedConfig is a Config that has everything.
type CompletedConfig struct {
	store     *store.Store
	judge     *rules.Judge
	namespace string
	live      []*live.Set
	generic   genericserver.CompletedConfig
}

// watchGrace is how long watches have to end by themselves on shutdown.
const watchGrace = 2 * time.Second

// Complete fills in the rest. It returns when the host cluster has said what it has to, or ctx ends.
func (c *Config) Complete(ctx context.Context) (CompletedConfig, error) {
	config := genericserver.NewRecommendedConfig(install.Codecs)
	config.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	config.RESTOptionsGetter = c.Store.RESTOptionsGetter(config.StorageObjectCountTracker)
	config.ShutdownDelayDuration = c.ShutdownDelay
	config.ShutdownWatchTerminationGracePeriod = watchGrace

	describe(config)

	serving := genericoptions.NewSecureServingOptions().WithLoopback()
	serving.Listener = c.Listener
	serving.ServerCert.GeneratedCert = c.Cert
	serving.ServerCert.CertDirectory = ""
	serving.MinTLSVersion, serving.CipherSuites, serving.CurvePreferences = c.Limits.Serving(tls.VersionTLS12)
	// The kube-apiserver proxies many users, and their watches, over one connection. It is never asked to open another (GOAWAY)
	// while it serves: writes that are under way at that moment would be answered 503, for a proxy cannot send them again.
	serving.HTTP2MaxStreamsPerConnection = 1000
	if err := serving.ApplyToConfig(&config.Config); err != nil {
		return CompletedConfig{}, fmt.Errorf("serving options: %w", err)
	}
	stored := func(resource string) bool {
		return !slices.ContainsFunc(c.Live, func(s *live.Set) bool { return s.Kind().Plural == resource })
	}
	config.BuildHandlerChainFunc = func(handler http.Handler, config *genericserver.Config) http.Handler {
		return genericserver.DefaultBuildHandlerChain(withoutOtherPasts(withBoundedBodies(handler), c.Store.Ahead, stored), config)
	}
	if err := c.Host(ctx, config); err != nil {
		return CompletedConfig{}, err
	}
	config.AddReadyzChecks(c.Checks...)
	if headers := config.Authentication.RequestHeaderConfig; headers != nil {
		front := frontProxy{headers.CAContentProvider}
		config.SecureServing.Listener = holdUntilKnown(c.Listener, front)
		config.AddReadyzChecks(front)
	}
	return CompletedConfig{store: c.Store, judge: c.Judge, namespace: c.Namespace, live: c.Live, generic: config.Complete()}, nil
}
