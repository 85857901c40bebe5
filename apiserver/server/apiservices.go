package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	apiregistration "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset/typed/apiregistration/v1"

	"github.com/ingot-lb/ingot/certs"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

// automanagedLabel is on APIServices that the kube-apiserver derives from CustomResourceDefinitions.
const automanagedLabel = "kube-aggregator.kubernetes.io/automanaged"

// apiServices keeps one APIService for each served version, on every replica: all write the same.
type apiServices struct {
	client    apiregistration.APIServiceInterface
	namespace string
	service   string
	// versions in order of preference, the preferred one first.
	versions []schema.GroupVersion
	// bundle is what the kube-apiserver knows us by; nil where somebody else puts it in.
	bundle func() []byte
	// bundleChanged receives when bundle may return something else.
	bundleChanged <-chan struct{}
	// create makes those that are missing.
	create bool
	// owner is what new ones are deleted with; it may return nil, and may be nil itself.
	owner func(context.Context) *metav1.OwnerReference
	// beforeCreate may wait for a good moment.
	beforeCreate func(context.Context)
	log          *slog.Logger

	mu sync.Mutex
	// states holds what became of each version: nil is in place, absent is not tried yet.
	states map[schema.GroupVersion]error
}

// errOfDefinitions says that the group belongs to CustomResourceDefinitions. They are not pushed aside: whoever
// watches their objects, such as MetalLB's own speakers, would see all of them vanish.
var errOfDefinitions = errors.New("belongs to CustomResourceDefinitions of the group, which must be migrated and deleted first")

// errMissing says that an APIService is not there, and somebody else's to make: to make it again would undo an
// uninstallation, which deletes APIServices before it ends who serves them.
var errMissing = errors.New("is missing, and --create-apiservices=false leaves it to whoever installs")

// ready reports the first version that is not in place.
func (a *apiServices) ready() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, gv := range a.versions {
		err, tried := a.states[gv]
		if !tried {
			err = errStarting
		}
		if err != nil {
			return fmt.Errorf("APIService %s: %w", nameOf(gv), err)
		}
	}
	return nil
}

// note keeps the outcome for a version. One that was in place remains so while the host cluster cannot be asked.
func (a *apiServices) note(gv schema.GroupVersion, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.states == nil {
		a.states = map[schema.GroupVersion]error{}
	}
	if last, tried := a.states[gv]; tried && last == nil && !errors.Is(err, errOfDefinitions) {
		return
	}
	a.states[gv] = err
}

// run keeps them until ctx ends. They are left behind: other replicas serve, or this one comes back.
func (a *apiServices) run(ctx context.Context) {
	changed := make([]chan struct{}, len(a.versions))
	var wg sync.WaitGroup
	for i, gv := range a.versions {
		changed[i] = make(chan struct{}, 1)
		wg.Go(func() { a.keep(ctx, gv, int32(100-10*i), changed[i]) })
	}
	for {
		select {
		case <-a.bundleChanged:
			for _, c := range changed {
				select {
				case c <- struct{}{}:
				default:
				}
			}
		case <-ctx.Done():
			wg.Wait()
			return
		}
	}
}

// keep makes one APIService right whenever it may not be.
func (a *apiServices) keep(ctx context.Context, gv schema.GroupVersion, priority int32, changed <-chan struct{}) {
	retry, last := backoff.Backoff{First: firstPause, Most: 5 * lastPause}, ""
	for ctx.Err() == nil {
		err := a.cycle(ctx, gv, priority, changed)
		switch {
		case err == nil:
			retry.Reset()
			last = ""
		case ctx.Err() == nil && err.Error() != last:
			last = err.Error()
			a.note(gv, err)
			a.log.Warn("APIService cannot be kept", "event", "apiServiceNotKept", "apiservice", nameOf(gv), "error", err)
		}
		if retry.Wait(ctx) != nil {
			return
		}
	}
}

// cycle returns when the APIService may have changed, or after some minutes. The watch begins before the
// comparison, so that no change falls between the two.
func (a *apiServices) cycle(ctx context.Context, gv schema.GroupVersion, priority int32, changed <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	w, err := a.client.Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, nameOf(gv)).String(),
	})
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer w.Stop()
	if err := a.reconcile(ctx, gv, priority); err != nil {
		return err
	}
	a.note(gv, nil)
	for {
		select {
		case ev, open := <-w.ResultChan():
			if !open || ev.Type == watch.Deleted || ev.Type == watch.Error {
				return nil
			}
			if o, ok := ev.Object.(*apiregistrationv1.APIService); !ok || !certs.ByOLM(o) && !asWanted(o, a.spec(gv, priority, o)) {
				return nil
			}
		case <-changed:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func (a *apiServices) reconcile(ctx context.Context, gv schema.GroupVersion, priority int32) error {
	found, err := a.client.Get(ctx, nameOf(gv), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if !a.create {
			return errMissing
		}
		a.beforeCreate(ctx)
		fresh := &apiregistrationv1.APIService{
			ObjectMeta: metav1.ObjectMeta{Name: nameOf(gv), Labels: map[string]string{"app": "metallb", "component": "apiserver"}},
		}
		if a.owner != nil {
			if owner := a.owner(ctx); owner != nil {
				fresh.OwnerReferences = []metav1.OwnerReference{*owner}
			}
		}
		fresh.Spec = a.spec(gv, priority, fresh)
		_, err = a.client.Create(ctx, fresh, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("create: %w", err)
		}
		a.log.Info("APIService created", "event", "apiServiceCreated", "apiservice", nameOf(gv))
		return nil
	}
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	if found.Spec.Service == nil {
		return errOfDefinitions
	}
	spec := a.spec(gv, priority, found)
	// What the Operator Lifecycle Manager makes is its own, whole.
	if certs.ByOLM(found) || asWanted(found, spec) {
		return nil
	}
	found = found.DeepCopy()
	found.Spec = spec
	found.Labels = maps.Clone(found.Labels)
	delete(found.Labels, automanagedLabel)
	if _, err := a.client.Update(ctx, found, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	a.log.Info("APIService put right", "event", "apiServiceUpdated", "apiservice", nameOf(gv))
	return nil
}

// spec is what found should say. Where somebody else injects the bundle, it is what is found.
func (a *apiServices) spec(gv schema.GroupVersion, priority int32, found *apiregistrationv1.APIService) apiregistrationv1.APIServiceSpec {
	port := int32(443)
	bundle := found.Spec.CABundle
	if a.bundle != nil && certs.Elsewhere(found) == "" {
		bundle = a.bundle()
	}
	return apiregistrationv1.APIServiceSpec{
		Service:              &apiregistrationv1.ServiceReference{Namespace: a.namespace, Name: a.service, Port: &port},
		Group:                gv.Group,
		Version:              gv.Version,
		CABundle:             bundle,
		GroupPriorityMinimum: 1000, // as CustomResourceDefinitions get
		VersionPriority:      priority,
	}
}

func asWanted(found *apiregistrationv1.APIService, want apiregistrationv1.APIServiceSpec) bool {
	_, automanaged := found.Labels[automanagedLabel]
	return !automanaged && bytes.Equal(found.Spec.CABundle, want.CABundle) && apiequality.Semantic.DeepEqual(found.Spec, want)
}

func nameOf(gv schema.GroupVersion) string { return gv.Version + "." + gv.Group }
