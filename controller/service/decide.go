package service

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/controller/ipam"
)

// note is an event to write about a Service.
type note struct{ kind, reason, message string }

// outcome is what a Service's status should say.
type outcome struct {
	// leave is set where the Service is none of our business.
	leave bool
	addrs []netip.Addr
	// pool and unknownPool are the annotations of these names; empty for none.
	pool, unknownPool string

	notes []note
	// pending is set where the Service would take an address if there was one.
	pending bool
	// roomMade is set where another Service may now fit that did not before.
	roomMade bool
}

// record is what the desk remembers of a Service beside its assignment. From the first decision on, this and the
// assignment are the truth about the Service's addresses, and its status is only what was last written.
type record struct {
	// said is the cause of the last message by reason, so that events tell of changes only.
	said map[string]string
	// adopted is set once what the status showed at first has been taken over, or refused.
	adopted bool
	// evict is set when the change of pools that disallows the assignment was seen happening.
	evict       bool
	unknownPool string
}

// desk decides on Services, one at a time. It talks to nobody.
type desk struct {
	ips     *ipam.Allocator
	records map[string]*record
	class   string
	log     *slog.Logger
}

func newDesk(class string, log *slog.Logger) *desk {
	return &desk{ips: ipam.New(), records: map[string]*record{}, class: class, log: log}
}

// forget drops a Service that is no more. It reports whether that freed addresses.
func (d *desk) forget(key string) bool {
	delete(d.records, key)
	return d.ips.Release(key)
}

// ofOurClass is spec.md section 4.8.
func (d *desk) ofOurClass(svc *corev1.Service) bool {
	if svc.Spec.LoadBalancerClass == nil {
		return d.class == ""
	}
	return *svc.Spec.LoadBalancerClass == d.class
}

// decision is one run of decide.
type decision struct {
	*desk
	log *slog.Logger
	key string
	rec *record
	req request
	outcome
}

// decide is spec.md section 4.3. Calling it again changes nothing, unless the Service or the pools did.
func (d *desk) decide(svc *corev1.Service) outcome {
	key := keyOf(svc)
	held, holds := d.ips.Holding(key)
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer || !d.ofOurClass(svc) {
		return d.disown(svc, held, holds)
	}
	x := decision{desk: d, key: key, log: d.log.With("service", key), rec: d.records[key]}
	if x.rec == nil {
		x.rec = &record{said: map[string]string{}, unknownPool: svc.Annotations[unknownPool]}
		d.records[key] = x.rec
	}
	before, _ := d.ips.Facts(key)
	if x.understand(svc) {
		if !holds && !x.rec.adopted {
			x.adopt(svc)
		}
		x.rec.adopted = true
		x.review()
		x.provide()
	}
	held, holds = d.ips.Holding(key)
	x.addrs, x.pool = held.Addrs, held.Pool
	if holds {
		x.unknownPool = x.rec.unknownPool
		after, _ := d.ips.Facts(key)
		x.roomMade = x.roomMade || before.Key != "" && !sameSharing(before, after)
	}
	return x.outcome
}

// sameSharing reports whether nobody can share an address with after who could not with before.
func sameSharing(before, after ipam.Service) bool {
	return before.SharingKey == after.SharingKey && before.BackendKey == after.BackendKey && slices.Equal(before.Ports, after.Ports)
}

// disown handles a Service that is not a load balancer of ours, or is not any longer. What is not ours by class is
// touched only where it still shows addresses that we have just taken back: a Service that changes its type loses its
// class with it, so that the class alone must not decide.
func (d *desk) disown(svc *corev1.Service, held ipam.Assignment, holds bool) outcome {
	released := d.forget(keyOf(svc))
	_, annotated := svc.Annotations[allocatedFrom]
	shows := holds && sameSet(held.Addrs, ingressAddrs(svc))
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer && (holds || annotated) || shows {
		return outcome{roomMade: released}
	}
	return outcome{leave: true, roomMade: released}
}

