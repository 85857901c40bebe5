package service

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/ingot-lb/ingot/controller/ipam"
)

// note is an event to write about a Service.
type note struct{ kind, reason, message string }

// Reasons of events, which are MetalLB's.
const (
	ipAllocated         = "IPAllocated"
	ipReleased          = "IPReleased" // ours: MetalLB says nothing of it
	allocationFailed    = "AllocationFailed"
	loadBalancerFailed  = "LoadBalancerFailed"
	noClusterIPsFamily  = "noclusterIPsIPFamily"
	noIngressFamily     = "nolbIPsIPFamily"
	notEnoughClusterIPs = "not enough clusterips"
)

// failure is why something that a Service asks for is not to be had.
type failure struct {
	reason string
	err    error
}

// outcome is what a Service's status should say.
type outcome struct {
	// leave is set where the addresses are none of our business.
	leave bool
	// state is what the condition Allocated says; nil for no condition, or with leave: as it is.
	state *state
	addrs []netip.Addr
	// pool and unknownPool are the annotations of these names; empty for none.
	pool, unknownPool string

	notes []note
	// failures are what of the request is not granted, as notes have it, with the causes.
	failures []failure
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
	// absent is the pool that the Service asks for and that the server has said not to exist.
	absent string
	// state is what was last decided.
	state *state
}

// desk decides on Services, one at a time. It talks to nobody.
type desk struct {
	ips     *ipam.Allocator
	records map[string]*record
	class   string
	// unknownPools says what becomes of Services that ask for a pool that does not exist.
	unknownPools UnknownPools
	log          *slog.Logger
}

// record is what is remembered of the Service, from now on.
func (d *desk) record(svc *corev1.Service) *record {
	rec := d.records[keyOf(svc)]
	if rec == nil {
		rec = &record{said: map[string]string{}, unknownPool: svc.Annotations[unknownPool]}
		d.records[keyOf(svc)] = rec
	}
	return rec
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
	// missing says why there is no address of the second family.
	missing error
	outcome
}

// decide is spec.md section 4.3. Calling it again changes nothing, unless the Service or the pools did.
func (d *desk) decide(svc *corev1.Service) outcome {
	key := keyOf(svc)
	held, holds := d.ips.Holding(key)
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer || !d.ofOurClass(svc) {
		return d.disown(svc, held, holds)
	}
	if svc.DeletionTimestamp != nil && !holds && len(ingressAddrs(svc)) == 0 {
		return outcome{leave: true} // it gets nothing any more, and what else it says is for those who finish it off
	}
	x := decision{desk: d, key: key, log: d.log.With("service", key), rec: d.record(svc)}
	before, _ := d.ips.Facts(key)
	had := held
	if x.understand(svc) {
		if !x.rec.adopted {
			if shown := ingressAddrs(svc); len(firstOfEach(shown)) < len(shown) {
				x.say(corev1.EventTypeWarning, noIngressFamily, fmt.Sprintf(
					"Failed to retrieve LBIPs IPFamily for %s: only the first of a family is kept", ipam.Quoted(shown)))
			}
			if !holds {
				x.adopt(svc)
			}
		}
		x.rec.adopted = true
		x.review()
		x.provide(svc.DeletionTimestamp != nil)
	}
	held, holds = d.ips.Holding(key)
	x.addrs, x.pool = held.Addrs, held.Pool
	if holds {
		x.unknownPool = x.rec.unknownPool
		after, _ := d.ips.Facts(key)
		x.roomMade = x.roomMade || before.Key != "" && !sameSharing(before, after)
	}
	x.state = x.tell(svc, held)
	if before.Key != "" && !holds && len(x.notes) == 0 {
		x.notes = append(x.notes, released(had.Addrs, x.state.message))
	}
	return x.outcome
}

// released is the event about addresses that a Service gives up by what it is itself.
func released(addrs []netip.Addr, why string) note {
	return note{corev1.EventTypeNormal, ipReleased, fmt.Sprintf("Released IP %s: %s", ipam.Quoted(addrs), why)}
}

// sameSharing reports whether nobody can share an address with after who could not with before.
func sameSharing(before, after ipam.Service) bool {
	return before.SharingKey == after.SharingKey && before.BackendKey == after.BackendKey && slices.Equal(before.Ports, after.Ports)
}

// disown handles a Service that is not a load balancer of ours, or is not any longer. What is not ours by class is
// touched only where it still shows addresses that we have just taken back: a Service that changes its type loses its
// class with it, so that the class alone must not decide.
func (d *desk) disown(svc *corev1.Service, held ipam.Assignment, holds bool) outcome {
	freed := d.forget(keyOf(svc))
	_, annotated := svc.Annotations[allocatedFrom]
	annotated = annotated || meta.FindStatusCondition(svc.Status.Conditions, Allocated) != nil
	shows := holds && sameSet(held.Addrs, ingressAddrs(svc))
	out := outcome{roomMade: freed, leave: true}
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer && (holds || annotated) || shows {
		out.leave = false
	}
	if holds {
		out.notes = []note{released(held.Addrs, "the Service is no load balancer of this kind any longer")}
	}
	return out
}

