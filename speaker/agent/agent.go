package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/desired"
	"github.com/ingot-lb/ingot/speaker/logging"
	"github.com/ingot-lb/ingot/speaker/saved"
)

// Options say who the agent is, whom it talks to and what it commands.
type Options struct {
	// Node is the name of the Kubernetes Node.
	Node string
	// Version of the program.
	Version string
	// BootID of the node's kernel.
	BootID string
	// StateDir is the directory of the saved state.
	StateDir string
	// Endpoints of the centre, HOST:PORT; each host may resolve to several replicas.
	Endpoints []string
	// AddressFile has addresses of the centre, for as long as names do not resolve: IP:PORT, one a line. It is optional, may
	// come into being later, and is empty for none.
	AddressFile string
	// CAFile verifies the centre's certificate, which must carry ServerName. It is read for each connection, and
	// may come into being later.
	CAFile     string
	ServerName string
	// TokenFile holds the ServiceAccount token; it is read for each connection.
	TokenFile string
	// Announcers by the lane whose items they make true.
	Announcers map[ingotv1.Lane]Announcer
	// LogLevel is kept at what the centre says; nil: nothing is.
	LogLevel *logging.Level
	// Registerer takes the agent's metrics; nil: none.
	Registerer prometheus.Registerer
	Log        *slog.Logger

	// resolve stands in for the DNS in tests.
	resolve lookup
	timing  timing
}

// timing are the agent's intervals, so that tests need not wait for them.
type timing struct {
	// firstDelay and maxDelay bound the full jitter between attempts to connect; slowDelay is the limit after the
	// centre refused who we are.
	firstDelay, maxDelay, slowDelay time.Duration
	// silence is the least time without a message after which a stream counts as dead.
	silence time.Duration
	// coalesce is how long changes of observations are gathered; fullReport how often all are repeated.
	coalesce, fullReport time.Duration
	// counters that went on are reported after once to twice this time.
	counters time.Duration
	// resolveEvery is how often names are resolved again; resolveSoon the least time between two attempts.
	resolveEvery, resolveSoon time.Duration
}

func (t *timing) setDefaults() {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.firstDelay, 200 * time.Millisecond},
		{&t.maxDelay, 10 * time.Second},
		{&t.slowDelay, 30 * time.Second},
		{&t.silence, 10 * time.Second},
		{&t.coalesce, 250 * time.Millisecond},
		{&t.fullReport, time.Minute},
		{&t.counters, 5 * time.Second},
		{&t.resolveEvery, 30 * time.Second},
		{&t.resolveSoon, time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
}

// Agent is the speaker of one node.
type Agent struct {
	opts     Options
	log      *slog.Logger
	instance string
	started  time.Time
	core     *core
	metrics  *metrics
	// kick asks for names to be resolved again soon.
	kick chan struct{}
}

// New returns an agent that does nothing until Run.
func New(opts Options) (*Agent, error) {
	if opts.Node == "" {
		return nil, errors.New("the node's name is not known")
	}
	if len(opts.Endpoints) == 0 {
		return nil, errors.New("no endpoint of the centre is given")
	}
	for _, endpoint := range opts.Endpoints {
		if err := checkEndpoint(endpoint); err != nil {
			return nil, err
		}
	}
	opts.timing.setDefaults()
	if opts.resolve == nil {
		opts.resolve = systemResolver
	}
	a := &Agent{
		opts:     opts,
		log:      opts.Log,
		instance: uuid.NewString(),
		started:  time.Now(),
		kick:     make(chan struct{}, 1),
	}
	a.metrics = newMetrics(a)
	if opts.Registerer != nil {
		if err := a.metrics.register(opts.Registerer); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	a.core = newCore(a)
	return a, nil
}

// Run restores what the node announced, then serves until ctx ends, leaving the network as it is. It returns the
// first error of an announcer.
func (a *Agent) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for lane, announcer := range a.opts.Announcers {
		g.Go(func() error {
			a.core.running(lane, true)
			defer a.core.running(lane, false)
			if err := announcer.Run(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", protocolName(lane), err)
			}
			return nil
		})
	}
	addresses := a.restore(ctx)
	g.Go(func() error { a.follow(ctx, addresses); return nil })
	g.Go(func() error { a.reportChanges(ctx); return nil })
	return g.Wait()
}

// restore brings back what the node last acknowledged, before anybody is asked, and returns the centre's last
// known addresses.
func (a *Agent) restore(ctx context.Context) map[string][]string {
	snap, ok, err := a.core.store.Load()
	if err != nil {
		a.log.Warn("starting without the state of before", "event", "savedStateIgnored", "error", err)
		return nil
	}
	if !ok {
		a.log.Info("no saved state; announcing nothing until the centre is heard", "path", a.core.store.Path())
		return nil
	}
	state, err := desired.Restore(snap.State)
	if err != nil {
		a.log.Warn("starting without the state of before", "event", "savedStateIgnored",
			"error", fmt.Errorf("%w: %s: %w", saved.ErrUnusable, a.core.store.Path(), err))
		return nil
	}
	a.core.restore(ctx, state, snap.Addresses, snap.LogLevel)
	return snap.Addresses
}

// protocolName is what users call the protocol of a lane, in metrics and logs.
func protocolName(l ingotv1.Lane) string {
	switch l {
	case ingotv1.Lane_LANE_ROUTING:
		return "bgp"
	case ingotv1.Lane_LANE_LAYER2:
		return "layer2"
	}
	return l.String()
}
