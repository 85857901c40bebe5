package service

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/controller/ipam"
)

// errHeld says that the ledger has an address of somebody else, who is about to release it.
var errHeld = errors.New("the address is not released yet")

// patience is how often a Service is refused an address before it lets go of the one that it has, which those may be
// waiting for that it waits for.
const patience = 3

// wanted is the claim of what the allocator has given to svc. The caller holds mu.
func (c *Controller) wanted(svc *corev1.Service) v1beta1.ServiceClaim {
	key := keyOf(svc)
	held, _ := c.desk.ips.Holding(key)
	facts, _ := c.desk.ips.Facts(key)
	claim := claimOf(svc, held, facts)
	claim.Kept = claim.Kept || showsAll(svc, held.Addrs)
	return claim
}

// showsAll says whether svc shows all of addrs: it has them, whatever pools and reservations say now.
func showsAll(svc *corev1.Service, addrs []netip.Addr) bool {
	shown := ingressAddrs(svc)
	return !slices.ContainsFunc(addrs, func(addr netip.Addr) bool { return !slices.Contains(shown, addr) })
}

// unclaimable says whether svc was given what no pool has any longer, and has not got it yet: then it shall not.
// The caller holds mu.
func (c *Controller) unclaimable(svc *corev1.Service) bool {
	held, holds := c.desk.ips.Holding(keyOf(svc))
	if !holds || !held.Kept {
		return false
	}
	shown, entered := ingressAddrs(svc), c.account.entries[keyOf(svc)]
	return !slices.ContainsFunc(held.Addrs, func(addr netip.Addr) bool {
		_, ok := entered[addr]
		return ok || slices.Contains(shown, addr)
	})
}

// obtain claims for a Service what it shall have. An error says to try again; held is set where others have to release
// an address first.
func (c *Controller) obtain(ctx context.Context, key string, claim v1beta1.ServiceClaim) error {
	result, err := c.teller.claim(ctx, claim)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil:
		c.account.stalled[key] = true
		return err
	case result.Result == v1beta1.ClaimGranted:
		delete(c.account.refusals, key)
		return nil
	case result.Result != v1beta1.ClaimHeld:
		return fmt.Errorf("%s: %s", result.Result, result.Message)
	}
	holders, err := c.account.refused(&claim, &result)
	if err != nil {
		return err
	}
	for _, holder := range holders {
		c.queue.Add(holder)
	}
	c.account.refusals[key]++
	c.Log.Debug("claim refused", "service", key, "ip", result.Address, "error", result.Message)
	return fmt.Errorf("%w: %s", errHeld, result.Message)
}

// letGo releases what the ledger has of a Service beside what it shall have. svc is as it is stored, and shows none of
// these addresses.
func (c *Controller) letGo(ctx context.Context, svc *corev1.Service, addrs []netip.Addr) error {
	key := keyOf(svc)
	c.mu.Lock()
	unfenced := c.account.unfenced[key]
	c.mu.Unlock()
	if unfenced {
		written, err := c.write(ctx, fence(svc, addrs))
		if err != nil {
			return err
		}
		if written != nil {
			c.Log.Info("an address that was claimed for a service is released again", "event", "claimWithdrawn", "service", key, "ip", texts(addrs))
			c.wrote(key, svc, written)
		}
	}
	return c.release(ctx, svc.Namespace, svc.Name, addrs)
}

// release has the ledger release addresses of a Service.
func (c *Controller) release(ctx context.Context, namespace, name string, addrs []netip.Addr) error {
	for len(addrs) > 0 {
		n := min(len(addrs), mostReleased)
		claim := v1beta1.ServiceClaim{Namespace: namespace, Name: name, Release: texts(addrs[:n])}
		result, err := c.teller.claim(ctx, claim)
		if err != nil {
			c.mu.Lock()
			c.account.stalled[namespace+"/"+name] = true
			c.mu.Unlock()
			return err
		}
		if result.Result != v1beta1.ClaimGranted {
			return fmt.Errorf("%s: %s", result.Result, result.Message)
		}
		addrs = addrs[n:]
	}
	return nil
}

// mostReleased is how many addresses one claim releases.
const mostReleased = 8

