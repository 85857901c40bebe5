package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/apiserver/conditions/writer"
	"github.com/ingot-lb/ingot/apiserver/dispatch"
	dispatchstorage "github.com/ingot-lb/ingot/apiserver/dispatch/storage"
	"github.com/ingot-lb/ingot/apiserver/lineage"
	"github.com/ingot-lb/ingot/apiserver/live/feed"
	"github.com/ingot-lb/ingot/apiserver/rules"
	"github.com/ingot-lb/ingot/apiserver/store"
	"github.com/ingot-lb/ingot/certs"
	"github.com/ingot-lb/ingot/speaker/backoff"
	"github.com/ingot-lb/ingot/speaker/listen"
	"github.com/ingot-lb/ingot/speaker/logging"
)

// The parts of the process, as /readyz names them, in the order in which they come up.
const (
	partStore        = "store"
	partLineage      = "lineage"
	partCertificates = "certificates"
	partDispatch     = "dispatch"
	partAPI          = "api"
	partAPIServices  = "apiservices"
	partExport       = "export"
)

// Connections that are open at once, at most. The kube-apiservers use few; a speaker one, to every replica.
const (
	apiConnections      = 4096
	dispatchConnections = 8192
	monitorConnections  = 256
)

// process is the apiserver while it runs.
type process struct {
	options   *Options
	log       *slog.Logger
	readiness *readiness
	monitor   *monitor
	admin     *admin
	group     *errgroup.Group

	host  *rest.Config
	kube  kubernetes.Interface
	store *store.Store
	// lineage says whether the store is the cluster's.
	lineage *lineage.Guard
	// serving is the certificate of the API and of the stream, and bundle what clients know it by: nil where others see to
	// that.
	serving *certs.Serving
	// apiServing is the API's: the same, or another's that whoever makes the APIServices knows.
	apiServing *certs.Serving
	bundle     func() []byte
	// judge keeps the rules, for the store and for the API; facts is where it asks about the host cluster.
	judge *rules.Judge
	facts *hostFacts
	// level is that of the log; saidLevel what the MetalLB object last said of it, nil before it was read.
	level     *logging.Level
	saidLevel atomic.Pointer[string]
	// planned hands plans of the leader to the writer of conditions.
	planned planned
}

