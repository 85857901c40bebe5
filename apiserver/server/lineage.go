package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/export"
	"github.com/ingot-lb/ingot/apiserver/lineage"
	"github.com/ingot-lb/ingot/apiserver/rules"
	"github.com/ingot-lb/ingot/apiserver/store"
)

func (p *process) newLineageGuard() *lineage.Guard {
	return lineage.New(lineage.Options{
		Client: p.kube, Namespace: p.options.Namespace, Where: p.options.where(), Store: guardedStore{p.store, p}, Log: p.log,
		Changed: func() {
			if hub := p.facts.hub.Load(); hub != nil {
				hub.Reconsider()
			}
		},
	})
}

// where the store is, in words.
func (o *Options) where() string {
	if len(o.EtcdServers) > 0 {
		return "the etcd at " + strings.Join(o.EtcdServers, ", ")
	}
	if node := os.Getenv("METALLB_NODE_NAME"); node != "" {
		return fmt.Sprintf("%s of %s on node %s", o.DataDir, o.ID, node)
	}
	return fmt.Sprintf("%s of %s", o.DataDir, o.ID)
}

// awaitStore returns when there is a store. One that is there is used at once: it may be that the kube-apiserver is away,
// and speakers are to be answered. Until the guard has accepted it nothing is ordered, and the API waits.
func (p *process) awaitStore(ctx context.Context) error {
	p.readiness.set(partLineage, p.lineage.Err)
	p.group.Go(func() error { p.lineage.Run(ctx); return ctx.Err() })
	if p.store.Lineage() == "" {
		p.readiness.fail(partStore, errors.New("there is none yet"))
		select {
		case <-p.lineage.Accepted():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.readiness.set(partStore, func() error { return p.store.Health(ctx) })
	p.group.Go(func() error { return p.watchStore(ctx) })
	p.group.Go(func() error { return p.followLogLevel(ctx) })
	return nil
}

// guardedStore is the store as its guard needs it.
type guardedStore struct {
	*store.Store
	process *process
}

var _ lineage.Store = guardedStore{}

// Identity implements lineage.Store.
func (s guardedStore) Identity() lineage.Identity { return lineage.Identity(s.Store.Identity()) }

// Restore implements lineage.Store. The rules want to know which Nodes there are: nobody has read them yet.
func (s guardedStore) Restore(ctx context.Context, c *export.Content) error {
	nodes, err := s.process.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list Nodes: %w", err)
	}
	known := make([]*corev1.Node, 0, len(nodes.Items))
	for i := range nodes.Items {
		known = append(known, &nodes.Items[i])
	}
	return s.Store.Restore(ctx, c, lawOf(rules.NewJudge(knownNodes{newNodeFacts(known).nodes})))
}

// knownNodes is a host cluster of which the Nodes are known.
type knownNodes struct{ nodes []rules.Node }

var _ rules.Host = knownNodes{}

// Nodes implements rules.Host.
func (k knownNodes) Nodes() []rules.Node { return k.nodes }

// Secret implements rules.Host.
func (knownNodes) Secret(string) (*corev1.Secret, bool) { return nil, false }

// Holders implements rules.Host.
func (knownNodes) Holders() []rules.Holder { return nil }

// Terminating implements rules.Host.
func (knownNodes) Terminating() bool { return false }
