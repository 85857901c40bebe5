// Package operator makes an installation of what a MetalLB object says: controller, webhooks and speakers, and what belongs to
// them. The decisions are in render, rollout and conditions; apply keeps the objects; this package asks the cluster, calls them,
// and tells what came of it.
package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/ingot-lb/ingot/controller/operator/apply"
	"github.com/ingot-lb/ingot/controller/operator/render"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

// Lease is the name of the one by which one replica at a time works.
const Lease = "metallb-operator"

const (
	// quiet is how long it is waited for more after something changed.
	quiet = 100 * time.Millisecond
	// pace is how often it is looked again while something is lacking, of which nothing may be heard: versions of speakers, Pods.
	pace = 3 * time.Second
	// rest is how often otherwise.
	rest = 5 * time.Minute
	// requestTimeout bounds what is asked in one round.
	requestTimeout = 30 * time.Second
)

var (
	installations = schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "metallbs"}
	speakerStates = schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "speakerstates"}
)

// Options say what an Operator is made of.
type Options struct {
	Client  kubernetes.Interface
	Dynamic dynamic.Interface
	render.Settings
	// ApiserverImage is what the Deployment apiserver is to run before anything else is replaced; empty: what it runs.
	ApiserverImage string
	// Version is that of this program, and so of what it makes.
	Version string
	// OperatorCondition is the name of OLM's object that is told whether the next version may come; empty: there is none.
	OperatorCondition string
	Log               *slog.Logger
}

// Operator works for one system namespace.
type Operator struct {
	Options
	*metrics
	installation atomic.Pointer[followed] // nil while another replica works
	progress     progress
	told         told
}

// followed is what is followed in one term.
type followed struct {
	objects *apply.Cluster
	metallb cache.SharedIndexInformer
	changed chan struct{}
}

// New returns an Operator, which does nothing until Run.
func New(o Options) *Operator { return &Operator{Options: o, metrics: newMetrics()} }

// Ready says what has not been read yet, if this replica works.
func (o *Operator) Ready() error {
	f := o.installation.Load()
	switch {
	case f == nil:
		return errors.New("not begun yet")
	case !f.metallb.HasSynced():
		return errors.New("MetalLB objects have not been read yet: does the apiserver serve them?")
	case !f.objects.Synced():
		return errors.New("what is installed has not been read yet")
	}
	return nil
}

// Run works until ctx ends.
func (o *Operator) Run(ctx context.Context) error {
	f := &followed{changed: make(chan struct{}, 1)}
	changed := func() {
		select {
		case f.changed <- struct{}{}:
		default: // it is known already
		}
	}
	var err error
	f.objects, err = apply.New(apply.Options{Client: o.Dynamic, Namespace: o.Namespace, Changed: changed, Repaired: o.repaired, Log: o.Log})
	if err != nil {
		return err
	}
	f.metallb = dynamicinformer.NewFilteredDynamicInformer(o.Dynamic, installations, o.Namespace, 0, cache.Indexers{}, nil).Informer()
	_, err = f.metallb.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { changed() }, UpdateFunc: func(any, any) { changed() }, DeleteFunc: func(any) { changed() },
	})
	if err != nil {
		return fmt.Errorf("informer of metallbs: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{}, 2)
	go func() { f.objects.Run(ctx); ended <- struct{}{} }()
	go func() { f.metallb.RunWithContext(ctx); ended <- struct{}{} }()
	defer func() {
		stop()
		<-ended
		<-ended
		o.installation.Store(nil)
	}()
	o.progress, o.told = progress{}, newTold(ctx, o.Client, o.Namespace)
	defer o.told.stop()
	o.installation.Store(f)
	if !cache.WaitForCacheSync(ctx.Done(), f.metallb.HasSynced, f.objects.Synced) {
		return ctx.Err()
	}
	return o.follow(ctx, f)
}

// follow does a round whenever something changed, and after a failure.
func (o *Operator) follow(ctx context.Context, f *followed) error {
	retry := backoff.Backoff{First: 500 * time.Millisecond, Most: 30 * time.Second}
	last := ""
	for {
		limited, cancel := context.WithTimeout(ctx, requestTimeout)
		settled, err := o.round(limited, f)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		again := rest
		switch {
		case err != nil:
			again = retry.Next()
			o.reconciles.WithLabelValues("error").Inc()
			if err.Error() != last {
				o.Log.Error("the installation is not as it should be", "event", "reconcileFailed", "error", err)
			}
			last = err.Error()
		default:
			retry.Reset()
			o.reconciles.WithLabelValues("success").Inc()
			last = ""
			if !settled {
				again = pace
			}
		}
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-f.changed:
			// After a failure, changes of ours to the one object must not make it a tight loop on another.
			wait := quiet
			if err != nil {
				wait = min(again, 5*time.Second)
			}
			if backoff.Sleep(ctx, wait) == nil {
				select {
				case <-f.changed: // it is looked at now
				default:
				}
			}
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