// understand reads the request; it returns false where the Service cannot be served as it is.
func (x *decision) understand(svc *corev1.Service) bool {
	if len(clusterIPs(svc)) == 0 {
		x.clear("noClusterIPs", nil)
		return false
	}
	var err error
	if x.req, err = newRequest(svc); err != nil {
		x.fail(noClusterIPsFamily, err)
		x.say(corev1.EventTypeWarning, noClusterIPsFamily,
			fmt.Sprintf("Failed to retrieve ClusterIPs IPFamily for %q: %v", clusterIPs(svc), err))
		x.leave = true
		return false
	}
	delete(x.rec.said, noClusterIPsFamily)
	const reason = notEnoughClusterIPs
	if policyOf(svc) == corev1.IPFamilyPolicyRequireDualStack && !x.req.families.Dual {
		err := because(reasonNoFamily, "Service requires dual stack but not enough clusterips [%s]", strings.Join(clusterIPs(svc), " "))
		x.fail(reason, err)
		x.say(corev1.EventTypeWarning, reason, err.Error())
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
	if !serves(x.req.families, held.Addrs) && !x.adapt(held) {
		x.clear("differentIPFamily", nil)
		return
	}
	held, _ = x.ips.Holding(x.key)
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
		if x.unknownPools == UnknownPoolPending || x.ips.HasPool(x.req.pool) {
			x.clear("differentPoolRequested", nil)
			return
		}
		x.rec.unknownPool = x.req.pool
		x.sayUnknownPool()
	}
	switch {
	case x.req.addrsErr != nil:
		x.fail(loadBalancerFailed, x.req.addrsErr)
		x.say(corev1.EventTypeWarning, loadBalancerFailed, fmt.Sprintf("invalid requested loadbalancer IPs: %v", x.req.addrsErr))
		return
	case len(x.req.addrs) > 0 && !sameSet(x.req.addrs, held.Addrs):
		x.clear("differentIPRequested", nil)
	}
	delete(x.rec.said, loadBalancerFailed)
}

// clearings are MetalLB's messages in the log, by reason.
var clearings = map[string]string{
	"noClusterIPs":           "No ClusterIPs",
	"differentPoolRequested": "user requested a different pool than the one currently assigned",
	"differentIPRequested":   "user requested a different IP than the one currently assigned",
	"notAllowedByConfig":     "current IP not allowed by config, clearing",
}

// adapt keeps what it can of what a Service holds whose families have changed: the address of the one that is left, or
// both, where the pool has one of the second. It reports whether the Service now has what it asks for.
func (x *decision) adapt(held ipam.Assignment) bool {
	if held.Kept || len(x.req.addrs) > 0 || x.req.addrsErr != nil {
		return false
	}
	f := x.req.families
	if !f.Dual {
		left := slices.DeleteFunc(slices.Clone(held.Addrs), func(addr netip.Addr) bool { return ipam.FamilyOf(addr) != f.First })
		if len(left) == 0 {
			return false
		}
		if _, err := x.ips.Assign(x.req.facts, left); err != nil {
			return false
		}
		x.roomMade = true
		gone := slices.DeleteFunc(slices.Clone(held.Addrs), func(addr netip.Addr) bool { return slices.Contains(left, addr) })
		x.notes = append(x.notes, released(gone, fmt.Sprintf("the Service has no cluster IP of %s any longer", ipam.FamilyOf(gone[0]))))
		return true
	}
	if len(held.Addrs) != 1 {
		return false
	}
	more, err := x.ips.Extend(x.req.facts, ipam.IPv6-ipam.FamilyOf(held.Addrs[0]))
	if err == nil {
		x.sayExtended(more)
	}
	return err == nil
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
	x.log.Info(cmp.Or(clearings[reason], "clearing assignment"), args...)
	x.ips.Release(x.key)
	x.roomMade = true
}

// clearWithEvent takes back what the Service may not hold, if it holds it, and says so.
func (x *decision) clearWithEvent(cause error) {
	x.fail("ClearAssignment", cause)
	x.notes = append(x.notes, note{corev1.EventTypeNormal, "ClearAssignment", fmt.Sprintf(
		"current IP for %q not allowed by config, will attempt for new IP assignment: %v", x.key, cause)})
	x.clear("notAllowedByConfig", cause)
}

// fail keeps why something is not granted, for whoever asks before a Service is written (Preview).
func (x *decision) fail(reason string, err error) {
	x.failures = append(x.failures, failure{reason, err})
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
