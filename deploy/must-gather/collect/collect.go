// Package collect asks a cluster for everything that says how its load balancer is doing. Whatever fails is noted and left out.
package collect

import (
	"context"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/ingot-lb/ingot/deploy/must-gather/archive"
	"github.com/ingot-lb/ingot/deploy/must-gather/redact"
)

// Options are what a gathering is told.
type Options struct {
	// Kubectl is the program to ask the cluster with, kubectl or oc, with its first arguments.
	Kubectl []string
	// Via, if not empty, is a program that reaches containers in kubectl's place: it is run as
	// `VIA exec NAMESPACE POD CONTAINER COMMAND…` and `VIA logs NAMESPACE POD CONTAINER current|previous`.
	Via string
	// Namespace is the system namespace; empty: where the group's APIService points, or metallb-system.
	Namespace string
	// StepTimeout bounds one command.
	StepTimeout time.Duration
	// LogBytes is how much of each log is kept, from its end.
	LogBytes int
	// Since, if not empty, is the flag that makes logs begin later: --since=… or --since-time=….
	Since string
	// Parallel is how many commands run at once.
	Parallel int
	// Progress is told of every part.
	Progress func(format string, args ...any)
}

// objectBytes bounds one answer of the Kubernetes API, tableBytes one of a program.
const (
	objectBytes = 256 << 20
	tableBytes  = 64 << 20
)

// Gatherer gathers once.
type Gatherer struct {
	opts   Options
	tree   *archive.Tree
	secret *redact.Redactor
	slots  chan struct{}

	mu      sync.Mutex
	history []moment
	broken  error // the tree cannot be written
}

// New returns a Gatherer that writes to tree.
func New(opts Options, tree *archive.Tree, secret *redact.Redactor) *Gatherer {
	return &Gatherer{opts: opts, tree: tree, secret: secret, slots: make(chan struct{}, opts.Parallel)}
}

// Run gathers everything. Secrets come first, so that their values are known when the rest is written. The error says that the
// tree could not be written.
func (g *Gatherer) Run(ctx context.Context) error {
	apiServices := g.list(ctx, place{path: "cluster-scoped-resources/apiregistration.k8s.io/apiservices.yaml", url: "/apis/apiregistration.k8s.io/v1/apiservices"})
	if g.opts.Namespace == "" {
		g.opts.Namespace = namespaceOf(apiServices)
	}
	g.opts.Progress("namespace %s", g.opts.Namespace)
	g.secrets(ctx)
	g.group(ctx)
	pods := g.system(ctx)
	g.opts.Progress("%d Pods", len(pods))
	g.parallel(
		func() { g.cluster(ctx) },
		func() { g.services(ctx) },
		func() { g.tables(ctx) },
		func() { g.each(pods, func(p pod) { g.pod(ctx, p) }) },
	)
	g.keep(archive.Entry{Path: "history.txt", Started: time.Now(), Note: "what happened when, out of all objects that were collected"}, g.timeline(), false)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.broken
}

// Namespace is the system namespace, once Run has found it.
func (g *Gatherer) Namespace() string { return g.opts.Namespace }

// parallel runs functions at once and waits for all.
func (g *Gatherer) parallel(functions ...func()) {
	var all sync.WaitGroup
	for _, f := range functions {
		all.Go(f)
	}
	all.Wait()
}

// each does something for all Pods, as many at once as there may be commands.
func (g *Gatherer) each(pods []pod, do func(pod)) {
	var all sync.WaitGroup
	for _, p := range pods {
		g.slots <- struct{}{}
		all.Go(func() {
			defer func() { <-g.slots }()
			do(p)
		})
	}
	all.Wait()
}

// keep writes a file; that it cannot is the one thing that makes gathering pointless.
func (g *Gatherer) keep(e archive.Entry, content []byte, isObject bool) {
	if err := g.tree.Write(e, content, isObject); err != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.broken == nil {
			g.broken = err
		}
	}
}

// text keeps what a command printed, also if it failed after that.
func (g *Gatherer) text(path string, a answer) {
	if len(a.out) == 0 && a.entry.Error != "" {
		g.tree.Note(a.entry)
		return
	}
	a.entry.Path = path
	g.keep(a.entry, a.out, false)
}

func (g *Gatherer) kubectl(args ...string) []string {
	return append(append([]string(nil), g.opts.Kubectl...), args...)
}

// tables are what people read first.
func (g *Gatherer) tables(ctx context.Context) {
	for path, args := range map[string]string{
		"versions.txt":           "version",
		"tables/group.txt":       "get ingot --all-namespaces -o wide",
		"tables/system.txt":      "get pods,daemonsets,deployments,services,endpointslices,leases -o wide -n " + g.opts.Namespace,
		"tables/nodes.txt":       "get nodes -o wide",
		"tables/services.txt":    "get services --all-namespaces -o wide",
		"tables/apiservices.txt": "get apiservices",
	} {
		g.text(path, g.run(ctx, tableBytes, false, g.kubectl(strings.Fields(args)...)...))
	}
}

// Environment returns the flag that the variables of `oc adm must-gather --since` and `--since-time` ask for.
func Environment() (since string) {
	if v := os.Getenv("MUST_GATHER_SINCE_TIME"); v != "" {
		return "--since-time=" + v
	}
	if v := os.Getenv("MUST_GATHER_SINCE"); v != "" {
		return "--since=" + v
	}
	return ""
}