// understand reads the request; it returns false where the Service cannot be served as it is.
func (x *decision) understand(svc *corev1.Service) bool {
	if len(clusterIPs(svc)) == 0 {
		x.clear("noClusterIPs", nil)
		return false
	}
	var err error
	if x.req, err = newRequest(svc); err != nil {
		x.say(corev1.EventTypeWarning, "noclusterIPsIPFamily",
			fmt.Sprintf("Failed to retrieve ClusterIPs IPFamily for %q: %v", clusterIPs(svc), err))
		x.leave = true
		return false
	}
	delete(x.rec.said, "noclusterIPsIPFamily")
	const reason = "not enough clusterips"
	if policyOf(svc) == corev1.IPFamilyPolicyRequireDualStack && !x.req.families.Dual {
		x.say(corev1.EventTypeWarning, reason,
			fmt.Sprintf("Service requires dual stack but not enough clusterips [%s]", strings.Join(clusterIPs(svc), " ")))
		x.clear("notEnoughClusterIPs", nil)
		return false
	}
	delete(x.rec.said, reason)
	return true
}

// review takes back what the Service holds and must not, or does not want, any longer.
func (x *decision) review() {
	held, holds := x.ips.Holding(x.key)
	if !holds {
		return
	}
	if !serves(x.req.families, held.Addrs) {
		x.clear("differentIPFamily", nil)
		return
	}
	_, err := x.ips.Assign(x.req.facts, held.Addrs)
	if errors.Is(err, ipam.ErrNotAllowed) && held.Kept && !x.rec.evict {
		err = x.ips.Keep(x.req.facts, held.Addrs, held.Pool)
	}
	x.rec.evict = false
	if err != nil {
		x.clearWithEvent(err)
		return
	}
	held, _ = x.ips.Holding(x.key)
	if x.req.pool == held.Pool || x.req.pool != x.rec.unknownPool {
		x.rec.unknownPool = ""
	}
	if x.req.pool != "" && x.req.pool != held.Pool && x.req.pool != x.rec.unknownPool {
		if x.ips.HasPool(x.req.pool) {
			x.clear("differentPoolRequested", nil)
			return
		}
		x.rec.unknownPool = x.req.pool
		x.sayUnknownPool()
	}
	switch {
	case x.req.addrsErr != nil:
		x.say(corev1.EventTypeWarning, "LoadBalancerFailed", fmt.Sprintf("invalid requested loadbalancer IPs: %v", x.req.addrsErr))
		return
	case len(x.req.addrs) > 0 && !sameSet(x.req.addrs, held.Addrs):
		x.clear("differentIPRequested", nil)
	}
	delete(x.rec.said, "LoadBalancerFailed")
}

// clear takes back what the Service holds because of what the Service itself asks for.
func (x *decision) clear(reason string, err error) {
	held, holds := x.ips.Holding(x.key)
	if !holds {
		return
	}
	args := []any{"event", "clearAssignment", "reason", reason, "ip", texts(held.Addrs)}
	if err != nil {
		args = append(args, "error", err)
	}
	x.log.Info("clearing assignment", args...)
	x.ips.Release(x.key)
	x.roomMade = true
}

// clearWithEvent takes back what the Service may not hold, if it holds it, and says so.
func (x *decision) clearWithEvent(cause error) {
	x.notes = append(x.notes, note{corev1.EventTypeNormal, "ClearAssignment", fmt.Sprintf(
		"current IP for %q not allowed by config, will attempt for new IP assignment: %v", x.key, cause)})
	x.clear("notAllowedByConfig", cause)
}

// say adds an event unless the last one for this reason said the same. It reports whether it did.
func (x *decision) say(kind, reason, message string) bool {
	return x.sayOnce(kind, reason, message, message)
}

// sayOnce is say for messages with numbers in them that change while their cause does not.
func (x *decision) sayOnce(kind, reason, cause, message string) bool {
	if x.rec.said[reason] == cause {
		return false
	}
	x.rec.said[reason] = cause
	x.notes = append(x.notes, note{kind, reason, message})
	return true
}

func texts(addrs []netip.Addr) []string {
	out := make([]string, len(addrs))
	for i, addr := range addrs {
		out[i] = addr.String()
	}
	return out
}
