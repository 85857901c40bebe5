package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/ingot-lb/ingot/certs/monitoring"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/agent"
	"github.com/ingot-lb/ingot/speaker/bfd/shared"
	"github.com/ingot-lb/ingot/speaker/bgp"
	"github.com/ingot-lb/ingot/speaker/exclusion"
	"github.com/ingot-lb/ingot/speaker/introspect"
	"github.com/ingot-lb/ingot/speaker/l2"
	"github.com/ingot-lb/ingot/speaker/liveness"
	"github.com/ingot-lb/ingot/speaker/local"
	"github.com/ingot-lb/ingot/speaker/logging"
	"github.com/ingot-lb/ingot/speaker/saved"
)

// version is set by the linker.
var version = "dev"

// farewell is how long parts may take to end, beyond the time to drain sessions. Ending is not worth more: the state is saved.
const farewell = 3 * time.Second

// leaveTime is how long the speaker waits for others to take over its layer-2 addresses when it stops.
const leaveTime = 2 * time.Second

// maxDrainTime is what the grace period of the speaker's Pods has room for.
const maxDrainTime = time.Minute

// keepSmall has garbage collected at half the growth that Go allows: the speaker is idle for most of its life, and its memory counts on every
// node. GOGC in the environment goes before.
func keepSmall() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

// run is the speaker until ctx ends.
func run(ctx context.Context, f flags) error {
	level, err := logging.NewLevel(f.logLevel)
	if err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	if f.nodeName == "" {
		return errors.New("--node-name or METALLB_NODE_NAME is required")
	}
	if f.prefixLimit < 1 || f.prefixLimit > math.MaxInt32 {
		return fmt.Errorf("--bgp-prefix-limit %d is not within 1 to %d", f.prefixLimit, math.MaxInt32)
	}
	if f.drainTime < 0 || f.drainTime > maxDrainTime {
		return fmt.Errorf("--drain-time: %s is outside 0s to %s", f.drainTime, maxDrainTime)
	}
	if err := f.limits.Validate(); err != nil {
		return err
	}
	exclude, err := exclusion.Open(f.excludeFile, f.excludeInterfaces)
	if err != nil {
		return fmt.Errorf("interfaces to exclude from layer 2: %w", err)
	}
	keepSmall()
	events := introspect.NewEvents()
	log := slog.New(events.Handler(logging.New(os.Stdout, level).Handler()))
	level.Tell(log)
	logging.Libraries(log)
	log.Info("Ingot speaker starting", "version", version, "commit", commit(), "goversion", runtime.Version(), "node", f.nodeName)

	bootID, err := saved.BootID()
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(level, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	f.monitoring.Limits, f.monitoring.Log = &f.limits, log
	certificate, err := monitoring.Open(f.monitoring)
	if err != nil {
		return err
	}
	registry.MustRegister(certificate)
	sessions := bgp.New(bgp.Options{
		Node: f.nodeName, Log: log, PrefixLimit: f.prefixLimit, DrainTime: f.drainTime, Registerer: registry,
	})
	paths := shared.New(log)
	layer2 := l2.New(l2.Options{Log: log, Node: f.nodeName, Exclude: exclude.Expressions(), Engine: paths, Registerer: registry})
	speaker, err := agent.New(agent.Options{
		Node:        f.nodeName,
		Version:     version,
		BootID:      bootID,
		StateDir:    f.stateDir,
		Endpoints:   f.dispatch,
		AddressFile: f.dispatchFile,
		CAFile:      f.dispatchCA,
		ServerName:  f.dispatchServerName,
		TokenFile:   f.tokenFile,
		Announcers: map[ingotv1.Lane]agent.Announcer{
			ingotv1.Lane_LANE_LAYER2: layer2,
			ingotv1.Lane_LANE_ROUTING: local.New(liveness.New(liveness.Options{
				BGP: sessions, Engine: paths, Log: log, Registerer: registry,
			}), log),
		},
		LogLevel:   level,
		Registerer: registry,
		Log:        log,
	})
	if err != nil {
		return err
	}
	shown, err := introspect.New(introspect.Options{
		Source: speaker, Events: events, Level: level, Drain: sessions.Drain, Address: f.grpcAddress, Socket: f.grpcSocket, Log: log,
	})
	if err != nil {
		return err
	}

	stopped := ctx
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer paths.Close()
		return speaker.Run(ctx)
	})
	g.Go(func() error { return shown.Run(ctx) })
	g.Go(func() error { exclude.Follow(ctx, log, layer2.Exclude); return nil })
	if f.metricsAddress != "" {
		g.Go(func() error {
			introspect.ServeHTTP(ctx, log, f.metricsAddress, certificate, introspect.Handler(registry, speaker))
			return nil
		})
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Wait() }()
	select {
	case <-stopped.Done():
		leave(ctx, speaker)
		stop()
	case <-ctx.Done():
	}
	select {
	case err = <-ended:
	case <-time.After(f.drainTime + farewell):
		log.Warn("not everything ended in time; leaving anyway")
	}
	if err == nil {
		log.Info("Ingot speaker ends; the saved state, and sessions with graceful restart, stay as they are", "event", "speakerEnded")
	}
	return err
}

// leave has others take over the node's layer-2 addresses, for so long at most.
func leave(ctx context.Context, speaker *agent.Agent) {
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	speaker.Leave(ctx)
}

// commit is the revision that the program was built from, as the Go toolchain recorded it.
func commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}
