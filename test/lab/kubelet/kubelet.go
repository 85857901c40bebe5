package kubelet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/ingot-lb/ingot/test/lab/kubelet/container"
	"github.com/ingot-lb/ingot/test/lab/kubelet/objects"
)

// Kubelet is that of one node.
type Kubelet struct {
	Config
	runtime container.Runtime
	log     *slog.Logger
	port    atomic.Uint32

	// Of the Run that goes on.
	objects  *objects.Store
	services corelisters.ServiceLister

	mu     sync.Mutex
	events record.EventRecorder // of the last Run
	pods   map[types.UID]*pod
}

// New returns a kubelet whose containers, once Run runs, are children of this process.
func New(c Config) *Kubelet {
	c = c.withDefaults()
	return &Kubelet{
		Config: c, runtime: container.Runtime{Shim: c.Shim, Reaper: c.Reaper}, log: c.Log,
		pods: map[types.UID]*pod{},
	}
}

// Port is where the kubelet's API is served; 0 before Run has begun to.
func (k *Kubelet) Port() uint16 { return uint16(k.port.Load()) }

// Run registers the node, keeps it alive, and runs its Pods until ctx ends. Containers outlive it, as they do a kubelet: a
// later Run finds them, and Close ends them. It returns the first error that is not ctx's own.
func (k *Kubelet) Run(ctx context.Context) error {
	for _, dir := range []string{k.Root, k.rootfs()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	listener, err := k.listen()
	if err != nil {
		return fmt.Errorf("the kubelet's API: %w", err)
	}
	// Whoever waits for an event gets it, however many a Pod had while the machine was slow. Kubelets say no more after 25.
	broadcaster := record.NewBroadcaster(record.WithContext(ctx), record.WithCorrelatorOptions(record.CorrelatorOptions{BurstSize: 1000}))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: k.Client.CoreV1().Events("")})
	k.mu.Lock()
	k.events = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet", Host: k.NodeName})
	k.mu.Unlock()

	g, ctx := errgroup.WithContext(ctx)
	k.objects = objects.New(ctx, k.Client, k.wake)
	services, informer := k.watchServices()
	k.services = services
	g.Go(func() error { informer.RunWithContext(ctx); return nil })
	g.Go(func() error { return k.serve(ctx, listener) })
	g.Go(func() error { return k.keepNode(ctx) })
	g.Go(func() error {
		// A container's environment names the API's Service.
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return nil
		}
		return k.watchPods(ctx, g)
	})
	return g.Wait()
}

func (k *Kubelet) recorder() record.EventRecorder {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.events
}

func (k *Kubelet) watchServices() (corelisters.ServiceLister, cache.SharedIndexInformer) {
	all := cache.NewListWatchFromClient(k.Client.CoreV1().RESTClient(), "services", corev1.NamespaceAll, fields.Everything())
	informer := cache.NewSharedIndexInformer(all, &corev1.Service{}, 0, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	return corelisters.NewServiceLister(informer.GetIndexer()), informer
}

// serviceList are all Services there are.
func (k *Kubelet) serviceList() ([]*corev1.Service, error) {
	return k.services.List(labels.Everything())
}

// watchPods gives each Pod of the node a goroutine of g.
func (k *Kubelet) watchPods(ctx context.Context, g *errgroup.Group) error {
	bound := cache.NewListWatchFromClient(k.Client.CoreV1().RESTClient(), "pods", corev1.NamespaceAll,
		fields.OneTermEqualSelector("spec.nodeName", k.NodeName))
	informer := cache.NewSharedInformer(bound, &corev1.Pod{}, 0)
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { k.see(ctx, g, object.(*corev1.Pod)) },
		UpdateFunc: func(_, object any) { k.see(ctx, g, object.(*corev1.Pod)) },
		DeleteFunc: func(object any) {
			if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = unknown.Obj
			}
			if object, ok := object.(*corev1.Pod); ok {
				k.miss(object.UID)
			}
		},
	})
	if err != nil {
		return err
	}
	g.Go(func() error { informer.RunWithContext(ctx); return nil })
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return nil
	}
	// Those of an earlier Run that went meanwhile, or went and came again by another identity.
	there := map[types.UID]bool{}
	for _, object := range informer.GetStore().List() {
		there[object.(*corev1.Pod).UID] = true
	}
	k.mu.Lock()
	var orphans []*pod
	for uid, p := range k.pods {
		if !there[uid] {
			orphans = append(orphans, p)
		}
	}
	k.mu.Unlock()
	for _, p := range orphans {
		k.miss(p.uid)
		if p.working.CompareAndSwap(false, true) {
			g.Go(func() error { p.work(ctx); return nil })
		}
	}
	<-ctx.Done()
	return nil
}

// see takes a Pod's object. A Pod that is new to this Run gets its goroutine.
func (k *Kubelet) see(ctx context.Context, g *errgroup.Group, object *corev1.Pod) {
	k.mu.Lock()
	p := k.pods[object.UID]
	if p == nil {
		p = newPod(k, object)
		k.pods[object.UID] = p
	}
	k.mu.Unlock()
	p.mu.Lock()
	p.object = object
	p.mu.Unlock()
	p.kick()
	if p.working.CompareAndSwap(false, true) {
		g.Go(func() error { p.work(ctx); return nil })
	}
}

// miss takes note that a Pod's object is gone.
func (k *Kubelet) miss(uid types.UID) {
	k.mu.Lock()
	p := k.pods[uid]
	k.mu.Unlock()
	if p != nil {
		p.mu.Lock()
		p.gone = true
		p.mu.Unlock()
		p.kick()
	}
}

func (k *Kubelet) wake(uids []types.UID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, uid := range uids {
		if p := k.pods[uid]; p != nil {
			p.kick()
		}
	}
}

func (k *Kubelet) forget(p *pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.pods, p.uid)
}

// all are the Pods there are.
func (k *Kubelet) all() []*pod {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]*pod, 0, len(k.pods))
	for _, p := range k.pods {
		all = append(all, p)
	}
	return all
}

// Close ends all containers, by SIGTERM and when ctx ends by SIGKILL, and takes down their networks and mounts. Run must
// have returned. The Pods' objects stay as they are.
func (k *Kubelet) Close(ctx context.Context) error {
	grace := time.Minute
	if deadline, ok := ctx.Deadline(); ok {
		grace = time.Until(deadline)
	}
	var ends sync.WaitGroup
	failures := make(chan error, len(k.all()))
	for _, p := range k.all() {
		ends.Go(func() {
			p.stop(context.WithoutCancel(ctx), grace, "")
			p.awaitEnd()
			failures <- p.takeDown()
			k.forget(p)
		})
	}
	ends.Wait()
	close(failures)
	var all []error
	for err := range failures {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// rootfs is the empty directory at which every container's root file system is put together, out of sight of others.
func (k *Kubelet) rootfs() string { return filepath.Join(k.State, "rootfs") }

// addressesOf are a Pod's addresses.
func (k *Kubelet) addressesOf(s *Sandbox) []netip.Addr {
	if s == nil {
		return nil
	}
	return s.Addresses
}
