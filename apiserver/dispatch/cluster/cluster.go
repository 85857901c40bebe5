// Package cluster keeps what the planner needs of the host cluster in memory: Services, EndpointSlices and Nodes of
// the whole cluster, and the Secrets of the system namespace, each stripped of what the planner does not read.
package cluster

import (
	"context"
	"fmt"
	"reflect"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
)

// Cluster follows the host cluster. While the kube-apiserver is away it goes on with what it last saw.
type Cluster struct {
	factories []informers.SharedInformerFactory
	watched   []watched

	services corelisters.ServiceLister
	slices   discoverylisters.EndpointSliceLister
	nodes    corelisters.NodeLister
	secrets  corelisters.SecretNamespaceLister
}

type watched struct {
	resource string
	informer cache.SharedIndexInformer
	failure  *atomic.Pointer[string] // of the last try to read it
}

// State is the cluster at one moment. The objects are shared and must not be changed.
type State struct {
	Services       []*corev1.Service
	EndpointSlices map[types.NamespacedName][]*discoveryv1.EndpointSlice
	Nodes          []*corev1.Node
	// Secrets are those of the system namespace, by name.
	Secrets map[string]*corev1.Secret
}

// New prepares to follow the cluster behind client, with namespace as the system namespace. changed is called,
// from several goroutines and often, when something changed that the planner may care for; it must not block.
func New(client kubernetes.Interface, namespace string, changed func()) (*Cluster, error) {
	whole := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(strip))
	system := informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithNamespace(namespace), informers.WithTransform(strip))
	c := &Cluster{
		factories: []informers.SharedInformerFactory{whole, system},
		watched: []watched{
			{"services", whole.Core().V1().Services().Informer(), &atomic.Pointer[string]{}},
			{"endpointslices", whole.Discovery().V1().EndpointSlices().Informer(), &atomic.Pointer[string]{}},
			{"nodes", whole.Core().V1().Nodes().Informer(), &atomic.Pointer[string]{}},
			{"secrets", system.Core().V1().Secrets().Informer(), &atomic.Pointer[string]{}},
		},
		services: whole.Core().V1().Services().Lister(),
		slices:   whole.Discovery().V1().EndpointSlices().Lister(),
		nodes:    whole.Core().V1().Nodes().Lister(),
		secrets:  system.Core().V1().Secrets().Lister().Secrets(namespace),
	}
	for _, w := range c.watched {
		err := w.informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
			w.failure.Store(new(err.Error()))
			cache.DefaultWatchErrorHandler(ctx, r, err) // which logs it
		})
		if err != nil {
			return nil, fmt.Errorf("watch %s: %w", w.resource, err)
		}
		if _, err := w.informer.AddEventHandler(onChange(changed)); err != nil {
			return nil, fmt.Errorf("watch %s: %w", w.resource, err)
		}
	}
	return c, nil
}

// Run follows the cluster until ctx ends. changed is called once more when everything was read for the first time.
func (c *Cluster) Run(ctx context.Context, changed func()) {
	for _, f := range c.factories {
		f.Start(ctx.Done())
	}
	synced := make([]cache.InformerSynced, 0, len(c.watched))
	for _, w := range c.watched {
		synced = append(synced, w.informer.HasSynced)
	}
	if cache.WaitForCacheSync(ctx.Done(), synced...) {
		changed()
	}
	<-ctx.Done()
	for _, f := range c.factories {
		f.Shutdown()
	}
}

// Missing names the resources that have not been read completely yet, and why, where that is known.
func (c *Cluster) Missing() []string {
	var missing []string
	for _, w := range c.watched {
		if !w.informer.HasSynced() {
			why := ""
			if failure := w.failure.Load(); failure != nil {
				why = " (" + *failure + ")"
			}
			missing = append(missing, w.resource+why)
		}
	}
	return missing
}

// Service returns one Service, if it exists.
func (c *Cluster) Service(name types.NamespacedName) (*corev1.Service, bool) {
	s, err := c.services.Services(name.Namespace).Get(name.Name)
	return s, err == nil
}

// State returns the cluster as it is known now.
func (c *Cluster) State() (State, error) {
	var s State
	var err error
	if s.Services, err = c.services.List(labels.Everything()); err != nil {
		return State{}, fmt.Errorf("list services: %w", err)
	}
	if s.Nodes, err = c.nodes.List(labels.Everything()); err != nil {
		return State{}, fmt.Errorf("list nodes: %w", err)
	}
	slices, err := c.slices.List(labels.Everything())
	if err != nil {
		return State{}, fmt.Errorf("list endpointslices: %w", err)
	}
	s.EndpointSlices = make(map[types.NamespacedName][]*discoveryv1.EndpointSlice, len(s.Services))
	for _, slice := range slices {
		if owner := slice.Labels[discoveryv1.LabelServiceName]; owner != "" {
			key := types.NamespacedName{Namespace: slice.Namespace, Name: owner}
			s.EndpointSlices[key] = append(s.EndpointSlices[key], slice)
		}
	}
	secrets, err := c.secrets.List(labels.Everything())
	if err != nil {
		return State{}, fmt.Errorf("list secrets: %w", err)
	}
	s.Secrets = make(map[string]*corev1.Secret, len(secrets))
	for _, secret := range secrets {
		s.Secrets[secret.Name] = secret
	}
	return s, nil
}

// onChange calls changed for every change but those that leave what is kept of an object as it was.
func onChange(changed func()) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		DeleteFunc: func(any) { changed() },
		UpdateFunc: func(before, after any) {
			if !sameButVersion(before, after) {
				changed()
			}
		},
	}
}

// sameButVersion compares two versions of an object without their resource versions.
func sameButVersion(before, after any) bool {
	if reflect.TypeOf(before) != reflect.TypeOf(after) {
		return false
	}
	b, err := meta.Accessor(before)
	if err != nil {
		return false
	}
	copied, ok := shallowCopy(after, b.GetResourceVersion())
	return ok && equality.Semantic.DeepEqual(before, copied)
}

// shallowCopy returns a copy of a kept object that carries another resource version.
func shallowCopy(o any, version string) (any, bool) {
	switch o := o.(type) {
	case *corev1.Service:
		c := *o
		c.ResourceVersion = version
		return &c, true
	case *corev1.Node:
		c := *o
		c.ResourceVersion = version
		return &c, true
	case *corev1.Secret:
		c := *o
		c.ResourceVersion = version
		return &c, true
	case *discoveryv1.EndpointSlice:
		c := *o
		c.ResourceVersion = version
		return &c, true
	}
	return nil, false
}
