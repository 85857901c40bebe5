package service

import (
	"cmp"
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// awayGrace is longer than a restart of the apiserver takes.
	awayGrace = 5 * time.Second
	// mostTold is how many Services a second are told that the ledger is away.
	mostTold = 20
)

// away is what a Service says that would have an address by now if the ledger answered.
var away = &state{
	reason:  reasonLedgerUnavailable,
	message: "the aggregated API metallb.io, which keeps the ledger of addresses, does not answer: the Service gets its address when it does",
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
	next := svc.DeepCopy()
	away.tellIn(next)
	written, err := c.writeStatus(ctx, key, svc, next)
	if err != nil || written == nil {
		return err
	}
	c.events.add(written, note{corev1.EventTypeWarning, reasonLedgerUnavailable, away.message})
	return nil
}
