package service

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
)

// withOutcome returns svc as it should be, whether that differs at all, and whether it does in more than the condition.
// Of the ingress only addresses are compared: the server adds an ipMode to each, and to mistake that for a difference is
// to write every Service on every pass. Entries that are host names, which are nobody's here, differ.
func withOutcome(svc *corev1.Service, out outcome) (next *corev1.Service, changed, moved bool) {
	told := out.state.isToldBy(svc) || out.leave && out.state == nil
	moved = !out.leave && !(len(svc.Status.LoadBalancer.Ingress) == len(out.addrs) && sameSet(ingressAddrs(svc), out.addrs) &&
		svc.Annotations[allocatedFrom] == out.pool && svc.Annotations[unknownPool] == out.unknownPool)
	if told && !moved {
		return svc, false, false
	}
	next = svc.DeepCopy()
	if moved {
		setAnnotation(next, allocatedFrom, out.pool)
		setAnnotation(next, unknownPool, out.unknownPool)
		setAnnotation(next, withdrawn, "")
		next.Status.LoadBalancer.Ingress = ingress(svc.Status.LoadBalancer.Ingress, out.addrs)
	}
	if !told {
		out.state.tellIn(next)
	}
	return next, true, moved
}

func setAnnotation(svc *corev1.Service, key, value string) {
	switch {
	case value == "":
		delete(svc.Annotations, key)
	case svc.Annotations == nil:
		svc.Annotations = map[string]string{key: value}
	default:
		svc.Annotations[key] = value
	}
}

// ingress lists addrs; the entries of those that are there already stay as they are.
func ingress(before []corev1.LoadBalancerIngress, addrs []netip.Addr) []corev1.LoadBalancerIngress {
	var after []corev1.LoadBalancerIngress
	for _, addr := range addrs {
		ip := addr.String()
		if i := slices.IndexFunc(before, func(in corev1.LoadBalancerIngress) bool { return in.IP == ip }); i >= 0 {
			after = append(after, before[i])
			continue
		}
		after = append(after, corev1.LoadBalancerIngress{IP: ip})
	}
	return after
}

// write puts status and annotations in one request: services/status takes changes of metadata as well. A Service
// that is gone returns nil, nil. A conflict is an error like any other: what was decided holds, and is written upon
// the newer object when that arrives.
func (c *Controller) write(ctx context.Context, svc *corev1.Service) (*corev1.Service, error) {
	select {
	case c.writes <- struct{}{}:
		defer func() { <-c.writes }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	written, err := c.Client.CoreV1().Services(svc.Namespace).UpdateStatus(ctx, svc, metav1.UpdateOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("writing status of Service %s: %w", keyOf(svc), err)
	}
	written.ManagedFields = nil
	return written, nil
}

// retriable reports whether a failed request may succeed later.
func retriable(err error) bool {
	return !(apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsAlreadyExists(err))
}

// limiter backs off exponentially for each item, with up to half more by chance.
type limiter struct {
	workqueue.TypedRateLimiter[string]
}

func newLimiter() limiter {
	return limiter{workqueue.NewTypedItemExponentialFailureRateLimiter[string](20*time.Millisecond, 5*time.Second)}
}

// When implements workqueue.TypedRateLimiter.
func (l limiter) When(item string) time.Duration {
	d := l.TypedRateLimiter.When(item)
	return d + rand.N(d/2+1)
}