// Run runs the apiserver until ctx ends, which gives nil, or until something fails that waiting does not mend. level is that of
// log, to be kept at what the MetalLB object says.
func Run(ctx context.Context, o *Options, log *slog.Logger, level *logging.Level) error {
	group, ctx := errgroup.WithContext(ctx)
	p := &process{
		options:   o,
		log:       log,
		level:     level,
		readiness: newReadiness([]string{partStore, partLineage, partCertificates, partDispatch, partAPI}, []string{partAPIServices, partExport}),
		admin:     &admin{},
		group:     group,
		facts:     &hostFacts{namespace: o.Namespace},
	}
	p.judge = rules.NewJudge(p.facts)
	p.monitor = &monitor{readiness: p.readiness, log: log, level: prometheus.NewRegistry()}
	p.monitor.level.MustRegister(level)

	err := p.start(ctx)
	if err != nil {
		group.Go(func() error { return err }) // ends what has started
	}
	err = group.Wait()
	if p.store != nil {
		err = errors.Join(err, p.store.Close()) // last: everyone uses it
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// start brings up one part after the other. What waits for the host cluster goes on in the background.
func (p *process) start(ctx context.Context) error {
	var err error
	if p.host, err = hostConfig(p.options.Kubeconfig); err != nil {
		return err
	}
	// Every speaker that connects needs a TokenReview, and the host cluster has its own fairness: no limit here.
	p.host.QPS = -1
	if p.kube, err = kubernetes.NewForConfig(p.host); err != nil {
		return fmt.Errorf("client of the host cluster: %w", err)
	}
	if p.options.MetricsAddress != "" {
		if err := p.startMonitor(ctx); err != nil {
			return err
		}
	}
	if err := p.openStore(ctx); err != nil {
		return err
	}
	socket, err := listen.Unix(p.options.AdminSocket)(ctx)
	if err != nil {
		return fmt.Errorf("--admin-socket: %w", err)
	}
	p.group.Go(func() error { return serveHTTP(ctx, socket, p.admin.handler()) })
	p.group.Go(func() error { return p.afterStore(ctx) })
	return nil
}

func (p *process) openStore(ctx context.Context) error {
	began := time.Now()
	s, err := store.Open(ctx, store.Options{
		DataDir:        p.options.DataDir,
		Servers:        p.options.EtcdServers,
		CAFile:         p.options.EtcdCAFile,
		CertFile:       p.options.EtcdCertFile,
		KeyFile:        p.options.EtcdKeyFile,
		Scheme:         install.Scheme,
		Codec:          install.StorageCodec(),
		StorageVersion: install.StorageVersion(install.Scheme),
		Check:          lawOf(p.judge),
		Log:            p.log,
		KeepEmpty:      true,
	})
	if err != nil {
		return err
	}
	p.store = s
	p.log.Info("store opened", "event", "storeOpened", "lineage", s.Lineage(), "embedded", s.Embedded(),
		"seconds", time.Since(began).Seconds())
	p.lineage = p.newLineageGuard()
	p.admin.keeper.Store(&storeKeeper{p})
	return nil
}

// watchStore ends the process when the etcd behind it was exchanged: lineage, caches and epochs are void then.
func (p *process) watchStore(ctx context.Context) error {
	for {
		if err := backoff.Sleep(ctx, 5*time.Second); err != nil {
			return err
		}
		if err := p.store.Health(ctx); errors.Is(err, store.ErrReplaced) {
			return err
		}
	}
}

// afterStore waits until there is a store, and for certificates, which everything that listens needs, and starts the
// stream and the API.
func (p *process) afterStore(ctx context.Context) error {
	if err := p.awaitStore(ctx); err != nil {
		return err
	}
	if err := p.openCertificates(ctx); err != nil {
		return err
	}
	p.monitor.own.Store(p.serving)
	p.readiness.fail(partCertificates, nil)
	if err := p.startDispatch(ctx); err != nil {
		return err
	}
	if err := p.keepExport(ctx); err != nil {
		return err
	}
	return p.serveAPI(ctx)
}

func (p *process) startDispatch(ctx context.Context) error {
	digestKey, err := p.store.DigestKey(ctx)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", p.options.DispatchAddress)
	if err != nil {
		return fmt.Errorf("--dispatch-address: %w", err)
	}
	hub, err := dispatch.New(dispatch.Options{
		Replica:            p.options.ID,
		Namespace:          p.options.Namespace,
		LoadBalancerClass:  p.options.LoadBalancerClass,
		ClassOfMetalLB:     p.options.ClassOfMetalLB,
		IgnoreExcludeLabel: p.options.IgnoreExcludeLabel,
		Client:             p.kube,
		Store:              dispatchstorage.New(p.store),
		DigestKey:          digestKey,
		Listener:           listen.Fair(l, dispatchConnections),
		TLS:                p.options.Limits.Apply(&tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: p.serving.GetCertificate}),
		DataDir:            p.options.DataDir,
		Planned:            p.planned.set,
		Permitted:          p.lineage.Err,
		Log:                p.log,
	})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	p.facts.hub.Store(hub)
	p.passOnLogLevel()
	p.monitor.hub.Store(hub.Registry())
	p.admin.adopter.Store(&adopter{Adopter: hub, lineage: p.store.Lineage()})
	p.readiness.set(partDispatch, hub.Ready)
	p.group.Go(func() error { return hub.Run(ctx) })
	return nil
}

// shutdownDelay is so long where there are others that the kube-apiserver hears of it, by way of the kubelet, the
// EndpointSlice and kube-proxy, and asks them. Who is alone ends soon, to be back soon.
func (p *process) shutdownDelay() time.Duration {
	if p.store.Embedded() {
		return 500 * time.Millisecond
	}
	return 5 * time.Second
}

// serveAPI serves the aggregated API until ctx ends.
func (p *process) serveAPI(ctx context.Context) error {
	l, err := net.Listen("tcp", net.JoinHostPort(p.options.BindAddress.String(), strconv.Itoa(p.options.SecurePort)))
	if err != nil {
		return fmt.Errorf("--secure-port: %w", err)
	}
	host := &hostCluster{
		kubeconfig: p.options.Kubeconfig,
		log:        p.log,
		failed:     func(err error) { p.readiness.fail(partAPI, err) },
	}
	reports, err := feed.New(p.facts.hub.Load(), p.kube, p.options.Namespace)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	config := &Config{
		Live:      reports.Sets(),
		Judge:     p.judge,
		Store:     p.store,
		Namespace: p.options.Namespace,
		Listener:  listen.Fair(l, apiConnections),
		Cert:      servingCert{p.apiServing},
		Limits:    p.options.Limits,

		ShutdownDelay: p.shutdownDelay(),
		Checks:        []healthz.HealthChecker{p.healthCheck(partStore)},
		Host: func(ctx context.Context, config *genericserver.RecommendedConfig) error {
			if err := host.apply(ctx, config); err != nil {
				return err
			}
			// A store that is not the cluster's would have its controller take addresses away.
			select {
			case <-p.lineage.Accepted():
			case <-ctx.Done():
				return ctx.Err()
			}
			namespaces := config.SharedInformerFactory.Core().V1().Namespaces().Lister()
			p.facts.namespaces.Store(&namespaces)
			// Whether peers share a node is decided by the Nodes: without them, what is right would be refused.
			if err := p.facts.hub.Load().WaitForHostNodes(ctx); err != nil {
				return err
			}
			reports.Fill()
			p.group.Go(func() error { reports.Run(ctx); return nil })
			return nil
		},
	}
	completed, err := config.Complete(ctx)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	server, objects, err := completed.New()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	prepared := server.PrepareRun()
	p.readiness.set(partAPI, func() error { return askReadyz(ctx, server.Handler) })
	p.group.Go(func() error { return p.keepAPIServices(ctx) })
	p.group.Go(func() error { return p.keepAddresses(ctx) })
	p.group.Go(func() error {
		// Conditions are read from the watch caches, and written through the API.
		if err := until(ctx, func() bool { return p.readiness.check(partAPI) == nil }); err != nil {
			return err
		}
		p.planned.keep(ctx, writer.New(objects, p.log))
		return ctx.Err()
	})
	return prepared.RunWithContext(ctx)
}
