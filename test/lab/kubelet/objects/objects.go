// Package objects has watched copies of the ConfigMaps and Secrets that a node's Pods name, each watched by itself: a node
// may not read others.
package objects

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// patience is how long the first copy of an object may take.
const patience = 5 * time.Second

// The resources that are known.
const (
	ConfigMaps = "configmaps"
	Secrets    = "secrets"
)

// Ref names an object.
type Ref struct{ Resource, Namespace, Name string }

// Store watches what Pods want.
type Store struct {
	ctx     context.Context // of the watches
	client  kubernetes.Interface
	changed func(owners []types.UID)

	mu      sync.Mutex
	watched map[Ref]*watch
}

type watch struct {
	owners   []types.UID
	store    cache.Store
	informer cache.Controller
	stop     context.CancelFunc
}

// New returns a store that watches until ctx ends. changed is told of the Pods whose objects came, changed or went.
func New(ctx context.Context, client kubernetes.Interface, changed func(owners []types.UID)) *Store {
	return &Store{ctx: ctx, client: client, changed: changed, watched: map[Ref]*watch{}}
}

// Want says which objects a Pod needs, in place of what it said before. What nobody needs any more is not watched any more.
func (s *Store) Want(owner types.UID, refs []Ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ref, w := range s.watched {
		if i := slices.Index(w.owners, owner); i >= 0 && !slices.Contains(refs, ref) {
			if w.owners = slices.Delete(w.owners, i, i+1); len(w.owners) == 0 {
				w.stop()
				delete(s.watched, ref)
			}
		}
	}
	for _, ref := range refs {
		w := s.watched[ref]
		if w == nil {
			w = s.watch(ref)
			s.watched[ref] = w
		}
		if !slices.Contains(w.owners, owner) {
			w.owners = append(w.owners, owner)
		}
	}
}

func (s *Store) watch(ref Ref) *watch {
	var kind runtime.Object = &corev1.ConfigMap{}
	if ref.Resource == Secrets {
		kind = &corev1.Secret{}
	}
	tell := func() {
		s.mu.Lock()
		var owners []types.UID
		if w := s.watched[ref]; w != nil {
			owners = slices.Clone(w.owners)
		}
		s.mu.Unlock()
		s.changed(owners)
	}
	ctx, stop := context.WithCancel(s.ctx)
	w := &watch{stop: stop}
	w.store, w.informer = cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(s.client.CoreV1().RESTClient(), ref.Resource, ref.Namespace,
			fields.OneTermEqualSelector("metadata.name", ref.Name)),
		ObjectType: kind,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { tell() }, UpdateFunc: func(any, any) { tell() }, DeleteFunc: func(any) { tell() },
		},
	})
	go w.informer.RunWithContext(ctx)
	return w
}

// get is an object's copy; of a resource that a Pod has said it wants.
func (s *Store) get(ctx context.Context, ref Ref) (any, error) {
	s.mu.Lock()
	w := s.watched[ref]
	s.mu.Unlock()
	if w == nil {
		return nil, fmt.Errorf("%s %q is not watched", ref.Resource, ref.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !cache.WaitForCacheSync(ctx.Done(), w.informer.HasSynced) {
		return nil, fmt.Errorf("failed to sync %s cache: timed out waiting for %q", ref.Resource, ref.Name)
	}
	object, found, err := w.store.GetByKey(ref.Namespace + "/" + ref.Name)
	if err == nil && !found {
		err = apierrors.NewNotFound(schema.GroupResource{Resource: strings.TrimSuffix(ref.Resource, "s")}, ref.Name)
	}
	return object, err
}

// ConfigMap is the copy of one. The error is apierrors.IsNotFound if there is none.
func (s *Store) ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	object, err := s.get(ctx, Ref{ConfigMaps, namespace, name})
	if err != nil {
		return nil, err
	}
	return object.(*corev1.ConfigMap), nil
}

// Secret is the copy of one. The error is apierrors.IsNotFound if there is none.
func (s *Store) Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	object, err := s.get(ctx, Ref{Secrets, namespace, name})
	if err != nil {
		return nil, err
	}
	return object.(*corev1.Secret), nil
}

// Of are the objects that a Pod's manifest names.
func Of(pod *corev1.Pod) []Ref {
	var refs []Ref
	add := func(resource, name string) {
		if ref := (Ref{resource, pod.Namespace, name}); name != "" && !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	for _, c := range append(slices.Clone(pod.Spec.InitContainers), pod.Spec.Containers...) {
		for _, from := range c.EnvFrom {
			if from.ConfigMapRef != nil {
				add(ConfigMaps, from.ConfigMapRef.Name)
			}
			if from.SecretRef != nil {
				add(Secrets, from.SecretRef.Name)
			}
		}
		for _, v := range c.Env {
			if v.ValueFrom != nil && v.ValueFrom.ConfigMapKeyRef != nil {
				add(ConfigMaps, v.ValueFrom.ConfigMapKeyRef.Name)
			}
			if v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil {
				add(Secrets, v.ValueFrom.SecretKeyRef.Name)
			}
		}
	}
	for _, v := range pod.Spec.Volumes {
		switch {
		case v.ConfigMap != nil:
			add(ConfigMaps, v.ConfigMap.Name)
		case v.Secret != nil:
			add(Secrets, v.Secret.SecretName)
		case v.Projected != nil:
			for _, source := range v.Projected.Sources {
				if source.ConfigMap != nil {
					add(ConfigMaps, source.ConfigMap.Name)
				}
				if source.Secret != nil {
					add(Secrets, source.Secret.Name)
				}
			}
		}
	}
	return refs
}
