package dispatch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/ingot-lb/ingot/apiserver/dispatch/cluster"
	"github.com/ingot-lb/ingot/apiserver/dispatch/conflicts"
	"github.com/ingot-lb/ingot/apiserver/dispatch/events"
	"github.com/ingot-lb/ingot/apiserver/dispatch/identity"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Options say what a hub is made of.
type Options struct {
	// Replica is the name of this replica of the apiserver.
	Replica string
	// Namespace is the system namespace.
	Namespace string
	// LoadBalancerClass limits the Services as in plan.Input.
	LoadBalancerClass string
	// ClassOfMetalLB takes the class from the MetalLB object instead; where there is none, or it names none: those
	// without a class.
	ClassOfMetalLB bool
	// IgnoreExcludeLabel is as in plan.Input.
	IgnoreExcludeLabel bool
	// Client talks to the host cluster. Speakers that connect at once need a TokenReview each: its rate limit must
	// allow for that.
	Client kubernetes.Interface
	// Store keeps configuration, leadership, adoption and decisions.
	Store Store
	// DigestKey keys the digests of items: secret, random, and the same over restarts and replicas.
	DigestKey []byte
	// Listener accepts the speakers' connections; Run closes it.
	Listener net.Listener
	// TLS serves the stream; it is required.
	TLS *tls.Config
	// DataDir keeps the cluster's issuer keys for when the kube-apiserver is away.
	DataDir string
	// Planned hears of every plan that this replica makes as the leader, and once, with nil, when it does not lead any
	// more. It must not block. It may be nil.
	Planned func(*Planned)
	// Permitted says why nothing may be sent, beside what the hub knows itself; nil: it may. Reconsider tells the hub that
	// the answer is another one. It may be nil.
	Permitted func() error
	// Log may be nil.
	Log *slog.Logger
}

// Hub serves the speakers.
type Hub struct {
	replica string
	// namespace is the system namespace.
	namespace string
	store     Store
	log       *slog.Logger
	listener  net.Listener
	server    *grpc.Server
	keys      *identity.Keys
	cluster   *cluster.Cluster
	events    *events.Recorder
	nodes     *nodes
	engine    *engine
	metrics   *metrics
	planned   func(*Planned)
	permitted func() error
	draining  chan struct{}
	lead      atomic.Pointer[leadership] // nil while another replica leads
	desired   atomic.Pointer[desired]    // nil while nothing is to be sent
	view      atomic.Pointer[layer2View] // nil before the first plan
	conflicts *conflicts.Teller
	settings  atomic.Pointer[ingotv1.Settings] // nil while they are not known
}

// minDigestKey is the least number of bytes of Options.DigestKey.
const minDigestKey = 16

// New returns a hub. It does nothing until Run.
func New(o Options) (*Hub, error) {
	if o.Client == nil {
		return nil, errors.New("dispatch: a client is required")
	}
	return newHub(o, o.Client.Discovery().RESTClient())
}

// newHub reads the cluster's issuer keys through issuer.
func newHub(o Options, issuer rest.Interface) (*Hub, error) {
	switch {
	case o.Replica == "" || o.Namespace == "":
		return nil, errors.New("dispatch: the replica's name and the system namespace are required")
	case o.Store == nil || o.Listener == nil || o.TLS == nil || o.DataDir == "":
		return nil, errors.New("dispatch: a store, a listener, a TLS configuration and a data directory are required")
	case len(o.DigestKey) < minDigestKey:
		return nil, fmt.Errorf("dispatch: the digest key has %d bytes, at least %d are required", len(o.DigestKey), minDigestKey)
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	h := &Hub{
		replica:   o.Replica,
		namespace: o.Namespace,
		store:     o.Store,
		log:       log,
		listener:  o.Listener,
		planned:   o.Planned,
		permitted: o.Permitted,
		draining:  make(chan struct{}),
	}
	if h.planned == nil {
		h.planned = func(*Planned) {}
	}
	if h.permitted == nil {
		h.permitted = func() error { return nil }
	}
	h.metrics = newMetrics(h)
	h.events = events.New(o.Client.CoreV1(), log, h.metrics.eventsDropped.Inc)
	h.conflicts = conflicts.New(conflicts.Options{Services: o.Client.CoreV1(), Find: h.hostService, All: h.HostServices, Event: h.events.Service, Log: log})
	h.engine = newEngine(h, o)
	h.nodes = newNodes(h.engine.kick, h.engine.urge, time.Now)
	h.engine.memory.Pace = h.nodes.pace
	var err error
	if h.cluster, err = cluster.New(o.Client, o.Namespace, h.engine.kick); err != nil {
		return nil, fmt.Errorf("dispatch: %w", err)
	}
	if err = h.cluster.OnNode(h.nodes.hostChanged); err != nil {
		return nil, fmt.Errorf("dispatch: %w", err)
	}
	h.keys = identity.NewKeys(issuer, filepath.Join(o.DataDir, "issuer-keys.json"), log)
	tokens := identity.NewAuthenticator(o.Client.AuthenticationV1().TokenReviews(), o.Namespace, h.keys, log)
	h.server = newServer(h, o.TLS, tokens)
	return h, nil
}

// Registry returns the hub's metrics, to be served beside others.
func (h *Hub) Registry() *prometheus.Registry { return h.metrics.registry }

// Run serves until ctx ends. It returns the first error that is not ctx's own.
func (h *Hub) Run(ctx context.Context) error {
	background, stop := context.WithCancel(ctx)
	parts := []func(context.Context){
		h.keys.Run,
		func(ctx context.Context) { h.cluster.Run(ctx, h.engine.kick) },
		h.events.Run,
		h.conflicts.Run,
		h.followConfiguration,
		h.followAdoption,
		h.followLedger,
		h.campaign,
		h.engine.run,
	}
	ended := make(chan struct{}, len(parts))
	for _, part := range parts {
		go func() {
			part(background)
			ended <- struct{}{}
		}()
	}
	err := h.serve(ctx)
	stop()
	for range parts {
		<-ended
	}
	return err
}

// Reconsider has the hub ask again whether it is permitted to send.
func (h *Hub) Reconsider() { h.engine.kick() }

// Ready says what is still missing before this replica could lead, and nothing when it could.
func (h *Hub) Ready() error {
	if missing := h.cluster.Missing(); len(missing) > 0 {
		return fmt.Errorf("dispatch: not read yet: %v", missing)
	}
	if !h.engine.configured() {
		return errors.New("dispatch: the configuration has not been read yet")
	}
	return nil
}
