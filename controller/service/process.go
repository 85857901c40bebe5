package service

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// process brings one Service to what is decided now: it claims what the Service is to have, writes that to its status, and
// then releases what it had before. Whatever ends this in between, the next time goes on from what there is.
func (c *Controller) process(ctx context.Context, key string) error {
	svc, out, err := c.decide(ctx, key)
	if err != nil || svc == nil {
		return err
	}
	next, changed, moved := withOutcome(svc, out)
	c.mu.Lock()
	claim := c.wanted(svc)
	entered := c.account.has(&claim)
	surplus := c.account.surplus(key, addrsOf(claim.Addresses))
	c.mu.Unlock()

	// Whatever is written was claimed just before, though it be there already, or be nothing: only the ledger knows
	// whether our term has ended, and what we have decided is of the past.
	if !entered || moved {
		if err := c.obtain(ctx, key, claim); err != nil {
			c.mu.Lock()
			c.account.owes(key, c.withOwed(key, out))
			stuck := c.account.refusals[key] >= patience && len(surplus) > 0
			c.mu.Unlock()
			if stuck {
				return c.giveUp(ctx, svc, surplus, err)
			}
			return errors.Join(err, c.tellAway(ctx, key, svc))
		}
	}
	c.mu.Lock()
	notes, events := c.account.paid(key, out), c.events
	c.mu.Unlock()
	if old, ok := deprecatedAnnotation(svc); ok && moved {
		notes = append(notes, note{corev1.EventTypeWarning, "deprecatedAnnotation", "Service uses deprecated annotation " + old})
	}
	for _, n := range notes {
		events.add(svc, n)
	}
	if changed {
		if svc, err = c.writeStatus(ctx, key, svc, next); err != nil || svc == nil {
			return err
		}
	}
	if len(surplus) == 0 {
		return nil
	}
	return c.letGo(ctx, svc, surplus)
}

// decide decides on one Service; nil where there is nothing to be done for it, or not now.
func (c *Controller) decide(ctx context.Context, key string) (svc *corev1.Service, out outcome, err error) {
	c.mu.Lock()
	if c.missing[key] {
		c.mu.Unlock()
		return nil, outcome{}, c.confirmGone(ctx, key)
	}
	if wait := c.layoutPause(); wait > 0 {
		c.mu.Unlock()
		c.queue.AddAfter(key, wait)
		return nil, outcome{}, nil
	}
	c.tick()
	c.refresh()
	if svc = c.services[key]; svc == nil {
		c.mu.Unlock()
		return nil, outcome{}, c.bury(ctx, key)
	}
	if pool := c.desk.unknownTo(svc); pool != "" {
		c.mu.Unlock()
		if err := c.confirmUnknown(ctx, pool); err != nil {
			return nil, outcome{}, err
		}
		c.mu.Lock()
		c.tick()
		c.refresh()
		if c.services[key] != svc {
			c.mu.Unlock()
			return nil, outcome{}, nil // changed meanwhile, and queued again for that
		}
		if wait := c.layoutPause(); wait > 0 {
			c.mu.Unlock()
			c.queue.AddAfter(key, wait)
			return nil, outcome{}, nil
		}
		c.desk.record(svc).absent = pool
	}
	defer c.mu.Unlock()
	if c.unclaimable(svc) {
		c.desk.ips.Release(key)
	}
	out = c.desk.decide(svc)
	c.tick() // what was released just now may rest
	c.note(key, out)
	return svc, out, nil
}

// withOwed is out with the events that are owed to the Service already. The caller holds mu.
func (c *Controller) withOwed(key string, out outcome) outcome {
	out.notes = c.account.paid(key, out)
	return out
}

// writeStatus writes a Service, and returns it as it is then; nil where it is gone.
func (c *Controller) writeStatus(ctx context.Context, key string, svc, next *corev1.Service) (*corev1.Service, error) {
	written, err := c.write(ctx, next)
	if err != nil {
		c.unanswered(key, err)
		return nil, err
	}
	if written == nil {
		return nil, nil
	}
	c.Log.Info("updated service object", "event", "serviceUpdated", "service", key)
	c.wrote(key, svc, written)
	return written, nil
}

// giveUp takes from a Service the addresses that it had, though it cannot have its new ones yet: who holds those may be
// waiting for just these.
func (c *Controller) giveUp(ctx context.Context, svc *corev1.Service, surplus []netip.Addr, cause error) error {
	shown := ingressAddrs(svc)
	if slices.ContainsFunc(surplus, func(addr netip.Addr) bool { return slices.Contains(shown, addr) }) {
		next := svc.DeepCopy()
		setAnnotation(next, allocatedFrom, "")
		next.Status.LoadBalancer.Ingress = nil
		written, err := c.writeStatus(ctx, keyOf(svc), svc, next)
		if err != nil || written == nil {
			return err
		}
		svc = written
	}
	if err := c.letGo(ctx, svc, surplus); err != nil {
		return err
	}
	return cause
}