// bury releases all that the ledger has of a Service that does not exist.
func (c *Controller) bury(ctx context.Context, key string) error {
	c.mu.Lock()
	addrs, unfenced := c.account.surplus(key, nil), c.account.unfenced[key]
	delete(c.account.owed, key)
	delete(c.account.refusals, key)
	c.mu.Unlock()
	if len(addrs) == 0 {
		return nil
	}
	namespace, name, _ := strings.Cut(key, "/")
	if unfenced { // nobody has seen it go
		limited, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		svc, err := c.Client.CoreV1().Services(namespace).Get(limited, name, metav1.GetOptions{})
		if err == nil {
			c.putService(svc)
			return nil
		}
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("whether Service %s exists, of which the ledger has addresses: %w", key, err)
		}
		c.Log.Info("the ledger has addresses of a service that does not exist", "event", "claimWithdrawn", "service", key, "ip", texts(addrs))
	}
	return c.release(ctx, namespace, name, addrs)
}

// wrote takes in that svc was written by us, and is what it is now.
func (c *Controller) wrote(key string, svc, written *corev1.Service) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.account.unfenced, key)
	if c.services[key] == svc { // nothing newer was heard meanwhile
		c.services[key] = written
	}
}

// unanswered takes in that it is not known whether svc was written.
func (c *Controller) unanswered(key string, err error) {
	if apierrors.IsConflict(err) || apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.account.unfenced[key] = true
}

// resume looks again at those whose claims could not be asked for.
func (c *Controller) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.account.stalled {
		c.queue.Add(key)
	}
	clear(c.account.stalled)
}

// compareAll looks again at every Service of which the ledger has not what it shall have. The caller holds mu.
func (c *Controller) compareAll() {
	if !c.synced {
		return
	}
	for key := range c.account.entries {
		if c.services[key] == nil {
			c.queue.Add(key)
		}
	}
	for key, svc := range c.services {
		claim := c.wanted(svc)
		held, _ := c.desk.ips.Holding(key)
		if !c.account.has(&claim) || len(c.account.surplus(key, held.Addrs)) > 0 {
			c.queue.Add(key)
		}
	}
}

// released has the allocator know who had addresses last, unless it does. The caller holds mu.
func (c *Controller) released(key string, addrs []netip.Addr) {
	for _, addr := range addrs {
		c.desk.ips.Remember([]ipam.Past{{Addr: addr, Key: key, Released: time.Now()}})
	}
}

// claimed says whether the ledger has of svc all that it shows. The caller holds mu.
func (c *Controller) claimed(svc *corev1.Service) bool {
	entered := c.account.entries[keyOf(svc)]
	return !slices.ContainsFunc(ingressAddrs(svc), func(addr netip.Addr) bool {
		_, ok := entered[addr]
		return !ok
	})
}

// complete says whether the ledger has all that Services show and the allocator has given them. The caller holds mu.
func (c *Controller) complete() bool {
	if !c.synced {
		return false
	}
	for key, svc := range c.services {
		held, holds := c.desk.ips.Holding(key)
		if !holds {
			continue
		}
		shown := ingressAddrs(svc)
		for _, addr := range held.Addrs {
			if _, ok := c.account.entries[key][addr]; !ok && slices.Contains(shown, addr) {
				return false
			}
		}
	}
	return true
}

// resumeClaims takes over what the ledger has of Services that do not show it: they were about to be given it when a
// controller before this one ended. What it has of Services that are no more was released just now. The caller holds mu.
func (c *Controller) resumeClaims(all []*corev1.Service) {
	for key := range c.account.entries {
		if c.services[key] == nil {
			c.released(key, c.account.surplus(key, nil))
		}
	}
	for _, svc := range all {
		key := keyOf(svc)
		entered := c.account.surplus(key, nil)
		if _, holds := c.desk.ips.Holding(key); holds || len(entered) == 0 || len(ingressAddrs(svc)) > 0 ||
			svc.Spec.Type != corev1.ServiceTypeLoadBalancer || !c.desk.ofOurClass(svc) {
			continue
		}
		req, err := newRequest(svc)
		if err != nil {
			continue // it gets nothing, and they are released
		}
		as, err := c.desk.ips.Adopt(req.facts, firstOfEach(entered))
		if err != nil {
			continue
		}
		c.account.owed[key] = owed{as.Addrs, []note{{corev1.EventTypeNormal, ipAllocated, "Assigned IP " + ipam.Quoted(as.Addrs)}}}
		c.Log.Info("going on with a claim", "event", "ipAllocated", "service", key, "ip", texts(as.Addrs), "pool", as.Pool)
	}
}
