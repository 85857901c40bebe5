package feed

import (
	"context"
	"fmt"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/controller/report"
)

// leases follows the controller's Lease. It judges how fresh it is by when this process saw it renewed, so that clocks
// need not agree, but for the first time.
type leases struct {
	factory informers.SharedInformerFactory
	changed func()
	now     func() time.Time
	read    func() bool

	mu      sync.Mutex
	lease   *coordinationv1.Lease // nil when there is none
	renewed time.Time
}

func newLeases(client kubernetes.Interface, namespace string, now func() time.Time, changed func()) (*leases, error) {
	l := &leases{now: now, changed: changed, factory: informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithNamespace(namespace), informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, report.Lease).String()
		}))}
	informer := l.factory.Coordination().V1().Leases().Informer()
	handler, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { l.put(obj) },
		UpdateFunc: func(_, obj any) { l.put(obj) },
		DeleteFunc: func(any) { l.set(nil) },
	})
	if err != nil {
		return nil, fmt.Errorf("watch the controller's Lease: %w", err)
	}
	l.read = handler.HasSynced
	return l, nil
}

func (l *leases) run(ctx context.Context) {
	l.factory.Start(ctx.Done())
	<-ctx.Done()
	l.factory.Shutdown()
}

func (l *leases) put(obj any) {
	if lease, ok := obj.(*coordinationv1.Lease); ok {
		l.set(lease)
	}
}

func (l *leases) set(lease *coordinationv1.Lease) {
	l.mu.Lock()
	now := l.now()
	switch {
	case lease == nil || lease.Spec.RenewTime == nil:
	case l.lease == nil:
		l.renewed = lease.Spec.RenewTime.Time
		if l.renewed.After(now) {
			l.renewed = now
		}
	case !lease.Spec.RenewTime.Equal(l.lease.Spec.RenewTime):
		l.renewed = now
	}
	l.lease = lease
	l.mu.Unlock()
	l.changed()
}

// judge says what the controller made of the configuration.
func (l *leases) judge(now time.Time) verdict {
	if !l.read() {
		return unknown(time.Time{}, "Lease %s has not been read yet", report.Lease)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return judgeController(l.lease, l.renewed, now)
}

func judgeController(lease *coordinationv1.Lease, renewed, now time.Time) verdict {
	const what = "Lease " + report.Lease
	if lease == nil {
		return unknown(time.Time{}, "there is no %s, by which a controller would say that it works", what)
	}
	holder := lease.Spec.HolderIdentity
	if holder == nil || *holder == "" || lease.Spec.RenewTime == nil {
		return unknown(time.Time{}, "no controller holds %s", what)
	}
	if d := lease.Spec.LeaseDurationSeconds; d != nil {
		if end := renewed.Add(time.Duration(*d) * time.Second); !now.Before(end) {
			return unknown(end, "%s has not been renewed since %s", what, stamp(renewed))
		}
	}
	text := lease.Annotations[report.Annotation]
	if text == "" {
		return unknown(time.Time{}, "the controller %s has not reported yet", *holder)
	}
	said, err := report.Decode(text)
	if err != nil {
		return unknown(time.Time{}, "annotation %s of %s cannot be read: %s", report.Annotation, what, cut(err.Error()))
	}
	switch {
	case said.Holder != *holder:
		return unknown(time.Time{}, "the controller %s has not reported yet", *holder)
	case len(said.Errors) == 0:
		return verdict{result: metallb.ConfigurationValid}
	}
	problems := make([]string, 0, len(said.Errors))
	for _, e := range said.Errors {
		problems = append(problems, cut(e))
	}
	return invalid(problems)
}
