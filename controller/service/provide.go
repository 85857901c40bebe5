package service

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/controller/ipam"
)

// provide gives the Service what it lacks, unless it is on its way out.
func (x *decision) provide(terminating bool) {
	held, holds := x.ips.Holding(x.key)
	if terminating {
		return
	}
	if holds {
		delete(x.rec.said, allocationFailed)
		if x.req.families.Either && len(held.Addrs) == 1 && len(x.req.addrs) == 0 && x.req.addrsErr == nil {
			x.extend(held)
		}
		return
	}
	as, err := x.allocate()
	if err != nil {
		x.pending = true
		x.rec.unknownPool = ""
		x.fail(allocationFailed, err)
		// Without any pool there is nothing to tell a user that is not plain (spec.md section 4.3, step 2).
		if x.ips.HasPools() && x.sayOnce(corev1.EventTypeWarning, allocationFailed, ipam.Cause(err), fmt.Sprintf("Failed to allocate IP for %q: %v", x.key, err)) {
			x.log.Error("IP allocation failed", "op", "allocateIPs", "error", err)
		}
		return
	}
	delete(x.rec.said, allocationFailed)
	x.notes = append(x.notes, note{corev1.EventTypeNormal, ipAllocated, "Assigned IP " + ipam.Quoted(as.Addrs)})
	x.log.Info("IP address assigned by controller", "event", "ipAllocated", "ip", texts(as.Addrs), "pool", as.Pool)
}

// allocate is spec.md section 4.5, except that a pool that does not exist counts as not asked for.
func (x *decision) allocate() (ipam.Assignment, error) {
	if x.req.addrsErr != nil {
		return ipam.Assignment{}, x.req.addrsErr
	}
	pool := x.req.pool
	x.rec.unknownPool = ""
	if x.unknownPools != UnknownPoolPending && pool != "" && x.ips.HasPools() && !x.ips.HasPool(pool) {
		x.rec.unknownPool = pool
		x.sayUnknownPool()
		pool = ""
	}
	switch {
	case len(x.req.addrs) == 0 && pool == "":
		return x.ips.Allocate(x.req.facts, x.req.families)
	case len(x.req.addrs) == 0:
		return x.ips.AllocateFrom(x.req.facts, pool, x.req.families)
	case !exactly(x.req.families, x.req.addrs):
		return ipam.Assignment{}, because(reasonFamilyMismatch, "requested loadBalancer IP(s) %s does not match the ipFamily of the service", ipam.Quoted(x.req.addrs))
	}
	if of, ok := x.ips.OfPool(x.req.addrs[0]); ok && pool != "" && of != pool {
		return ipam.Assignment{}, because(reasonContradiction, "requested loadBalancer IP(s) %s is not compatible with requested address pool %s", ipam.Quoted(x.req.addrs), pool)
	}
	return x.ips.Assign(x.req.facts, x.req.addrs)
}

// extend adds the second family to a Service that would like both.
func (x *decision) extend(held ipam.Assignment) {
	const failed = "AdditionalAssignFailed"
	if held.Kept {
		return
	}
	more, err := x.ips.Extend(x.req.facts, ipam.IPv6-ipam.FamilyOf(held.Addrs[0]))
	if err != nil {
		x.pending = true
		x.missing = err
		x.sayOnce(corev1.EventTypeNormal, failed, ipam.Cause(err), fmt.Sprintf("cannot assign additional IP in PreferDualStack: %v", err))
		return
	}
	delete(x.rec.said, failed)
	x.sayExtended(more)
}

func (x *decision) sayExtended(more netip.Addr) {
	x.notes = append(x.notes, note{corev1.EventTypeNormal, ipAllocated, fmt.Sprintf("Assigned additional IP %q", more.String())})
	x.log.Info("Additional IP address assigned by controller", "event", "ipAllocated", "ip", more.String())
}

func (x *decision) sayUnknownPool() {
	err := &missingPoolError{x.req.pool}
	x.fail("UnknownPool", err)
	x.say(corev1.EventTypeWarning, "UnknownPool", err.Error())
}

// missingPoolError says that a pool that was asked for does not exist, and that another one is taken in its place.
type missingPoolError struct{ pool string }

func (e *missingPoolError) Error() string {
	return fmt.Sprintf("address pool %q does not exist: any pool that assigns automatically will do", e.pool)
}
