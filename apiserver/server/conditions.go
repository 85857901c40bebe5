package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/dynamic"
	restclient "k8s.io/client-go/rest"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/apiserver/conditions"
	"github.com/ingot-lb/ingot/apiserver/conditions/writer"
	"github.com/ingot-lb/ingot/apiserver/dispatch"
	"github.com/ingot-lb/ingot/apiserver/rules"
)

// conditionsManager is the field manager of the conditions that are written here.
const conditionsManager = "ingot-apiserver"

// conditioned are the objects whose conditions are written here. They are read from memory, and written through the API
// itself: server-side apply keeps who manages which fields, and leaves counters and the conditions of others alone.
type conditioned struct {
	namespace string
	kinds     []conditionedKind
	client    dynamic.Interface
}

type conditionedKind struct {
	resource string
	lister   rest.Lister
}

var _ writer.Objects = (*conditioned)(nil)

// newConditioned serves the stored kinds in storage, which is by version and path. loopback reaches the API.
func newConditioned(namespace string, storage map[string]map[string]rest.Storage, loopback *restclient.Config) (*conditioned, error) {
	config := restclient.CopyConfig(loopback)
	config.QPS = -1 // the writer has a limit of its own
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client of our own API: %w", err)
	}
	made := &conditioned{namespace: namespace, client: client}
	for _, resource := range conditions.Resources {
		version := preferredVersion(resource, storage)
		lister, ok := storage[version][resource].(rest.Lister)
		if !ok {
			return nil, fmt.Errorf("%s are not served", resource)
		}
		made.kinds = append(made.kinds, conditionedKind{resource, lister})
	}
	return made, nil
}

// preferredVersion is the first, in the group's order, that serves a resource.
func preferredVersion(resource string, storage map[string]map[string]rest.Storage) string {
	for _, gv := range install.Scheme.PrioritizedVersionsForGroup(metallb.GroupName) {
		if storage[gv.Version][resource] != nil {
			return gv.Version
		}
	}
	return ""
}

// List implements writer.Objects.
func (c *conditioned) List(ctx context.Context, fresh bool) ([]metallb.Conditioned, error) {
	ctx = genericapirequest.WithNamespace(ctx, c.namespace)
	options := &metainternalversion.ListOptions{}
	if !fresh {
		options.ResourceVersion = "0" // as the watch cache has it
	}
	var all []metallb.Conditioned
	for _, k := range c.kinds {
		list, err := k.lister.List(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", k.resource, err)
		}
		err = meta.EachListItem(list, func(o runtime.Object) error {
			all = append(all, o.(metallb.Conditioned))
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", k.resource, err)
		}
	}
	return all, nil
}

// Apply implements writer.Objects.
func (c *conditioned) Apply(ctx context.Context, v conditions.Verdict) (string, error) {
	kinds, _, err := install.Scheme.ObjectKinds(v.Object)
	if err != nil {
		return "", fmt.Errorf("kind of %s: %w", v.Resource, err)
	}
	gvk := kinds[0]
	for _, gv := range install.Scheme.PrioritizedVersionsForGroup(metallb.GroupName) {
		if install.Scheme.Recognizes(gv.WithKind(gvk.Kind)) {
			gvk.Version = gv.Version
			break
		}
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion": gvk.GroupVersion().String(), "kind": gvk.Kind,
		"metadata": map[string]any{"name": v.Object.GetName(), "namespace": v.Object.GetNamespace(), "uid": v.Object.GetUID()},
		"status":   map[string]any{"conditions": v.Conditions},
	})
	if err != nil {
		return "", fmt.Errorf("conditions of %s %s: %w", v.Resource, v.Object.GetName(), err)
	}
	written, err := c.client.Resource(gvk.GroupVersion().WithResource(v.Resource)).Namespace(v.Object.GetNamespace()).Patch(ctx,
		v.Object.GetName(), types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: conditionsManager, Force: new(true)}, "status")
	if err != nil {
		return "", err
	}
	return written.GetResourceVersion(), nil
}

// planned hands the leader's plans to the writer of conditions, which comes up later than they begin.
type planned struct {
	mu   sync.Mutex
	last *dispatch.Planned
	to   *writer.Writer
}

// set implements dispatch.Options.Planned.
func (p *planned) set(next *dispatch.Planned) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = next
	p.pass()
}

// keep keeps the conditions until ctx ends.
func (p *planned) keep(ctx context.Context, w *writer.Writer) {
	p.mu.Lock()
	p.to = w
	p.pass()
	p.mu.Unlock()
	w.Run(ctx)
}

func (p *planned) pass() {
	switch last := p.last; {
	case p.to == nil:
	case last == nil:
		p.to.Set(0, nil)
	default:
		p.to.Set(last.Epoch, func() conditions.Input { return evaluated(last) })
	}
}

// evaluated is what conditions are evaluated from.
func evaluated(p *dispatch.Planned) conditions.Input {
	in := conditions.Input{
		Config: p.Config, Withheld: p.Withheld, Refused: map[string][]conditions.Refusal{},
		Secrets: func(name string) (*corev1.Secret, bool) { return p.Secrets[name], true },
	}
	for _, n := range p.Nodes {
		in.Nodes = append(in.Nodes, ruledNode(n))
	}
	slices.SortFunc(in.Nodes, func(a, b rules.Node) int { return cmp.Compare(a.Name, b.Name) })
	for peer, nodes := range p.Refused {
		for _, node := range slices.Sorted(maps.Keys(nodes)) {
			in.Refused[peer] = append(in.Refused[peer], conditions.Refusal{Node: node, Reason: nodes[node]})
		}
	}
	return in
}
