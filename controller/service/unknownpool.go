package service

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// UnknownPools says what becomes of Services that ask for a pool that does not exist.
type UnknownPools string

const (
	// UnknownPoolFallback serves them from any pool that assigns automatically, as MetalLB's documentation says. It is
	// the default.
	UnknownPoolFallback UnknownPools = "fallback"
	// UnknownPoolPending lets them wait for the pool, as MetalLB's code does.
	UnknownPoolPending UnknownPools = "pending"
)

// Set implements flag.Value.
func (u *UnknownPools) Set(text string) error {
	switch v := UnknownPools(text); v {
	case UnknownPoolFallback, UnknownPoolPending:
		*u = v
		return nil
	}
	return fmt.Errorf("must be %s or %s", UnknownPoolFallback, UnknownPoolPending)
}

// String implements flag.Value.
func (u *UnknownPools) String() string { return string(*u) }

// unknownTo returns the pool that the Service asks for where no such pool has been heard of, and the Service has not
// been served in spite of that already; otherwise "".
func (d *desk) unknownTo(svc *corev1.Service) string {
	pool := annotation(svc, addressPool)
	if pool == "" || svc.Spec.Type != corev1.ServiceTypeLoadBalancer || !d.ofOurClass(svc) || !d.ips.HasPools() || d.ips.HasPool(pool) {
		return ""
	}
	if rec := d.records[keyOf(svc)]; rec != nil && (rec.unknownPool == pool || rec.absent == pool) || rec == nil && svc.Annotations[unknownPool] == pool {
		return ""
	}
	return pool
}

// confirmUnknown asks the server whether a pool that has not been heard of does not exist indeed. A Service that is
// served from another pool stays there, so hearsay must not decide: the watch of pools may be a moment behind, or
// just be finding its way back to a server that was away. An error says to try again.
func (c *Controller) confirmUnknown(ctx context.Context, pool string) error {
	if len(content.IsPathSegmentName(pool)) > 0 {
		return nil // no object can have this name
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	for _, resource := range []string{"ipaddresspools", "addresspools"} {
		err := c.Pools.Get().Namespace(c.Namespace).Resource(resource).Name(pool).Do(ctx).Error()
		switch {
		case err == nil:
			return fmt.Errorf("pool %q exists among the %s, but was not heard of yet", pool, resource)
		case !errors.IsNotFound(err) || errors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse):
			return fmt.Errorf("whether pool %q exists among the %s: %w", pool, resource, err) // also where the whole API is not found
		}
	}
	return nil
}
