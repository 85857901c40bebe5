package service

import (
	"cmp"
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
)

const (
	// awayGrace is longer than a restart of the apiserver takes.
	awayGrace = 5 * time.Second
	// mostTold is how many Services a second are told that the ledger is away.
	mostTold = 20
)

// away is what a Service says that waits because the ledger does not answer.
var away = &state{
	reason:  reasonLedgerUnavailable,
	message: "the aggregated API metallb.io, which keeps the ledger of addresses, does not answer: the Service has to wait until it does",
}

// setAway takes in since when the ledger does not answer, zero if it does. The caller does not hold mu.
func (c *Controller) setAway(since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if since.IsZero() || c.account.away.IsZero() {
		c.account.away = since
	}
}

// tellAway tells a Service that has no address why it waits, once the ledger has been away for a while. Where many wait, the
// others are told when they are looked at again.
func (c *Controller) tellAway(ctx context.Context, key string, svc *corev1.Service) error {
	c.mu.Lock()
	since := c.account.away
	c.mu.Unlock()
	if since.IsZero() || time.Since(since) < cmp.Or(c.awayGrace, awayGrace) || len(ingressAddrs(svc)) > 0 || away.isToldBy(svc) || !c.awayRate.TryAccept() {
		return nil
	}
	return c.sayAway(svc, func(next *corev1.Service) (*corev1.Service, error) { return c.writeStatus(ctx, key, svc, next) })
}

func (c *Controller) sayAway(svc *corev1.Service, write func(*corev1.Service) (*corev1.Service, error)) error {
	next := svc.DeepCopy()
	away.tellIn(next)
	written, err := write(next)
	if err != nil || written == nil {
		return err
	}
	c.events.add(written, note{corev1.EventTypeWarning, reasonLedgerUnavailable, away.message})
	return nil
}

// tellNewcomers tells Services that no controller has looked at yet why that is so, as long as our term has not begun:
// until ctx ends. It knows neither what the ledger has nor which pools there are, and so writes nothing else, and nothing
// to others. Who has written a Service meanwhile need not fear its writes: they are for the object as it was heard of.
func (c *Controller) tellNewcomers(ctx context.Context) {
	select {
	case <-time.After(cmp.Or(c.awayGrace, awayGrace)):
	case <-ctx.Done():
		return
	}
	tell := func(svc *corev1.Service) {
		if svc.Spec.Type != corev1.ServiceTypeLoadBalancer || !c.desk.ofOurClass(svc) || svc.DeletionTimestamp != nil ||
			len(svc.Status.LoadBalancer.Ingress) > 0 || meta.FindStatusCondition(svc.Status.Conditions, Allocated) != nil ||
			c.awayRate.Wait(ctx) != nil {
			return
		}
		write := func(next *corev1.Service) (*corev1.Service, error) { return c.write(ctx, next) }
		// A newer state of a Service that was written meanwhile is heard of, too.
		if err := c.sayAway(svc, write); err != nil && ctx.Err() == nil && !apierrors.IsConflict(err) {
			c.Log.Warn("a service could not be told that the ledger is away", "op", "tellNewcomers", "service", keyOf(svc), "error", err)
		}
	}
	services := newFeed(func(list []*corev1.Service) {
		for _, svc := range list {
			tell(svc)
		}
	}, tell, func(*corev1.Service) {})
	services.run(ctx, c.Client.CoreV1().RESTClient(), "services", "", &corev1.Service{})
}
